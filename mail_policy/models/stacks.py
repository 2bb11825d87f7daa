"""Layers on top of each other, with residual paths and norms before every layer.

Letters used for shapes in this file:
    B  batch    L  length of the sequence    D  token width    M  tokens of the encoder
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mail_policy.models.attention import CausalAttention, CrossAttention, FeedForward, KeysAndValues
from mail_policy.models.config import MixerKind, StackConfig
from mail_policy.models.mixers import Mixer, make_mixer
from mail_policy.models.state import State


class MixerLayer(nn.Module):
    """Norm, mixer, residual path."""

    def __init__(self, config: StackConfig, token_width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(token_width)
        self.mixer: Mixer = make_mixer(config, token_width)  # type: ignore[assignment]

    def empty_state(self, batch: int) -> State:
        """Return the state before the first token."""
        return self.mixer.empty_state(batch)

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Return tokens (B, L, D) with what the mixer adds, and the new state."""
        added, new_state = self.mixer(self.norm(tokens), state)
        return tokens + added, new_state

    def step(self, token: Tensor, state: State) -> tuple[Tensor, State]:
        """As `forward`, for one token."""
        added, new_state = self.mixer.step(self.norm(token), state)
        return token + added, new_state


class AttentionLayer(nn.Module):
    """A Transformer layer: attention, then a feed-forward part, each with norm and residual."""

    attention_type: type[CausalAttention] = CausalAttention

    def __init__(self, config: StackConfig, token_width: int) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(token_width, bias=False)
        self.attn = self.attention_type(config, token_width)
        self.ln2 = nn.LayerNorm(token_width, bias=False)
        self.mlp = FeedForward(token_width, config.dropout)

    def empty_state(self, batch: int) -> State:
        """Return the state before the first token."""
        return self.attn.empty_state(batch)

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Return tokens (B, L, D) with what the layer adds, and the new state."""
        added, new_state = self.attn(self.ln1(tokens), state)
        tokens = tokens + added
        return tokens + self.mlp(self.ln2(tokens)), new_state

    step = forward


class CrossAttentionLayer(AttentionLayer):
    """A Transformer layer that looks at an encoder as well."""

    attention_type = CrossAttention
    attn: CrossAttention

    def mix(self, tokens: Tensor, state: State, memory: KeysAndValues) -> tuple[Tensor, State]:
        """Return tokens (B, L, D) with what the layer adds, and the new state."""
        added, new_state = self.attn.mix(self.ln1(tokens), state, memory)
        tokens = tokens + added
        return tokens + self.mlp(self.ln2(tokens)), new_state


class Stack(nn.Module):
    """Mixes a sequence causally through several layers."""

    def __init__(self, config: StackConfig, token_width: int) -> None:
        super().__init__()
        is_transformer = config.mixer is MixerKind.ATTENTION
        layer_type = AttentionLayer if is_transformer else MixerLayer
        self.layers = nn.ModuleList(layer_type(config, token_width) for _ in range(config.layers))
        self.norm_f = nn.LayerNorm(token_width, bias=not is_transformer)

    def empty_state(self, batch: int) -> State:
        """Return the states of all layers before the first token."""
        return State(tuple(layer.empty_state(batch) for layer in self._typed_layers()))

    def forward(
        self, tokens: Tensor, state: State | None = None, memory: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Mix a sequence.

        Args:
            tokens: Shape (B, L, D).
            state: From the tokens before these; None if there are none.
            memory: What an encoder made of a sequence of the same length, (B, L, D). It is added
                after every layer, position by position ("Mamba aggregation" of the paper).

        Returns:
            Shape (B, L, D), and the state after the last token.
        """
        if memory is not None and memory.shape != tokens.shape:
            raise ValueError(
                f"memory must have the shape of the tokens, {tuple(tokens.shape)}, "
                f"got {tuple(memory.shape)}"
            )
        state = self.empty_state(len(tokens)) if state is None else state
        new_states = []
        for layer, layer_state in zip(self._typed_layers(), state.states(), strict=True):
            run = layer.step if tokens.shape[1] == 1 else layer
            tokens, new_state = run(tokens, layer_state)
            tokens = tokens if memory is None else tokens + memory
            new_states.append(new_state)
        return self.norm_f(tokens), State(tuple(new_states))

    def _typed_layers(self) -> list[MixerLayer | AttentionLayer]:
        return list(self.layers)  # type: ignore[arg-type]


class CrossAttentionStack(nn.Module):
    """Mixes a sequence causally, looking at an encoder's output from every layer."""

    def __init__(self, config: StackConfig, token_width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            CrossAttentionLayer(config, token_width) for _ in range(config.layers)
        )
        self.norm_f = nn.LayerNorm(token_width, bias=False)

    def read_memory(self, memory: Tensor) -> list[KeysAndValues]:
        """Return what each layer needs of the encoder's output (B, M, D)."""
        return [layer.attn.read_memory(memory) for layer in self._typed_layers()]

    def forward(self, tokens: Tensor, memory: Sequence[KeysAndValues]) -> Tensor:
        """Mix tokens (B, L, D), all of the sequence; return (B, L, D)."""
        for layer, pair in zip(self._typed_layers(), memory, strict=True):
            tokens, _ = layer.mix(tokens, layer.empty_state(len(tokens)), pair)
        mixed: Tensor = self.norm_f(tokens)
        return mixed

    def _typed_layers(self) -> list[CrossAttentionLayer]:
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
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def learned_tokens(count: int, token_width: int) -> nn.Parameter:
    """Return a table of learned tokens, shape (count, D)."""
    return nn.Parameter(0.02 * torch.randn(count, token_width))
