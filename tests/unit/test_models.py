"""The networks: exact sizes and shapes of the published models, and what must reach what."""

from pathlib import Path

import pytest
import torch
from torch import nn

from mail_policy.core.config import load_config
from mail_policy.models.config import (
    BackboneConfig,
    BackboneKind,
    CameraConfig,
    HeadConfig,
    HeadKind,
    LanguageConfig,
    MambaInit,
    MixerKind,
    ModelConfig,
    ProprioConfig,
    StackConfig,
    TextScaling,
    TimePlace,
    VisionConfig,
    Windows,
)
from mail_policy.models.heads import masked_mean
from mail_policy.models.language import scale_text
from mail_policy.models.policy import MailPolicy
from mail_policy.models.vision import ImageEncoder, SpatialSoftmax, make_image_encoders
from mail_policy.training.config import TrainConfig
from tests.unit.model_zoo import (
    BACKBONES,
    BC,
    DDP,
    DDP_PAPER,
    FLOW,
    HEADS,
    RAW,
    VISION,
    cameras,
    small_policy,
)

CONFIGS = Path(__file__).parents[2] / "mail_policy" / "configs"
TASKS = torch.tensor([0, 1])
# Parameters of the sequence model, and of all with the two image encoders (mail-model.md 2.6).
PUBLISHED = {
    "d_ma_bc": (1_903_623, 24_306_119),
    "ed_ma_bc": (2_018_823, 24_421_319),
    "d_ma_ddp": (1_969_927, 24_372_423),
    "ed_ma_ddp": (1_968_519, 24_371_015),
    "d_tr_bc": (1_619_847, 24_022_343),
    "ed_tr_bc": (2_313_223, 24_715_719),
    "d_tr_ddp": (1_686_151, 24_088_647),
    "ed_tr_ddp": (2_379_527, 24_782_023),
    "d_ma_bc_goal": (1_903_751, 24_437_575),
    "ed_ma_bc_goal": (2_019_079, 24_552_903),
    "d_ma_ddp_goal": (1_871_751, 24_405_575),
    "d_ma_ddp_90": (1_970_055, 24_503_879),
    "ed_ma_ddp_goal": (2_433_671, 24_967_495),
    "ed_ma_ddp_90": (2_085_511, 24_619_335),
}


def preset(name: str) -> ModelConfig:
    return load_config(TrainConfig, CONFIGS / "paper" / f"{name}.yaml").model


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def random_frames(policy: MailPolicy, steps: int = 3) -> torch.Tensor:
    return torch.randn(2, steps, policy.feature_size)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", PUBLISHED)
def test_presets_of_the_paper_have_the_published_number_of_parameters(name: str) -> None:
    with torch.device("meta"):
        policy = MailPolicy(preset(name))
    around = parameters(policy.image_encoders)
    if policy.language is not None:
        around += parameters(policy.language)
    assert (parameters(policy) - around, parameters(policy)) == PUBLISHED[name]


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_can_be_built(path: Path) -> None:
    config = load_config(TrainConfig, path)
    with torch.device("meta"):
        MailPolicy(config.model)
    if path.parent.name == "paper":
        assert config.model.backbone.mamba_init is MambaInit.OVERWRITTEN
        assert config.model.windows is Windows.PUBLISHED
        assert config.ema_decay == (0.995 if "ddp" in path.stem else 0.0)
        if config.model.head.has_time:
            assert config.model.head == HeadConfig(
                kind=HeadKind.DDP, steps=16, time=TimePlace.FIRST
            )


@pytest.mark.parametrize(
    ("name", "sequence"),
    [("d_ma_bc", 10), ("ed_ma_bc", 10), ("d_ma_ddp", 11), ("ed_ma_ddp_goal", 12)],
)
def test_published_shapes(name: str, sequence: int) -> None:
    torch.manual_seed(0)
    policy = MailPolicy(preset(name)).eval()
    frames, language = torch.randn(2, 5, 256), policy.language is not None
    assert policy.feature_size == 256
    assert policy.pos_emb.shape == (1, 10 if language else 9, 128)
    seen: list[tuple[int, ...]] = []
    norm = policy.backbone.decoder.norm_f
    norm.register_forward_hook(lambda module, args, output: seen.append(tuple(output.shape)))
    mask = torch.ones(2, 5)
    policy.loss(frames, torch.tensor([0, 0]), torch.randn(2, 5, 7), mask, seeded())
    assert seen == [(2, sequence, 128)]
    assert policy.predict(frames, torch.tensor([0, 0]), seeded()).shape == (2, 5, 7)


