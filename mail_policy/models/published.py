"""Reads the state dicts of the code that was published with MaIL (mail-model.md 5).

Published weights are pickles, which this project never opens. Turn them into safetensors once, in
an environment that you trust with them:

    torch.load("last_ddpm.pth", weights_only=True) -> safetensors.torch.save_file

The published image encoder registers every tensor under two names; constants of diffusion and of
the spatial softmax are not weights. All of them are recognised, and anything else is refused.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from mail_policy.models.config import BackboneKind, HeadKind, ModelConfig

# Second names of tensors, and constants.
_LEFT_OUT = re.compile(
    r"(^|\.)_dummy_variable$|key_model_map\.[^.]+\.(backbone|pool)\."
    r"|\.(pos_x|pos_y|temperature|mask|cross_mask)$"
)
_TRUNK = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
_SHARED = {
    "tok_emb": "tok_emb",
    "pos_emb": "pos_emb",
    "time_emb": "head.time_emb",
    "action_pred": "head.action_pred",
}


class PublishedWeightsError(ValueError):
    """A state dict is not that of the published model with this configuration."""


def from_published(
    state: Mapping[str, Tensor], config: ModelConfig, cameras: Mapping[str, str]
) -> dict[str, Tensor]:
    """Rename the tensors of a published model to those of `MailPolicy`.

    Args:
        state: As published.
        config: The same model here; its kind, head and language decide what names mean.
        cameras: Published name by name in the config, such as {"agentview": "agentview_rgb"}.

    Returns:
        A state dict for `MailPolicy.load_state_dict(..., strict=False)`; what is missing from it
        are the task vectors and the bounds of actions, which were published elsewhere.

    Raises:
        PublishedWeightsError: Names the first tensor that is not understood.
    """
    encoders = {cameras[name]: place for place, name in enumerate(config.camera_names)}
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        if _LEFT_OUT.search(name):
            continue
        new_name = _renamed(name, config, encoders)
        if new_name in renamed:
            raise PublishedWeightsError(f"two tensors mean {new_name!r}; the second is {name!r}")
        renamed[new_name] = value
    return renamed


def _renamed(name: str, config: ModelConfig, encoders: Mapping[str, int]) -> str:
    if match := re.match(r"obs_encoder\.key_model_map\.([^.]+)\.nets\.(\d)\.(.+)$", name):
        camera, part, rest = match.groups()
        if camera not in encoders:
            raise PublishedWeightsError(f"{name!r} is of camera {camera!r}, which is not mapped")
        return f"image_encoders.{encoders[camera]}.{_vision_name(part, rest)}"
    if match := re.match(r"linear\.(weight|bias)$", name):
        return f"language.project.{match.group(1)}"
    # The policy's wrappers are called "model", one or two of them.
    first, _, rest = re.sub(r"^(model\.)+", "", name).partition(".")
    target = _SHARED.get(first) or _sequence_names(config).get(first)
    if target is None:
        raise PublishedWeightsError(f"{name!r} is no tensor of the published {config.head.kind}")
    if target.startswith("backbone.") and first in ("encoder", "decoder", "mamba"):
        rest = re.sub(r"^blocks\.", "layers.", re.sub(r"^ln\.", "norm_f.", rest))
    elif rest == "weight" and first.endswith(("token", "tokens", "embed")):
        rest = ""  # an embedding there is a table here
    return f"{target}.{rest}" if rest else target


def _vision_name(part: str, rest: str) -> str:
    """Rename robomimic's VisualCore: 0 the trunk, 1 the spatial softmax, 3 the read-out."""
    if part == "0":
        number, _, inside = rest.removeprefix("nets.").partition(".")
        return f"trunk.{_TRUNK[number]}.{inside}"
    return {"1": "pool.", "3": "read_out."}[part] + rest


def _sequence_names(config: ModelConfig) -> dict[str, str]:
    """Return what the parts around the sequence are called here, by their published names."""
    stacks = {"encoder": "backbone.encoder", "decoder": "backbone.decoder"}
    stacks["mamba"] = "backbone.decoder"
    if config.backbone.kind is BackboneKind.DECODER_ONLY:
        stacks["encoder"] = "backbone.decoder"
    if config.head.kind is not HeadKind.BC:
        tables = {
            "act_tokens": "backbone.action_variables",
            "state_tokens": "backbone.context_variables",
        }
        return {**stacks, **tables, "action_emb": "head.action_emb"}
    if config.backbone.kind is BackboneKind.AGGREGATION:
        tables = {
            "action_token": "backbone.action_variables",
            "action_noise_token": "head.queries",
            "state_token": "backbone.context_variables",
        }
    else:
        tables = {"query_embed": "head.queries", "action_token": "head.queries"}
    return {**stacks, **tables}
