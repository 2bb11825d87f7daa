"""Published state dicts: every tensor finds its place, twins are dropped, strangers refused."""

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mail_policy.core.config import load_config
from mail_policy.models.config import BackboneKind, HeadKind, ModelConfig
from mail_policy.models.policy import MailPolicy
from mail_policy.models.published import PublishedWeightsError, from_published
from mail_policy.training.config import TrainConfig

PAPER = Path(__file__).parents[2] / "mail_policy" / "configs" / "paper"
CAMERAS = {"agentview": "agentview_rgb", "wrist": "eye_in_hand_rgb"}
PUBLISHED_CAMERAS = list(CAMERAS.values())
TRUNK = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}


def model(name: str) -> ModelConfig:
    return load_config(TrainConfig, PAPER / f"{name}.yaml").model


def published_names(name: str, config: ModelConfig) -> list[str]:
    """Return what the published code calls a tensor: twice, if it is of the image encoder."""
    ddp, kind = config.head.kind is HeadKind.DDP, config.backbone.kind
    prefix = "model.model." if ddp else "model."
    if match := re.match(r"image_encoders\.(\d)\.(\w+)\.(.+)", name):
        camera, part, rest = match.groups()
        core = f"obs_encoder.key_model_map.{PUBLISHED_CAMERAS[int(camera)]}"
        if part == "trunk":
            first, _, inside = rest.partition(".")
            inner = f"nets.{TRUNK[first]}.{inside}"
            return [f"{core}.nets.0.{inner}", f"{core}.backbone.{inner}"]
        if part == "pool":
            return [f"{core}.nets.1.{rest}", f"{core}.pool.{rest}"]
        return [f"{core}.nets.3.{rest}"]
    if name.startswith("language.project."):
        return [name.replace("language.project", "linear")]
    tables = {
        "backbone.action_variables": "act_tokens.weight" if ddp else "action_token.weight",
        "backbone.context_variables": "state_tokens.weight" if ddp else "state_token.weight",
        "head.queries": {
            BackboneKind.DECODER_ONLY: "query_embed.weight",
            BackboneKind.AGGREGATION: "action_noise_token.weight",
            BackboneKind.CROSS_ATTENTION: "action_token.weight",
        }[kind],
    }
    if name in tables:
        return [prefix + tables[name]]
    is_mamba = config.backbone.decoder.mixer == "mamba"
    decoder = "mamba" if ddp and is_mamba else "decoder"
    if kind is BackboneKind.DECODER_ONLY and decoder == "decoder":
        decoder = "encoder"
    name = re.sub(r"^backbone\.decoder\.", f"{decoder}.", name)
    name = re.sub(r"^(backbone|head)\.", "", name)
    if not is_mamba:
        name = name.replace(".layers.", ".blocks.").replace(".norm_f.", ".ln.")
    return [prefix + name]


def published_state(policy: MailPolicy) -> dict[str, Tensor]:
    state = {"obs_encoder._dummy_variable": torch.empty(0)}
    for name, parameter in policy.named_parameters():
        for published in published_names(name, policy.config):
            state[published] = parameter
    for camera in PUBLISHED_CAMERAS:
        for constant in ("pos_x", "pos_y", "temperature"):
            for place in ("nets.1", "pool"):
                state[f"obs_encoder.key_model_map.{camera}.{place}.{constant}"] = torch.ones(1)
    return state


@pytest.mark.parametrize("name", sorted(path.stem for path in PAPER.glob("*.yaml")))
def test_every_published_tensor_finds_its_place(name: str) -> None:
    with torch.device("meta"):
        policy = MailPolicy(model(name))
    renamed = from_published(published_state(policy), policy.config, CAMERAS)
    parameters = dict(policy.named_parameters())
    assert renamed.keys() == parameters.keys()
    assert all(value is parameters[key] for key, value in renamed.items())


def test_the_published_image_encoders_have_the_known_number_of_names() -> None:
    with torch.device("meta"):
        state = published_state(MailPolicy(model("d_ma_bc")))
    # mail-model.md 5: 265 entries, of which 129 are distinct tensors that learn (one is empty).
    assert sum(name.startswith("obs_encoder.") for name in state) == 265


def test_imported_weights_predict_what_they_did() -> None:
    torch.manual_seed(0)
    source = MailPolicy(model("ed_ma_bc")).eval()
    target = MailPolicy(model("ed_ma_bc")).eval()
    frames, task = torch.randn(1, 5, 256), torch.tensor([0])
    with torch.inference_mode():
        expected = source.predict(frames, task)
        assert not torch.allclose(target.predict(frames, task), expected)
        imported = from_published(published_state(source), source.config, CAMERAS)
        target.load_state_dict(imported)
        assert torch.equal(target.predict(frames, task), expected)


def test_a_stranger_is_refused_by_name() -> None:
    with torch.device("meta"):
        policy = MailPolicy(model("d_ma_bc"))
    state = published_state(policy)
    with pytest.raises(PublishedWeightsError, match=r"'model\.sigma_emb\.weight'"):
        from_published({**state, "model.sigma_emb.weight": torch.ones(1)}, policy.config, CAMERAS)
    swapped = {"agentview": "agentview_rgb", "wrist": "hand"}
    with pytest.raises(PublishedWeightsError, match="'eye_in_hand_rgb', which is not mapped"):
        from_published(state, policy.config, swapped)
    with pytest.raises(PublishedWeightsError, match=r"two tensors mean 'tok_emb\.weight'"):
        from_published({**state, "tok_emb.weight": torch.ones(1)}, policy.config, CAMERAS)
