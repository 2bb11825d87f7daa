"""Small models of every kind, none of whose parameters is at a special value such as zero."""

import torch
from torch import nn

from mail_policy.models.config import (
    TEXT_SIZE,
    BackboneConfig,
    BackboneKind,
    CameraConfig,
    HeadConfig,
    HeadKind,
    LanguageConfig,
    MixerKind,
    ModelConfig,
    StackConfig,
    TextScaling,
    TimePlace,
    VisionConfig,
)
from mail_policy.models.policy import MailPolicy

RAW = LanguageConfig(encoder="any", scaling=TextScaling.RAW)
VISION = VisionConfig(width=16, stages=1, keypoints=4, feature_size=12)
BC = HeadConfig()
DDP = HeadConfig(kind=HeadKind.DDP, steps=4)
DDP_PAPER = HeadConfig(kind=HeadKind.DDP, steps=4, time=TimePlace.FIRST)
FLOW = HeadConfig(kind=HeadKind.FLOW, steps=2)
HEADS = {"bc": BC, "ddp": DDP, "ddp-paper": DDP_PAPER, "flow": FLOW}
RECURRENT = (MixerKind.MAMBA, MixerKind.GRU, MixerKind.LSTM, MixerKind.S4D)


def stack(mixer: MixerKind, layers: int = 2) -> StackConfig:
    return StackConfig(layers=layers, mixer=mixer, state_size=4, conv_size=3)


def decoder_only(mixer: MixerKind) -> BackboneConfig:
    return BackboneConfig(kind=BackboneKind.DECODER_ONLY, decoder=stack(mixer))


def aggregation(mixer: MixerKind) -> BackboneConfig:
    return BackboneConfig(
        kind=BackboneKind.AGGREGATION, encoder=stack(mixer, 1), decoder=stack(mixer)
    )


# The four of the paper, and its aggregation with other mixers.
BACKBONES = {
    "d_ma": decoder_only(MixerKind.MAMBA),
    "ed_ma": aggregation(MixerKind.MAMBA),
    "d_tr": decoder_only(MixerKind.ATTENTION),
    "ed_tr": BackboneConfig(
        kind=BackboneKind.CROSS_ATTENTION,
        encoder=stack(MixerKind.ATTENTION, 1),
        decoder=stack(MixerKind.ATTENTION),
    ),
    "ed_gru": aggregation(MixerKind.GRU),
    "ed_lstm": aggregation(MixerKind.LSTM),
    "ed_s4d": aggregation(MixerKind.S4D),
    "ed_attention": aggregation(MixerKind.ATTENTION),
}


def cameras(count: int = 2, size: int = 128) -> tuple[CameraConfig, ...]:
    return tuple(CameraConfig(name=f"camera{i}", height=size, width=size) for i in range(count))


def perturb(module: nn.Module) -> None:
    """Add noise to all parameters: a table of zeros would hide mistakes in its use."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))


def small_policy(
    backbone: str = "d_ma", head: HeadConfig = BC, *, camera_count: int = 2, **changes: object
) -> MailPolicy:
    """Return a small policy ready to be tested."""
    torch.manual_seed(0)
    values: dict[str, object] = {
        "cameras": cameras(camera_count, size=32),
        "history": 3,
        "chunk": 4,
        "backbone": BACKBONES[backbone],
        "vision": VISION,
        "head": head,
        "token_width": 32,
        **changes,
    }
    policy = MailPolicy(ModelConfig(**values), tasks=2)  # type: ignore[arg-type]
    perturb(policy)
    if policy.language is not None:
        policy.language.set_task_vectors(torch.randn(2, TEXT_SIZE))
    return policy.eval()