def test_image_encoder_has_the_published_shapes() -> None:
    encoder = ImageEncoder(VisionConfig())
    images = torch.rand(2, 3, 128, 128)
    with torch.inference_mode():
        maps = encoder.trunk(images)
        assert maps.shape == (2, 512, 4, 4)
        assert encoder.pool(maps).shape == (2, 32, 2)
        assert encoder(images).shape == (2, 128)
    assert parameters(encoder) == 11_201_248


def test_every_batch_norm_is_a_group_norm_of_sixteen_channels() -> None:
    encoders = make_image_encoders(VisionConfig(), 2)
    norms = [module for module in encoders.modules() if isinstance(module, nn.GroupNorm)]
    assert len(norms) == 40
    assert {(norm.num_channels, norm.num_groups) for norm in norms} == {
        (64, 4),
        (128, 8),
        (256, 16),
        (512, 32),
    }
    assert not [m for m in encoders.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def test_trunk_has_the_names_of_torchvision() -> None:
    names = set(ImageEncoder(VisionConfig()).trunk.state_dict())
    assert {"conv1.weight", "bn1.bias", "layer1.0.conv2.weight", "layer4.1.bn2.weight"} <= names
    assert {"layer2.0.downsample.0.weight", "layer2.0.downsample.1.bias"} <= names
    # 20 convolutions, 20 norms with weight and bias.
    assert len(names) == 60


def test_encoders_start_equal_but_are_not_shared() -> None:
    first, second = make_image_encoders(VISION, 2)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
        assert a is not b


def test_spatial_softmax_finds_where_a_map_is_high() -> None:
    pool = SpatialSoftmax(1, 1)
    nn.init.ones_(pool.nets.weight)
    nn.init.zeros_(pool.nets.bias)
    maps = torch.zeros(1, 1, 5, 9)
    maps[0, 0, 4, 2] = 50.0  # lowest row, third of nine columns
    torch.testing.assert_close(pool(maps), torch.tensor([[[-0.5, 1.0]]]))


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("language", [None, RAW])
def test_every_parameter_that_should_learn_gets_a_gradient(
    backbone: str, head: str, language: LanguageConfig | None
) -> None:
    proprio = ProprioConfig(feature_size=6) if language else None
    policy = small_policy(backbone, HEADS[head], language=language, proprio=proprio)
    images = [torch.rand(6, 3, 32, 32) for _ in range(2)]
    frames = policy.encode_frames(images, torch.randn(6, 8)).view(2, 3, -1)
    # A few draws, so that every noise level and activation is met.
    for seed in range(4):
        actions, mask = torch.randn(2, 4, 7), torch.ones(2, 4)
        policy.loss(frames, TASKS, actions, mask, seeded(seed)).backward(retain_graph=True)
    used = policy.config.context_size if HEADS[head] is BC else policy.pos_emb.shape[1]
    for name, parameter in policy.named_parameters():
        assert parameter.grad is not None, name
        if name == "pos_emb":
            moved = parameter.grad[0].abs().sum(dim=-1) > 0
            assert moved.tolist() == [row < used for row in range(len(moved))]
        elif name.endswith(("nets.bias", "key.bias", "cross_key.bias")):
            continue  # a softmax does not change when a constant is added
        else:
            assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(("camera_count", "history"), [(1, 1), (3, 5), (2, 10)])
def test_any_number_of_cameras_and_observations_works(
    backbone: str, camera_count: int, history: int
) -> None:
    policy = small_policy(backbone, FLOW, camera_count=camera_count, history=history)
    images = [torch.rand(2, history, 3, 32, 32) for _ in range(camera_count)]
    with torch.inference_mode():
        assert policy(images, TASKS).shape == (2, 4, 7)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_rows_do_not_depend_on_later_rows(backbone: str) -> None:
    policy = small_policy(backbone)
    context, actions = torch.randn(1, 3, 32), torch.randn(1, 4, 32)
    changed = actions.clone()
    changed[:, -1] = torch.randn(32)
    before, after = policy.backbone(context, actions), policy.backbone(context, changed)
    torch.testing.assert_close(after[:, :-1], before[:, :-1])
    assert not torch.allclose(after[:, -1], before[:, -1])


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_context_taken_once_gives_what_one_pass_over_everything_gives(backbone: str) -> None:
    policy = small_policy(backbone)
    context = torch.randn(2, 3, 32)
    conditioned = policy.backbone.condition(context)
    for _ in range(2):  # the first call must not change what the second one sees
        actions = torch.randn(2, 4, 32)
        torch.testing.assert_close(
            conditioned(actions), policy.backbone(context, actions), rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("head", HEADS)
def test_order_of_the_history_and_choice_of_the_task_matter(backbone: str, head: str) -> None:
    policy = small_policy(backbone, HEADS[head], language=RAW)
    frames = random_frames(policy)
    with torch.inference_mode():
        chunk = policy.predict(frames, TASKS, seeded())
        assert torch.equal(policy.predict(frames, TASKS, seeded()), chunk)
        assert not torch.allclose(policy.predict(frames.flip(1), TASKS, seeded()), chunk, atol=1e-4)
        assert not torch.allclose(policy.predict(frames, TASKS.flip(0), seeded()), chunk, atol=1e-4)


@pytest.mark.parametrize("backbone", ["d_ma", "ed_ma", "d_tr", "ed_tr"])
@pytest.mark.parametrize("head", [DDP, DDP_PAPER], ids=["after", "first"])
@pytest.mark.parametrize("row", [2, 3])
def test_the_first_action_shares_the_position_of_the_last_observation(
    backbone: str, head: HeadConfig, row: int
) -> None:
    policy = small_policy(backbone, head)
    seen: list[torch.Tensor] = []
    original = policy.backbone.condition if head is DDP else policy.backbone.forward

    def remember(context: torch.Tensor, actions: torch.Tensor | None = None) -> object:
        if actions is None:
            conditioned = original(context)
            return lambda slots: seen.append(torch.cat([context, slots], 1)) or conditioned(slots)
        seen.append(torch.cat([context, actions], 1))
        return original(context, actions)

    name = "condition" if head is DDP else "forward"
    object.__setattr__(policy.backbone, name, remember)
    frames = random_frames(policy)
    changed: list[torch.Tensor] = []
    for shift in (0.0, 1.0):
        with torch.no_grad():
            policy.pos_emb[:, row] += shift
            seen.clear()
            policy.predict(frames, TASKS, seeded())
        changed.append(seen[0])
    # Tokens of the first evaluation: three observations, four actions, and the time token, which
    # has no position and is the first one or the one after the observations.
    moved = (changed[0] != changed[1]).any(dim=-1)[0].tolist()
    tokens = {2: ["obs2", "act0"], 3: ["act1"]}[row]
    order = ["obs0", "obs1", "obs2", "act0", "act1", "act2", "act3"]
    order.insert(0 if head is DDP_PAPER else 3, "time")
    assert [token for token, has in zip(order, moved, strict=True) if has] == tokens


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_published_policy_starts_with_the_frames_that_are_there(backbone: str) -> None:
    policy = small_policy(backbone, DDP_PAPER, windows=Windows.PUBLISHED)
    with torch.inference_mode():
        assert policy.predict(random_frames(policy, steps=1), TASKS).shape == (2, 4, 7)
    with pytest.raises(ValueError, match=r"got \(2, 4, 24\)"):
        policy.predict(random_frames(policy, steps=4), TASKS)


def test_wrong_shapes_are_refused_by_name() -> None:
    policy = small_policy(proprio=ProprioConfig())
    with pytest.raises(ValueError, match=r"frames must have shape \(B, 3, 88\), got \(1, 2, 88\)"):
        policy.predict(torch.randn(1, 2, 88), torch.tensor([0]))
    with pytest.raises(ValueError, match="needs proprio"):
        policy.encode_frames([torch.rand(1, 3, 32, 32)] * 2)
    with pytest.raises(ValueError, match="expected pictures of camera0, camera1, got 1"):
        policy.encode_frames([torch.rand(1, 3, 32, 32)])
    with pytest.raises(ValueError, match=r"images must have shape \(N, 3, H, W\)"):
        policy.encode_frames([torch.rand(1, 1, 32, 32)] * 2, torch.zeros(1, 8))
    with pytest.raises(ValueError, match="task vectors must have shape"):
        small_policy(language=RAW).language.set_task_vectors(torch.zeros(3, 512))


def test_centred_text_is_easier_to_tell_apart_than_raw_text() -> None:
    torch.manual_seed(0)
    raw = torch.randn(1, 512) * 10 + torch.randn(4, 512)
    assert scale_text(raw, TextScaling.RAW) is raw
    centred = scale_text(raw, TextScaling.CENTRED)
    raw_cosines = nn.functional.normalize(raw, dim=-1) @ nn.functional.normalize(raw, dim=-1).T
    cosines = centred @ centred.T / 512
    off_diagonal = ~torch.eye(4, dtype=torch.bool)
    assert raw_cosines[off_diagonal].min() > 0.9
    assert cosines[off_diagonal].max() < 0.1
    torch.testing.assert_close(centred.square().mean(dim=-1), torch.ones(4))
    # A single task has nothing to be told apart from: its vector is not taken away.
    torch.testing.assert_close(
        scale_text(raw[:1], TextScaling.CENTRED)[0],
        nn.functional.normalize(raw[0], dim=0) * 512**0.5,
    )


def test_rows_that_do_not_exist_do_not_count() -> None:
    errors = torch.ones(2, 3, 7)
    errors[0, 2] = 1000.0
    mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    torch.testing.assert_close(masked_mean(errors, mask), torch.tensor(1.0))
    assert masked_mean(errors, torch.zeros(2, 3)) == 0.0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cameras": ()}, "at least one"),
        ({"cameras": cameras(1) + cameras(1)}, "each named once"),
        ({"history": 0}, "history"),
        ({"history": 100_000}, "history"),
        ({"stateful": True}, "history: 1"),
        ({"stateful": True, "history": 1, "backbone": BACKBONES["d_tr"]}, "attention is none"),
        ({"stateful": True, "history": 1, "head": DDP_PAPER}, "after_context"),
        ({"backbone": BACKBONES["d_tr"], "token_width": 30}, r"multiple of decoder\.heads"),
    ],
)
def test_impossible_models_are_refused(changes: dict[str, object], says: str) -> None:
    values = {"cameras": cameras(1), "history": 3, "chunk": 4, "backbone": BACKBONES["d_ma"]}
    with pytest.raises(ValueError, match=says):
        ModelConfig(**{**values, **changes})  # type: ignore[arg-type]


def test_impossible_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="height must be in"):
        CameraConfig(name="a", height=8, width=128)
    with pytest.raises(ValueError, match="multiple of 16"):
        VisionConfig(width=20)
    layer = StackConfig(layers=1)
    with pytest.raises(ValueError, match="'aggregation' needs an encoder"):
        BackboneConfig(kind=BackboneKind.AGGREGATION, decoder=layer)
    with pytest.raises(ValueError, match="'decoder_only' has no encoder"):
        BackboneConfig(kind=BackboneKind.DECODER_ONLY, decoder=layer, encoder=layer)
    attention = StackConfig(layers=1, mixer=MixerKind.ATTENTION)
    with pytest.raises(ValueError, match=r"needs decoder\.mixer: attention"):
        BackboneConfig(kind=BackboneKind.CROSS_ATTENTION, encoder=attention, decoder=layer)
    with pytest.raises(ValueError, match="head 'bc' takes 1 to 1 steps"):
        HeadConfig(steps=4)
    with pytest.raises(ValueError, match="head 'ddp' takes 2 to 1000 steps"):
        HeadConfig(kind=HeadKind.DDP)
