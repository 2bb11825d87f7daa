"""The networks: exact sizes and shapes of the published models, and what must reach what."""

from pathlib import Path

import pytest
import torch
from torch import nn

from mail_policy.core.config import load_config
from mail_policy.models.config import (
    TEXT_SIZE,
    BackboneConfig,
    BackboneKind,
    CameraConfig,
    LanguageConfig,
    MambaConfig,
    MambaInit,
    ModelConfig,
    ProprioConfig,
    TextScaling,
    VisionConfig,
)
from mail_policy.models.heads import masked_mean
from mail_policy.models.language import scale_text
from mail_policy.models.policy import MailPolicy
from mail_policy.models.vision import ImageEncoder, SpatialSoftmax, make_image_encoders
from mail_policy.training.config import TrainConfig

CONFIGS = Path(__file__).parents[2] / "mail_policy" / "configs"
RAW = LanguageConfig(encoder="any", scaling=TextScaling.RAW)
SMALL_VISION = VisionConfig(width=16, stages=1, keypoints=4, feature_size=12)
SMALL_BACKBONES = {
    BackboneKind.D_MA: BackboneConfig(kind=BackboneKind.D_MA, decoder=MambaConfig(layers=2)),
    BackboneKind.ED_MA: BackboneConfig(
        kind=BackboneKind.ED_MA, decoder=MambaConfig(layers=2), encoder=MambaConfig(layers=1)
    ),
}


def cameras(count: int = 2, size: int = 128) -> tuple[CameraConfig, ...]:
    return tuple(CameraConfig(name=f"camera{i}", height=size, width=size) for i in range(count))


def small_policy(
    kind: BackboneKind,
    *,
    language: LanguageConfig | None = None,
    proprio: ProprioConfig | None = None,
    camera_count: int = 2,
    history: int = 3,
) -> MailPolicy:
    """Return a small policy none of whose parameters is at a special value such as zero."""
    torch.manual_seed(0)
    config = ModelConfig(
        cameras=cameras(camera_count, size=32),
        history=history,
        chunk=4,
        backbone=SMALL_BACKBONES[kind],
        vision=SMALL_VISION,
        language=language,
        proprio=proprio,
        token_width=32,
    )
    policy = MailPolicy(config, tasks=2)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    if policy.language is not None:
        policy.language.set_task_vectors(torch.randn(2, TEXT_SIZE))
    return policy


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("preset", "language", "core", "total"),
    [
        ("d_ma_bc", None, 1_903_623, 24_306_119),
        ("d_ma_bc", RAW, 1_903_751, 24_437_575),
        ("ed_ma_bc", None, 2_018_823, 24_421_319),
        ("ed_ma_bc", RAW, 2_019_079, 24_552_903),
    ],
)
def test_presets_of_the_paper_have_the_published_number_of_parameters(
    preset: str, language: LanguageConfig | None, core: int, total: int
) -> None:
    model = load_config(TrainConfig, CONFIGS / "paper" / f"{preset}.yaml").model
    config = ModelConfig(
        cameras=model.cameras,
        history=model.history,
        chunk=model.chunk,
        backbone=model.backbone,
        vision=model.vision,
        language=language,
    )
    with torch.device("meta"):
        policy = MailPolicy(config)
    around = parameters(policy.image_encoders)
    if policy.language is not None:
        around += parameters(policy.language)
    assert parameters(policy) == total
    assert parameters(policy) - around == core
    assert model.backbone.mamba_init is MambaInit.OVERWRITTEN


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
    first, second = make_image_encoders(SMALL_VISION, 2)
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


@pytest.mark.parametrize("kind", BackboneKind)
@pytest.mark.parametrize("language", [None, RAW])
@pytest.mark.parametrize("proprio", [None, ProprioConfig(feature_size=6)])
def test_every_parameter_that_should_learn_gets_a_gradient(
    kind: BackboneKind, language: LanguageConfig | None, proprio: ProprioConfig | None
) -> None:
    policy = small_policy(kind, language=language, proprio=proprio)
    images = [torch.rand(2, 3, 3, 32, 32) for _ in range(2)]
    state = torch.randn(2, 3, 8) if proprio else None
    policy(images, torch.tensor([0, 1]), state).square().sum().backward()
    context = policy.config.context_size
    for name, parameter in policy.named_parameters():
        assert parameter.grad is not None, name
        if name == "pos_emb":
            moved = parameter.grad[0].abs().sum(dim=-1) > 0
            assert moved.tolist() == [row < context for row in range(len(moved))]
        elif name.endswith("nets.bias"):
            continue  # a softmax does not change when a constant is added
        else:
            assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("kind", BackboneKind)
