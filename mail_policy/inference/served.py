"""A policy as it is served: one decision after the other, with kernels where this machine has them.

What is computed is what `MailPolicy` computes, but frames come as the camera's bytes, and stacks
of Mamba layers and image encoders run in one C++ call each. Where there are no kernels, torch
does the same, slower.

Letters used for shapes in this file:
    N  frames                 F  features per frame
    B  batch                  L  length of a sequence
    D  token width
"""

import copy
from collections.abc import Sequence
from enum import StrEnum

from torch import Tensor, nn

from mail_policy.kernels.fused_stack import (
    FusedMambaStack,
    LayerWeights,
    MambaStackState,
    fused_stack_is_available,
)
from mail_policy.kernels.vision import FusedImageEncoder
from mail_policy.models.mamba import MambaLayer
from mail_policy.models.policy import MailPolicy
from mail_policy.models.stacks import MixerLayer, Stack


class Precision(StrEnum):
    """How exact a served policy must be.

    Exact: chunks differ from torch's by rounding only. Fast: weights of the image encoders are
    kept in half precision, where that is faster.
    """

    EXACT = "exact"
    FAST = "fast"


class ServedPolicy:
    """A copy of a policy, as it is now, ready to be asked from one thread.

    Args:
        policy: On the processor, in float32.
        precision: How exact it must be.
    """

    def __init__(self, policy: MailPolicy, precision: Precision = Precision.EXACT) -> None:
        self.policy = with_kernel_stacks(policy)
        half = precision is Precision.FAST
        self._encoders = [
            FusedImageEncoder(encoder, camera.height, camera.width, half_weights=half)  # type: ignore[arg-type]
            for encoder, camera in zip(policy.image_encoders, policy.config.cameras, strict=True)
        ]
        # Most of a policy's memory, and used in the form above only.
        self.policy.image_encoders = nn.ModuleList()

    def encode_frames(self, images: Sequence[Tensor], proprio: Tensor | None = None) -> Tensor:
        """Encode frames.

        Args:
            images: One tensor per camera, in the order of the config: RGB, uint8, shape
                (N, height, width, 3).
            proprio: Normalised joint positions and gripper width, shape (N, 8).

        Returns:
            Shape (N, F).
        """
        pairs = zip(self._encoders, images, strict=True)
        return self.policy.join_features([e.run(pictures) for e, pictures in pairs], proprio)


def with_kernel_stacks(policy: MailPolicy) -> MailPolicy:
    """Return a copy of a policy whose stacks of Mamba layers run in C++, if they can."""
    served = copy.deepcopy(policy).eval().requires_grad_(False)
    if fused_stack_is_available():
        for name, stack in served.backbone.named_children():
            if isinstance(stack, Stack) and has_kernel(stack):
                setattr(served.backbone, name, KernelStack(stack))
    return served


def has_kernel(stack: Stack) -> bool:
    """Return whether a stack can run in C++."""
    layers = list(stack.layers)
    return all(isinstance(layer, MixerLayer) for layer in layers) and all(
        isinstance(layer.mixer, MambaLayer) for layer in layers
    )


class KernelStack(nn.Module):
    """Runs a stack of Mamba layers in one C++ call. It has no parameters and no gradients."""

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        layers = [_weights_of(layer) for layer in stack.layers]  # type: ignore[arg-type]
        self._fused = FusedMambaStack(layers, stack.norm_f.weight, stack.norm_f.bias)

    def empty_state(self, batch: int) -> MambaStackState:
        """Return the state before the first token."""
        return self._fused.empty_state(batch)

    def forward(
        self, tokens: Tensor, state: MambaStackState | None = None, memory: Tensor | None = None
    ) -> tuple[Tensor, MambaStackState]:
        """Mix a sequence (B, L, D), as `Stack` does."""
        return self._fused.run(tokens, memory, state)


def _weights_of(layer: MixerLayer) -> LayerWeights:
    mixer = layer.mixer
    assert isinstance(mixer, MambaLayer)
    return LayerWeights(
        norm_weight=layer.norm.weight,
        norm_bias=layer.norm.bias,
        in_proj=mixer.in_proj.weight,
        conv_weight=mixer.conv1d.weight,
        conv_bias=mixer.conv1d.bias,
        x_proj=mixer.x_proj.weight,
        dt_weight=mixer.dt_proj.weight,
        dt_bias=mixer.dt_proj.bias,
        a_log=mixer.A_log,
        d=mixer.D,
        out_proj=mixer.out_proj.weight,
    )
