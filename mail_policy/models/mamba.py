"""The Mamba layer: whole sequences for training, single steps for recurrent serving.

Gu and Dao, arXiv 2312.00752. Parameters have the names, shapes and initial values of
mamba-ssm's `mamba_simple.Mamba`, so that state dicts can be exchanged.

Letters used for shapes in this file:
    B  batch                 L  length of the sequence
    D  token width           E  inner width
    N  numbers of state      K  taps of the convolution
    R  rank of the step size
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from mail_policy.kernels.convolution import kernel_conv_silu
from mail_policy.models.config import StackConfig
from mail_policy.models.fast_scan import fast_scan
from mail_policy.models.scan import ScanInputs, scan_step
from mail_policy.models.state import State

# Step sizes that a new layer starts from, mamba-ssm's dt_min, dt_max and dt_init_floor.
DELTA_MIN = 1e-3
DELTA_MAX = 1e-1
_DELTA_FLOOR = 1e-4


class DepthwiseConv(nn.Module):
    """Holds the taps of a causal convolution along time, one filter per channel."""

    def __init__(self, channels: int, taps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 1, taps))
        self.bias = nn.Parameter(torch.empty(channels))
        # As torch's Conv1d with one channel per group.
        bound = taps**-0.5
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        """Convolve as shifted sums: no transposes.

        Args:
            x: Shape (B, L, E).
            before: The K - 1 inputs before x, oldest first, shape (B, K - 1, E).

        Returns:
            Shape (B, L, E).
        """
        taps, length = self.weight.squeeze(1), x.shape[1]  # (E, K)
        joined = torch.cat([before, x], dim=1)  # (B, K - 1 + L, E)
        total = torch.addcmul(self.bias, joined[:, :length], taps[:, 0])
        for tap in range(1, taps.shape[1]):
            total = torch.addcmul(total, joined[:, tap : tap + length], taps[:, tap])
        return total

    def activated(self, x: Tensor, before: Tensor) -> Tensor:
        """Convolve as `forward` does, and apply SiLU: in one kernel, if there is one."""
        activated = kernel_conv_silu(x, self.weight.squeeze(1), self.bias, before)
        return functional.silu(self.forward(x, before)) if activated is None else activated

    def newest(self, inputs: Tensor) -> Tensor:
        """Return the newest output (B, E) for the newest inputs (B, E, K)."""
        return (inputs * self.weight.squeeze(1)).sum(-1) + self.bias


class MambaLayer(nn.Module):
    """Mixes a sequence along time; the output at t depends on inputs up to t."""

    def __init__(self, config: StackConfig, token_width: int) -> None:
        super().__init__()
        inner = config.expand * token_width
        self.rank = math.ceil(token_width / 16)
        self.state_size = config.state_size
        self.conv_size = config.conv_size
        self.in_proj = nn.Linear(token_width, 2 * inner, bias=False)
        self.conv1d = DepthwiseConv(inner, config.conv_size)
        self.x_proj = nn.Linear(inner, self.rank + 2 * config.state_size, bias=False)
        self.dt_proj = nn.Linear(self.rank, inner)
        rates = torch.arange(1.0, config.state_size + 1.0).repeat(inner, 1)  # (E, N)
        self.A_log = nn.Parameter(rates.log())
        self.D = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, token_width, bias=False)
        self._start_with_small_steps(config.layers)

    def _start_with_small_steps(self, layers: int) -> None:
        """Give step sizes between DELTA_MIN and DELTA_MAX, evenly on a logarithmic scale."""
        bound = self.rank**-0.5
        nn.init.uniform_(self.dt_proj.weight, -bound, bound)
        spread = torch.rand_like(self.dt_proj.bias)
        low, high = math.log(DELTA_MIN), math.log(DELTA_MAX)
        delta = torch.exp(low + spread * (high - low)).clamp(min=_DELTA_FLOOR)
        with torch.no_grad():
            self.dt_proj.bias.copy_(delta + torch.log(-torch.expm1(-delta)))
            self.out_proj.weight.div_(math.sqrt(layers))

    def empty_state(self, batch: int) -> State:
        """Return the state before the first token.

        It holds the newest inputs of the convolution, newest last, (B, E, K), and the state of
        the recurrence, (B, E, N).
        """
        inner = len(self.D)
        conv = self.D.new_zeros(batch, inner, self.conv_size)
        ssm = self.D.new_zeros(batch, inner, self.state_size)
        return State((conv, ssm), is_empty=True)

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Mix (B, L, D); return (B, L, D), and the state after the last token."""
        conv, ssm = state.tensors()
        x, gate = self.in_proj(tokens).chunk(2, dim=-1)  # (B, L, E) each
        before = conv[..., 1:].mT  # (B, K - 1, E)
        new_conv = torch.cat([conv, x.mT], dim=-1)[..., -self.conv_size :]  # (B, E, K)
        x = self.conv1d.activated(x, before)
        y, ssm = fast_scan(self._scan_inputs(x, ssm), starts_empty=state.is_empty)
        return self.out_proj(y * functional.silu(gate)), State((new_conv, ssm))

    def step(self, token: Tensor, state: State) -> tuple[Tensor, State]:
        """Mix one token (B, 1, D), at a cost that does not grow with the past."""
        conv, ssm = state.tensors()
        x, gate = self.in_proj(token).chunk(2, dim=-1)  # (B, 1, E) each
        conv = torch.cat([conv[..., 1:], x.mT], dim=-1)  # (B, E, K)
        x = functional.silu(self.conv1d.newest(conv)).unsqueeze(1)  # (B, 1, E)
        y, ssm = scan_step(self._scan_inputs(x, ssm))
        return self.out_proj(y * functional.silu(gate)), State((conv, ssm))

    def _scan_inputs(self, x: Tensor, state: Tensor) -> ScanInputs:
        """Derive the coefficients of the recurrence from its input (B, L, E)."""
        sizes = [self.rank, self.state_size, self.state_size]
        delta, b, c = self.x_proj(x).split(sizes, dim=-1)
        delta = functional.softplus(self.dt_proj(delta))  # (B, L, E)
        return ScanInputs(x, delta, -torch.exp(self.A_log), b, c, self.D, state)
