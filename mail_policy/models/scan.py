"""The selective scan of Mamba: a linear recurrence whose coefficients depend on the input.

    h_t = exp(delta_t A) h_{t-1} + (delta_t x_t) B_t,    y_t = C_t h_t + D x_t

Gu and Dao, arXiv 2312.00752, section 3.2; B is discretised by Euler's rule, as mamba-ssm does.

Letters used for shapes in this file:
    B  batch                 L  length of the sequence
    E  inner width           N  numbers of state per channel
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor


class ScanInputs(NamedTuple):
    """What a scan needs.

    Attributes:
        x: Shape (B, L, E).
        delta: Step sizes, positive, shape (B, L, E).
        a: Negative rates, shape (E, N).
        b: Input coefficients, shape (B, L, N).
        c: Output coefficients, shape (B, L, N).
        d: Weights of the direct path, shape (E,).
        state: State before the first step, shape (B, E, N).
    """

    x: Tensor
    delta: Tensor
    a: Tensor
    b: Tensor
    c: Tensor
    d: Tensor
    state: Tensor


def scan_step(inputs: ScanInputs) -> tuple[Tensor, Tensor]:
    """Advance by one step.

    Args:
        inputs: With L = 1.

    Returns:
        y of shape (B, 1, E), and the new state (B, E, N).
    """
    x, delta, b, c = inputs.x[:, 0], inputs.delta[:, 0], inputs.b[:, 0], inputs.c[:, 0]
    decay = torch.exp(delta.unsqueeze(-1) * inputs.a)  # (B, E, N)
    state = decay * inputs.state + (delta * x).unsqueeze(-1) * b.unsqueeze(1)  # (B, E, N)
    y = torch.einsum("ben,bn->be", state, c) + inputs.d * x  # (B, E)
    return y.unsqueeze(1), state


def reference_scan(inputs: ScanInputs) -> tuple[Tensor, Tensor]:
    """Run the recurrence step by step, with torch's own gradients. Slow; the measure of others.

    Returns:
        y of shape (B, L, E), and the last state (B, E, N).
    """
    outputs, state = [], inputs.state
    for t in range(inputs.x.shape[1]):
        now = slice(t, t + 1)
        y, state = scan_step(
            inputs._replace(
                x=inputs.x[:, now],
                delta=inputs.delta[:, now],
                b=inputs.b[:, now],
                c=inputs.c[:, now],
                state=state,
            )
        )
        outputs.append(y)
    return torch.cat(outputs, dim=1), state


def selective_scan(inputs: ScanInputs) -> tuple[Tensor, Tensor]:
    """Run the recurrence with a hand-written gradient, several times faster than the reference.

    Returns:
        y of shape (B, L, E), and the last state (B, E, N).
    """
    y, state = _SelectiveScan.apply(*inputs)  # type: ignore[no-untyped-call]
    return y, state


class _SelectiveScan(torch.autograd.Function):
    """Keeps the states of the forward pass and walks back through them.

    Everything else is recomputed from the inputs, step by step, in tensors small enough for the
    processor's cache; torch's own graph would keep five of them per step. Inside, states are
    (B, N, E): with the long axis last, every operation runs along contiguous memory.
    """

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)  # type: ignore[untyped-decorator]
    def forward(ctx: Any, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        x, delta, a, b, c, d, state = inputs
        batch, length, inner = x.shape
        rates = a.mT.contiguous()  # (N, E)
        delta_x = delta * x  # (B, L, E)
        states = x.new_empty(length + 1, batch, len(rates), inner)  # (L + 1, B, N, E)
        states[0] = state.mT
        y = d * x  # (B, L, E)
        for t in range(length):
            new = states[t + 1]
            torch.mul(delta[:, t].unsqueeze(1), rates, out=new)
            new.exp_().mul_(states[t])
            new.addcmul_(b[:, t].unsqueeze(-1), delta_x[:, t].unsqueeze(1))
            y[:, t] += torch.bmm(c[:, t].unsqueeze(1), new).squeeze(1)
        ctx.save_for_backward(x, delta, rates, b, c, d, states)
        return y, states[-1].mT.contiguous()

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        x, delta, rates, b, c, d, states = ctx.saved_tensors
        grad_y, grad_state = gradients[0], gradients[1].mT.contiguous()  # (B, L, E), (B, N, E)
        grad_delta, grad_delta_x = torch.empty_like(delta), torch.empty_like(x)
        grad_b, grad_c = torch.empty_like(b), torch.empty_like(c)
        grad_rates = torch.zeros_like(grad_state)  # (B, N, E), summed over the batch at the end
        delta_x = delta * x
        for t in reversed(range(x.shape[1])):
            grad_now = grad_y[:, t].unsqueeze(1)  # (B, 1, E)
            grad_c[:, t] = torch.bmm(states[t + 1], grad_now.mT).squeeze(-1)
            grad_state.addcmul_(c[:, t].unsqueeze(-1), grad_now)
            grad_b[:, t] = torch.bmm(grad_state, delta_x[:, t].unsqueeze(-1)).squeeze(-1)
            grad_delta_x[:, t] = torch.bmm(b[:, t].unsqueeze(1), grad_state).squeeze(1)
            # From here on grad_state belongs to the step before.
            delta_now = delta[:, t].unsqueeze(1)  # (B, 1, E)
            grad_state.mul_((delta_now * rates).exp_())
            grad_exponent = grad_state * states[t]  # (B, N, E)
            grad_rates.addcmul_(grad_exponent, delta_now)
            grad_delta[:, t] = grad_exponent.mul_(rates).sum(dim=1)
        grad_delta.addcmul_(grad_delta_x, x)
        grad_x = torch.addcmul(grad_delta_x * delta, grad_y, d)
        grad_d = (grad_y * x).sum(dim=(0, 1))
        grad_a = grad_rates.sum(dim=0).mT
        return grad_x, grad_delta, grad_a, grad_b, grad_c, grad_d, grad_state.mT
