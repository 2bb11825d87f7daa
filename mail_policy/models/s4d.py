"""A diagonal state space model with fixed coefficients: what Mamba is without selection.

Gu et al., "On the Parameterization and Initialization of Diagonal State Space Models",
arXiv 2206.11893: S4D-Lin, discretised with a zero-order hold.

    h_t = exp(delta A) h_{t-1} + B' u_t,    y_t = 2 Re(C h_t) + D u_t

Letters used for shapes in this file:
    B  batch                 L  length of the sequence
    D  token width           N  complex numbers of state per channel
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from mail_policy.models.config import StackConfig
from mail_policy.models.mamba import DELTA_MAX, DELTA_MIN
from mail_policy.models.state import State


class S4dLayer(nn.Module):
    """Mixes a sequence along time by one fixed linear filter per channel."""

    def __init__(self, config: StackConfig, token_width: int) -> None:
        super().__init__()
        pairs = config.state_size // 2  # conjugate pairs: one of each is kept
        low, high = math.log(DELTA_MIN), math.log(DELTA_MAX)
        self.log_delta = nn.Parameter(torch.rand(token_width) * (high - low) + low)  # (D,)
        self.log_decay = nn.Parameter(torch.full((token_width, pairs), math.log(0.5)))  # (D, N)
        frequencies = math.pi * torch.arange(pairs, dtype=torch.float32)
        self.frequency = nn.Parameter(frequencies.repeat(token_width, 1))  # (D, N)
        self.C = nn.Parameter(torch.randn(token_width, pairs, 2) * math.sqrt(0.5))
        self.D = nn.Parameter(torch.ones(token_width))
        self.out_proj = nn.Linear(token_width, token_width)

    def empty_state(self, batch: int) -> State:
        """Return the state before the first token, real and imaginary parts, (B, D, N, 2)."""
        return State((self.C.new_zeros(batch, *self.C.shape),))

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Mix (B, L, D); return (B, L, D), and the state after the last token."""
        before = torch.view_as_complex(state.tensors()[0])  # (B, D, N)
        rate, scale = self._discretised()  # (D, N) each
        length = tokens.shape[1]
        ages = torch.arange(length + 1, device=tokens.device)
        powers = torch.exp(rate.unsqueeze(-1) * ages)  # (D, N, L + 1)
        c = torch.view_as_complex(self.C)  # (D, N)
        kernel = 2.0 * torch.einsum("dn,dnl->dl", c * scale, powers[..., :-1]).real  # (D, L)
        u = tokens.to(self.D.dtype).mT  # (B, D, L)
        y = _causal_convolution(u, kernel)  # (B, D, L)
        y = y + 2.0 * torch.einsum("bdn,dn,dnl->bdl", before, c, powers[..., 1:]).real
        y = y + self.D.unsqueeze(-1) * u
        after = torch.einsum("bdl,dnl->bdn", u.to(c.dtype), powers[..., :-1].flip(-1)) * scale
        after = after + before * powers[..., -1]
        return self._read_out(y.mT), State((torch.view_as_real(after),))

    def step(self, token: Tensor, state: State) -> tuple[Tensor, State]:
        """Mix one token (B, 1, D)."""
        rate, scale = self._discretised()
        u = token.squeeze(1)  # (B, D)
        before = torch.view_as_complex(state.tensors()[0])
        after = torch.exp(rate) * before + scale * u.unsqueeze(-1)  # (B, D, N)
        y = 2.0 * (torch.view_as_complex(self.C) * after).sum(-1).real + self.D * u
        return self._read_out(y.unsqueeze(1)), State((torch.view_as_real(after),))

    def _discretised(self) -> tuple[Tensor, Tensor]:
        """Return the exponent of a step, and what an input adds to the state, (D, N) each."""
        a = torch.complex(-self.log_decay.exp(), self.frequency)
        rate = a * self.log_delta.exp().unsqueeze(-1)
        return rate, torch.expm1(rate) / a

    def _read_out(self, y: Tensor) -> Tensor:
        mixed: Tensor = self.out_proj(functional.gelu(y))
        return mixed


def _causal_convolution(u: Tensor, kernel: Tensor) -> Tensor:
    """Convolve (B, D, L) with filters (D, L) along the last axis, by Fourier transforms."""
    length = u.shape[-1]
    spectrum = torch.fft.rfft(u, n=2 * length) * torch.fft.rfft(kernel, n=2 * length)
    convolved: Tensor = torch.fft.irfft(spectrum, n=2 * length)[..., :length]
    return convolved