@pytest.mark.parametrize(("camera_count", "history"), [(1, 1), (3, 5)])
def test_any_number_of_cameras_and_observations_works(
    kind: BackboneKind, camera_count: int, history: int
) -> None:
    policy = small_policy(kind, camera_count=camera_count, history=history)
    images = [torch.rand(2, history, 3, 32, 32) for _ in range(camera_count)]
    assert policy(images, torch.zeros(2, dtype=torch.long)).shape == (2, 4, 7)


@pytest.mark.parametrize("kind", BackboneKind)
def test_rows_do_not_depend_on_later_rows(kind: BackboneKind) -> None:
    policy = small_policy(kind)
    context, actions = torch.randn(1, 3, 32), torch.randn(1, 4, 32)
    changed = actions.clone()
    changed[:, -1] = torch.randn(32)
    before, after = policy.backbone(context, actions), policy.backbone(context, changed)
    torch.testing.assert_close(after[:, :-1], before[:, :-1])
    assert not torch.allclose(after[:, -1], before[:, -1])


@pytest.mark.parametrize("kind", BackboneKind)
def test_order_of_the_history_and_choice_of_the_task_matter(kind: BackboneKind) -> None:
    policy = small_policy(kind, language=RAW)
    frames, first, second = torch.randn(1, 3, 24), torch.tensor([0]), torch.tensor([1])
    chunk = policy.predict(frames, first)
    assert not torch.allclose(policy.predict(frames.flip(1), first), chunk, atol=1e-4)
    assert not torch.allclose(policy.predict(frames, second), chunk, atol=1e-4)


def test_wrong_shapes_are_refused_by_name() -> None:
    policy = small_policy(BackboneKind.D_MA, proprio=ProprioConfig())
    with pytest.raises(ValueError, match=r"frames must have shape \(B, 3, 88\), got \(1, 2, 88\)"):
        policy.predict(torch.randn(1, 2, 88), torch.tensor([0]))
    with pytest.raises(ValueError, match="needs proprio"):
        policy.encode_frames([torch.rand(1, 3, 32, 32)] * 2)
    with pytest.raises(ValueError, match="expected pictures of camera0, camera1, got 1"):
        policy.encode_frames([torch.rand(1, 3, 32, 32)])


def test_missing_targets_do_not_count_in_the_loss() -> None:
    errors = torch.ones(2, 3, 7)
    errors[1, 2] = 1e6
    mask = torch.ones(2, 3)
    mask[1, 2] = 0.0
    assert masked_mean(errors, mask) == 1.0
    assert masked_mean(errors, torch.zeros(2, 3)) == 0.0


def test_scaled_text_vectors_are_far_apart_although_raw_ones_are_not() -> None:
    torch.manual_seed(0)
    raw = 10.0 * torch.randn(TEXT_SIZE) + torch.randn(4, TEXT_SIZE)
    scaled = scale_text(raw, TextScaling.CENTRED)
    torch.testing.assert_close(scaled.square().mean(dim=-1), torch.ones(4))
    cosine = torch.nn.functional.cosine_similarity
    assert cosine(raw[0], raw[1], dim=0) > 0.9
    assert cosine(scaled[0], scaled[1], dim=0) < 0.2
    assert torch.equal(scale_text(raw, TextScaling.RAW), raw)


def test_a_single_task_keeps_its_vector() -> None:
    scaled = scale_text(torch.full((1, TEXT_SIZE), 3.0), TextScaling.CENTRED)
    torch.testing.assert_close(scaled, torch.ones(1, TEXT_SIZE))


def test_a_backbone_gets_an_encoder_exactly_if_it_needs_one() -> None:
    stack = MambaConfig(layers=1)
    with pytest.raises(ValueError, match="'ed_ma' needs encoder"):
        BackboneConfig(kind=BackboneKind.ED_MA, decoder=stack)
    with pytest.raises(ValueError, match="'d_ma' has no encoder"):
        BackboneConfig(kind=BackboneKind.D_MA, decoder=stack, encoder=stack)
