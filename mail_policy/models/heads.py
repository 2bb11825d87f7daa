"""Produces a chunk of normalised actions from a context, and says how wrong it was.

Letters used for shapes in this file:
    B  batch                 S  context tokens
    A  predicted rows        D  token width
    F  numbers per row
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from mail_policy.models.backbones import Backbone, Conditioned
from mail_policy.models.config import HeadKind, ModelConfig
from mail_policy.models.diffusion import Schedule
from mail_policy.models.stacks import learned_tokens

# Flow time runs from 0 to 1; the time embedding is made for numbers of this size.
_FLOW_TIME_SCALE = 1000.0
# Bounds of normalised actions until `set_bounds` is called.
_WIDEST_BOUND = 10.0
_LONGEST_PERIOD = 1e4


class Mix(Protocol):
    """Lets the tokens of a head look at a context."""

    def __call__(self, actions: Tensor, time: Tensor | None = None) -> Tensor:
        """Return what becomes of action tokens (B, A, D).

        Args:
            actions: Shape (B, A, D).
            time: The token with the noise level, shape (B, 1, D), for heads that have one.
        """
        ...


def time_after_context(conditioned: Conditioned) -> Mix:
    """Put the time token before the actions, so that the context does not depend on it."""

    def mix(actions: Tensor, time: Tensor | None = None) -> Tensor:
        if time is None:
            return conditioned(actions)
        return conditioned(torch.cat([time, actions], dim=1))[:, 1:]

    return mix


def time_first(backbone: Backbone, context: Tensor) -> Mix:
    """Put the time token before the context (B, S, D), as published: nothing can be kept."""

    def mix(actions: Tensor, time: Tensor | None = None) -> Tensor:
        if time is None:
            raise ValueError("time: first is for heads that have a time token")
        return backbone(torch.cat([time, context], dim=1), actions)

    return mix


class RegressionHead(nn.Module):
    """Behaviour cloning: one learned query per row, read out linearly."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.queries = learned_tokens(config.chunk, config.token_width)
        self.action_pred = nn.Linear(config.token_width, config.action_size)

    def sample(
        self, mix: Mix, positions: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return normalised actions (B, A, F).

        Args:
            mix: Looks at the context.
            positions: For the tokens of noisy actions, shape (B, A, D). Queries have none.
            generator: Source of chance for other heads.
        """
        del generator
        queries = self.queries.expand(len(positions), -1, -1)  # (B, A, D)
        actions: Tensor = self.action_pred(mix(queries))
        return actions

    def loss(
        self,
        mix: Mix,
        positions: Tensor,
        actions: Tensor,
        mask: Tensor,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the mean squared error over the rows that exist.

        Args:
            mix: Looks at the context.
            positions: See `sample`.
            actions: Normalised targets, shape (B, A, F).
            mask: 1 where a target exists, 0 past the end of an episode, shape (B, A).
            generator: See `sample`.
        """
        predicted = self.sample(mix, positions, generator)
        return masked_mean((predicted.float() - actions).square(), mask)


class DenoisingHead(nn.Module):
    """What diffusion and flow share: a network of noisy actions and their noise level."""

    action_low: Tensor
    action_high: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.token_width
        self.steps = config.head.steps
        self.action_emb = nn.Linear(config.action_size, width)
        self.time_emb = nn.Sequential(
            SinusoidalEmbedding(width),
            nn.Linear(width, 2 * width),
            nn.Mish(),
            nn.Linear(2 * width, width),
        )
        self.action_pred = nn.Linear(width, config.action_size)
        self.register_buffer("action_low", torch.full((config.action_size,), -_WIDEST_BOUND))
        self.register_buffer("action_high", torch.full((config.action_size,), _WIDEST_BOUND))

    def set_bounds(self, low: Tensor, high: Tensor) -> None:
        """Set between which normalised actions (F,) samples must lie."""
        if not bool((low < high).all()):
            raise ValueError(f"bounds must be low < high, got {low.tolist()}, {high.tolist()}")
        self.action_low.copy_(low)
        self.action_high.copy_(high)

    def network(self, mix: Mix, positions: Tensor, noisy: Tensor, time: Tensor) -> Tensor:
        """Predict from noisy actions (B, A, F) and noise levels (B,); return (B, A, F)."""
        tokens = self.action_emb(noisy) + positions  # (B, A, D)
        predicted: Tensor = self.action_pred(mix(tokens, self.time_emb(time).unsqueeze(1)))
        return predicted

    def normal(self, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
        """Draw normal numbers (..., F) on the processor, so that all devices get the same."""
        drawn = torch.randn((*shape, len(self.action_low)), generator=generator)
        return drawn.to(self.action_low)


class DiffusionHead(DenoisingHead):
    """Denoising diffusion: predicts the noise, takes it away level by level (DDPM)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.schedule = Schedule(self.steps)

    def sample(
        self, mix: Mix, positions: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return normalised actions (B, A, F); positions have the shape (B, A, D)."""
        noise = self.normal((self.steps + 1, *positions.shape[:2]), generator)
        return self.schedule.sample(
            lambda noisy, level: self.network(mix, positions, noisy, level),
            noise,
            self.action_low,
            self.action_high,
        )

    def loss(
        self,
        mix: Mix,
        positions: Tensor,
        actions: Tensor,
        mask: Tensor,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the mean squared error of the noise; one level per sample."""
        level = torch.randint(0, self.steps, (len(actions),), generator=generator)
        level = level.to(actions.device)
        noise = self.normal(tuple(actions.shape[:2]), generator)
        noisy = self.schedule.add_noise(actions, noise, level)
        predicted = self.network(mix, positions, noisy, level)
        return masked_mean((predicted.float() - noise).square(), mask)


class FlowHead(DenoisingHead):
    """Flow matching on straight lines from noise to actions: few steps are enough.

    Liu et al., arXiv 2209.03003; Lipman et al., arXiv 2210.02747.
    """

    def sample(
        self, mix: Mix, positions: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return normalised actions (B, A, F); positions have the shape (B, A, D)."""
        x = self.normal(tuple(positions.shape[:2]), generator)
        for step in range(self.steps):
            time = x.new_full((len(x),), step / self.steps)
            x = x + self._velocity(mix, positions, x, time) / self.steps
        return torch.clamp(x, self.action_low, self.action_high)

    def loss(
        self,
        mix: Mix,
        positions: Tensor,
        actions: Tensor,
        mask: Tensor,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the mean squared error of the velocity; one time per sample."""
        noise = self.normal(tuple(actions.shape[:2]), generator)
        time = torch.rand(len(actions), generator=generator).to(actions)
        share = time.view(-1, 1, 1)
        between = (1.0 - share) * noise + share * actions
        predicted = self._velocity(mix, positions, between, time)
        return masked_mean((predicted.float() - (actions - noise)).square(), mask)

    def _velocity(self, mix: Mix, positions: Tensor, x: Tensor, time: Tensor) -> Tensor:
        return self.network(mix, positions, x, _FLOW_TIME_SCALE * time)


class SinusoidalEmbedding(nn.Module):
    """Writes a number as sines and cosines of many periods (arXiv 1706.03762)."""

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        exponents = torch.arange(half) / max(half - 1, 1)
        self.register_buffer("frequencies", _LONGEST_PERIOD**-exponents, persistent=False)

    def forward(self, numbers: Tensor) -> Tensor:
        """Return (B, D) for numbers (B,)."""
        angles = numbers.to(self.frequencies.dtype).unsqueeze(-1) * self.frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


Head = RegressionHead | DiffusionHead | FlowHead


def make_head(config: ModelConfig) -> Head:
    """Build the head that a config names."""
    match config.head.kind:
        case HeadKind.BC:
            return RegressionHead(config)
        case HeadKind.DDP:
            return DiffusionHead(config)
        case HeadKind.FLOW:
            return FlowHead(config)


def masked_mean(errors: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of errors (B, A, F) over rows whose mask (B, A) is 1."""
    rows = torch.einsum("baf,ba->", errors, mask.to(errors.dtype))
    return rows / (mask.sum().clamp(min=1) * errors.shape[-1])
