"""The selective scan of Mamba for training, forward and backward in C++ (`mamba_scan.cpp`).

Its twin in torch is `mail_policy.models.scan`, which is used where the kernel cannot be.

Letters used for shapes in this file:
    B  batch                 L  length of the sequence
    E  inner width           N  numbers of state per channel
"""

import ctypes
import math
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
from mail_policy.kernels.library import load_library
from mail_policy.models.scan import ScanInputs, selective_scan

_LIBRARY = "mamba_scan"


class _Forward(ctypes.Structure):
    """`ScanForward` in C++."""

    _fields_ = [
        *sizes("batch", "length", "inner", "states"),
        *pointers("x", "delta", "rates", "b", "c", "d", "state", "y", "last", "checkpoints"),
    ]


class _Backward(ctypes.Structure):
    """`ScanBackward` in C++."""

    _fields_ = [
        *pointers("grad_y", "grad_last", "grad_x", "grad_delta", "grad_a", "grad_b", "grad_c"),
        *pointers("grad_d", "grad_state"),
    ]


def kernel_scan(inputs: ScanInputs) -> tuple[Tensor, Tensor]:
    """Run the recurrence of `mail_policy.models.scan`, with first-order gradients.

    Returns:
        y of shape (B, L, E), and the last state (B, E, N).
    """
    if not fits_kernels(_LIBRARY, inputs):
        return selective_scan(inputs)
    batch, length, inner = inputs.x.shape
    states = inputs.a.shape[-1]
    shapes = {
        "delta": (batch, length, inner),
        "a": (inner, states),
        "b": (batch, length, states),
        "c": (batch, length, states),
        "d": (inner,),
        "state": (batch, inner, states),
    }
    require_shapes(inputs._asdict(), shapes)
    y, state = _KernelScan.apply(*inputs)  # type: ignore[no-untyped-call]
    return y, state


class _KernelScan(torch.autograd.Function):
    """Keeps the states at some steps, and recomputes those between on the way back."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)  # type: ignore[untyped-decorator]
    def forward(ctx: Any, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        x, delta, a, b, c, d, state = (values.contiguous() for values in inputs)
        rates = (a.mT / math.log(2)).contiguous()  # (N, E)
        y, last = torch.empty_like(x), torch.empty_like(state)
        kept = math.ceil(x.shape[1] / _interval()) if any(ctx.needs_input_grad) else 0
        checkpoints = x.new_empty(len(x), kept, *rates.shape)  # (B, kept, N, E)
        saved = (x, delta, rates, b, c, d, state, checkpoints)
        ctx.save_for_backward(*saved)
        calls = [[_forward_call(part, saved, y, last)] for part in _parts(x, rates)]
        run_kernel(_LIBRARY, "mail_scan_forward", x.dtype, calls)
        return y, last

    @staticmethod
    @first_order  # type: ignore[untyped-decorator]
    @torch.amp.custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        saved = ctx.saved_tensors
        x, delta, rates, b, c, d, state, _ = saved
        grad_y, grad_last = (gradient.contiguous() for gradient in gradients)
        rows = [torch.empty_like(values) for values in (x, delta, b, c, state)]
        grad_x, grad_delta, grad_b, grad_c, grad_state = rows
        parts = _parts(x, rates)
        # What all rows share is summed by each thread for itself.
        grad_a = rates.new_empty(len(parts), *rates.shape)  # (parts, N, E)
        grad_d = d.new_empty(len(parts), *d.shape)  # (parts, E)
        unused_y, unused_last = torch.empty_like(x), torch.empty_like(state)
        calls = [
            [
                _forward_call(part, saved, unused_y, unused_last),
                _Backward(
                    *addresses(grad_y[part], grad_last[part], grad_x[part], grad_delta[part]),
                    *addresses(grad_a[number], grad_b[part], grad_c[part], grad_d[number]),
                    *addresses(grad_state[part]),
                ),
            ]
            for number, part in enumerate(parts)
        ]
        run_kernel(_LIBRARY, "mail_scan_backward", x.dtype, calls)
        total_a = grad_a.sum(dim=0).mT
        return grad_x, grad_delta, total_a, grad_b, grad_c, grad_d.sum(dim=0), grad_state


def _interval() -> int:
    """Return between how many steps states are kept."""
    return int(load_library(_LIBRARY).mail_scan_interval())  # type: ignore[union-attr]


def _parts(x: Tensor, rates: Tensor) -> list[slice]:
    return batch_parts(len(x), x.shape[1] * rates.numel())


def _forward_call(part: slice, saved: tuple[Tensor, ...], y: Tensor, last: Tensor) -> _Forward:
    x, delta, rates, b, c, d, state, checkpoints = saved
    rows = part.stop - part.start
    return _Forward(
        *(rows, x.shape[1], x.shape[2], rates.shape[0]),
        *addresses(x[part], delta[part], rates, b[part], c[part], d, state[part]),
        *addresses(y[part], last[part]),
        # Null: nothing is kept.
        checkpoints[part].data_ptr() if checkpoints.numel() else None,
    )
