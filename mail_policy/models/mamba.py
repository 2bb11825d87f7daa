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
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mail_policy.models.config import MambaConfig
from mail_policy.models.scan import ScanInputs, scan_step, selective_scan

# Step sizes that a new layer starts from, mamba-ssm's dt_min, dt_max and dt_init_floor.
DELTA_MIN = 1e-3
DELTA_MAX = 1e-1
_DELTA_FLOOR = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class MambaState:
    """What a layer remembers between steps.

    Attributes:
        conv: Newest inputs of the convolution, newest last, shape (B, E, K).
        ssm: State of the recurrence, shape (B, E, N).
    """

    conv: Tensor
    ssm: Tensor


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

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B, L, E) as shifted sums: no transposes."""
        taps, length = self.weight.squeeze(1), x.shape[1]  # (E, K)
        count = taps.shape[1]
        padded = functional.pad(x, (0, 0, count - 1, 0))  # (B, L + K - 1, E)
        total = torch.addcmul(self.bias, padded[:, :length], taps[:, 0])
        for tap in range(1, count):
            total = torch.addcmul(total, padded[:, tap : tap + length], taps[:, tap])
        return total

    def newest(self, inputs: Tensor) -> Tensor:
        """Return the newest output (B, E) for the newest inputs (B, E, K)."""
        return (inputs * self.weight.squeeze(1)).sum(-1) + self.bias


class MambaLayer(nn.Module):
    """Mixes a sequence along time; the output at t depends on inputs up to t."""

    def __init__(self, config: MambaConfig, token_width: int) -> None:
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

    def empty_state(self, batch: int) -> MambaState:
        """Return the state before the first token."""
        inner = len(self.D)
        conv = self.D.new_zeros(batch, inner, self.conv_size)
        return MambaState(conv, self.D.new_zeros(batch, inner, self.state_size))

    def forward(self, tokens: Tensor) -> Tensor:
        """Mix a sequence: (B, L, D) to (B, L, D)."""
        x, gate = self.in_proj(tokens).chunk(2, dim=-1)  # (B, L, E) each
        x = functional.silu(self.conv1d(x))
        y, _ = selective_scan(self._scan_inputs(x, x.new_zeros(len(x), *self.A_log.shape)))
        mixed: Tensor = self.out_proj(y * functional.silu(gate))
        return mixed

    def step(self, token: Tensor, state: MambaState) -> tuple[Tensor, MambaState]:
        """Take one token (B, 1, D); return the output (B, 1, D) and the new state."""
        x, gate = self.in_proj(token).chunk(2, dim=-1)  # (B, 1, E) each
        conv = torch.cat([state.conv[..., 1:], x.mT], dim=-1)  # (B, E, K)
        x = functional.silu(self.conv1d.newest(conv)).unsqueeze(1)  # (B, 1, E)
        y, ssm = scan_step(self._scan_inputs(x, state.ssm))
        return self.out_proj(y * functional.silu(gate)), MambaState(conv, ssm)

    def _scan_inputs(self, x: Tensor, state: Tensor) -> ScanInputs:
        """Derive the coefficients of the recurrence from its input (B, L, E)."""
        sizes = [self.rank, self.state_size, self.state_size]
        delta, b, c = self.x_proj(x).split(sizes, dim=-1)
        delta = functional.softplus(self.dt_proj(delta))  # (B, L, E)
        return ScanInputs(x, delta, -torch.exp(self.A_log), b, c, self.D, state)
