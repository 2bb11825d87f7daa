"""The causal convolution of Mamba with its activation, forward and backward in C++.

The source is `mamba_conv.cpp`; the twin in torch is `mail_policy.models.mamba.DepthwiseConv`.

Letters used for shapes in this file:
    B  batch                 L  length of the sequence
    E  inner width           K  taps
"""

import ctypes
from typing import Any

import torch
from torch import Tensor

from mail_policy.kernels.calls import (
    addresses,
    batch_parts,
    first_order,
    fits_kernels,
    pointers,
    require_shapes,
    run_kernel,
    sizes,
)

_LIBRARY = "mamba_conv"


class _Forward(ctypes.Structure):
    """`ConvForward` in C++."""

    _fields_ = [
        *sizes("batch", "length", "inner", "taps"),
        *pointers("x", "weight", "bias", "before", "y"),
    ]


class _Backward(ctypes.Structure):
    """`ConvBackward` in C++."""

    _fields_ = pointers("grad_y", "grad_x", "grad_weight", "grad_bias", "grad_before")


def kernel_conv_silu(x: Tensor, weight: Tensor, bias: Tensor, before: Tensor) -> Tensor | None:
    """Convolve causally, one filter per channel, and apply SiLU; with first-order gradients.

    Args:
        x: Shape (B, L, E).
        weight: Oldest tap first, shape (E, K).
        bias: Shape (E,).
        before: The K - 1 inputs before x, oldest first, shape (B, K - 1, E).

    Returns:
        Shape (B, L, E); None if the kernel cannot be used.
    """
    if not fits_kernels(_LIBRARY, (x, weight, bias, before)):
        return None
    batch, _, inner = x.shape
    taps = weight.shape[-1]
    shapes = {"weight": (inner, taps), "bias": (inner,), "before": (batch, taps - 1, inner)}
    require_shapes({"weight": weight, "bias": bias, "before": before}, shapes)
    y: Tensor = _KernelConv.apply(x, weight, bias, before)  # type: ignore[no-untyped-call]
    return y


class _KernelConv(torch.autograd.Function):
    """Keeps its inputs; what it activates is computed again on the way back."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)  # type: ignore[untyped-decorator]
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        x, weight, bias, before = inputs
        taps = weight.mT.contiguous()  # (K, E)
        saved = (x.contiguous(), taps, bias.contiguous(), before.contiguous())
        ctx.save_for_backward(*saved)
        y = torch.empty_like(saved[0])
        calls = [[_forward_call(part, saved, y)] for part in _parts(x, taps)]
        run_kernel(_LIBRARY, "mail_conv_forward", x.dtype, calls)
        return y

    @staticmethod
    @first_order  # type: ignore[untyped-decorator]
    @torch.amp.custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        saved = ctx.saved_tensors
        x, taps, bias, before = saved
        grad_y = gradients[0].contiguous()
        grad_x, grad_before = torch.empty_like(x), torch.empty_like(before)
        parts = _parts(x, taps)
        # What all rows share is summed by each thread for itself.
        grad_taps = taps.new_empty(len(parts), *taps.shape)  # (parts, K, E)
        grad_bias = bias.new_empty(len(parts), *bias.shape)  # (parts, E)
        unused = torch.empty_like(x)
        calls = [
            [
                _forward_call(part, saved, unused),
                _Backward(
                    *addresses(grad_y[part], grad_x[part], grad_taps[number], grad_bias[number]),
                    *addresses(grad_before[part]),
                ),
            ]
            for number, part in enumerate(parts)
        ]
        run_kernel(_LIBRARY, "mail_conv_backward", x.dtype, calls)
        return grad_x, grad_taps.sum(dim=0).mT, grad_bias.sum(dim=0), grad_before


def _parts(x: Tensor, taps: Tensor) -> list[slice]:
    return batch_parts(len(x), x.shape[1] * taps.numel())


def _forward_call(part: slice, saved: tuple[Tensor, ...], y: Tensor) -> _Forward:
    x, taps, bias, before = saved
    rows = part.stop - part.start
    return _Forward(
        *(rows, x.shape[1], x.shape[2], taps.shape[0]),
        *addresses(x[part], taps, bias, before[part], y[part]),
    )
