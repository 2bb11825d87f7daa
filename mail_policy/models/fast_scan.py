"""Chooses the fastest way to run the selective scan of Mamba on the device of its inputs.

On a processor these are our kernels, or torch where they are not built. On CUDA these are the
kernels of mamba-ssm if it is installed, or torch.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from mail_policy.kernels.library import kernels_are_wanted
from mail_policy.kernels.training_scan import kernel_scan
from mail_policy.models.scan import ScanInputs, selective_scan

# mamba-ssm's selective_scan_fn.
CudaScan = Callable[..., Any]


def fast_scan(inputs: ScanInputs, *, starts_empty: bool = False) -> tuple[Tensor, Tensor]:
    """Run the recurrence of `mail_policy.models.scan`.

    Args:
        inputs: What the scan needs.
        starts_empty: Whether the state before the first step is known to be zero.

    Returns:
        y of shape (B, L, E), and the last state (B, E, N).
    """
    if not inputs.x.is_cuda:
        return kernel_scan(inputs)
    cuda_scan = _mamba_ssm_scan()
    if cuda_scan is None:
        return selective_scan(inputs)
    return mamba_ssm_scan(inputs, cuda_scan, starts_empty=starts_empty)


def mamba_ssm_scan(
    inputs: ScanInputs, scan: CudaScan, *, starts_empty: bool
) -> tuple[Tensor, Tensor]:
    """Run mamba-ssm's scan, which always starts from zero, from any state.

    The recurrence is linear in its state, so what an initial state adds is added afterwards. It
    only decays: exp(A (delta_1 + ... + delta_t)) never overflows.

    Args:
        inputs: What the scan needs.
        scan: `selective_scan_fn` of mamba-ssm.
        starts_empty: See `fast_scan`.
    """
    x, delta, a, b, c, d, state = inputs
    sequence = [values.mT.contiguous() for values in (x, delta)]  # (B, E, L) each
    coefficients = [values.mT.contiguous() for values in (b, c)]  # (B, N, L) each
    y, last = scan(*sequence, a, *coefficients, d, return_last_state=True)
    y, last = y.mT, _without_gradient(last)
    if starts_empty:
        return y, last
    total = delta.cumsum(dim=1).unsqueeze(-1)  # (B, L, E, 1)
    added = torch.exp(total * a) * state.unsqueeze(1)  # (B, L, E, N)
    return y + torch.einsum("blen,bln->ble", added, c), last + added[:, -1]


@cache
def _mamba_ssm_scan() -> CudaScan | None:
    if not kernels_are_wanted():
        return None
    try:
        from mamba_ssm.ops.selective_scan_interface import (  # type: ignore[import-not-found, unused-ignore]
            selective_scan_fn,
        )
    except ImportError:
        return None
    found: CudaScan = selective_scan_fn
    return found


def _without_gradient(state: Tensor) -> Tensor:
    """Return mamba-ssm's last state, which knows no gradient, and say so when one is wanted."""
    wrapped: Tensor = _NoGradient.apply(state.detach().requires_grad_(torch.is_grad_enabled()))  # type: ignore[no-untyped-call]
    return wrapped


class _NoGradient(torch.autograd.Function):
    """Refuses a gradient instead of losing it silently."""

    @staticmethod
    def forward(ctx: Any, state: Tensor) -> Tensor:
        return state.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        raise RuntimeError(
            "mamba-ssm's kernel gives no gradient of its last state, which a policy with memory "
            "needs; train it with the environment variable MAIL_NO_KERNELS=1"
        )
