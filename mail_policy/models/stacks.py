"""Layers on top of each other, with residual paths and norms before every layer.

Letters used for shapes in this file:
    B  batch    L  length of the sequence    D  token width
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mail_policy.models.config import MambaConfig
from mail_policy.models.mamba import MambaLayer, MambaState


class ResidualLayer(nn.Module):
    """Norm and mixer of one layer; the residual path is the stack's."""

    def __init__(self, config: MambaConfig, token_width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(token_width)
        self.mixer = MambaLayer(config, token_width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return what the layer adds: (B, L, D) to (B, L, D)."""
        added: Tensor = self.mixer(self.norm(tokens))
        return added

    def step(self, token: Tensor, state: MambaState) -> tuple[Tensor, MambaState]:
        """Return what the layer adds to one token (B, 1, D), and its new state."""
        return self.mixer.step(self.norm(token), state)


class MambaStack(nn.Module):
    """Mixes a sequence causally through several layers."""

    def __init__(self, config: MambaConfig, token_width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            ResidualLayer(config, token_width) for _ in range(config.layers)
        )
        self.norm_f = nn.LayerNorm(token_width)

    def forward(self, tokens: Tensor, memory: Tensor | None = None) -> Tensor:
        """Mix a sequence.

        Args:
            tokens: Shape (B, L, D).
            memory: What an encoder made of a sequence of the same length, (B, L, D). It is added
                after every layer, position by position ("Mamba aggregation" of the paper).

        Returns:
            Shape (B, L, D).
        """
        if memory is not None and memory.shape != tokens.shape:
            raise ValueError(
                f"memory must have the shape of the tokens, {tuple(tokens.shape)}, "
                f"got {tuple(memory.shape)}"
            )
        for layer in self.layers:
            added = layer(tokens)
            tokens = tokens + (added if memory is None else added + memory)
        mixed: Tensor = self.norm_f(tokens)
        return mixed

    def empty_state(self, batch: int) -> list[MambaState]:
        """Return the states of all layers before the first token."""
        return [layer.mixer.empty_state(batch) for layer in self._typed_layers()]

    def step(self, token: Tensor, states: Sequence[MambaState]) -> tuple[Tensor, list[MambaState]]:
        """Take one token (B, 1, D); return the output (B, 1, D) and the new states."""
        new_states = []
        for layer, state in zip(self._typed_layers(), states, strict=True):
            added, new_state = layer.step(token, state)
            token = token + added
            new_states.append(new_state)
        return self.norm_f(token), new_states

    def _typed_layers(self) -> list[ResidualLayer]:
        return list(self.layers)  # type: ignore[arg-type]


def overwrite_initial_values(module: nn.Module) -> None:
    """Start from the published code's values, which lose Mamba's own (mail-model.md 2.8).

    Every Linear gets N(0, 0.02) and no bias, also the one that sets Mamba's step sizes, so that
    all of them start at softplus(0) = 0.69.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.LayerNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)


def learned_tokens(count: int, token_width: int) -> nn.Parameter:
    """Return a table of learned tokens, shape (count, D)."""
    return nn.Parameter(0.02 * torch.randn(count, token_width))
