"""Attention layers of the Transformers that MaIL is compared with (D-Tr, ED-Tr).

Names of parameters are those of the published code (mail-model.md 5).

Letters used for shapes in this file:
    B  batch                 L  length of the sequence
    D  token width           H  heads
    P  tokens seen before    M  tokens of the encoder
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from mail_policy.models.config import StackConfig
from mail_policy.models.state import State

KeysAndValues = tuple[Tensor, Tensor]


class CausalAttention(nn.Module):
    """Self-attention to the past, whose keys and values are its state."""

    def __init__(self, config: StackConfig, token_width: int) -> None:
        super().__init__()
        self._heads = config.heads
        self._dropout = config.dropout
        self.query = nn.Linear(token_width, token_width)
        self.key = nn.Linear(token_width, token_width)
        self.value = nn.Linear(token_width, token_width)
        self.proj = nn.Linear(token_width, token_width)
        self.resid_drop = nn.Dropout(config.dropout)

    def empty_state(self, batch: int) -> State:
        """Return the state before the first token: nothing to look at."""
        width = self.key.out_features // self._heads
        empty = self.key.weight.new_zeros(batch, self._heads, 0, width)
        return State((empty, empty))

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Mix (B, L, D); return (B, L, D), and the state after the last token."""
        mixed, new_state = self._look_back(tokens, state)
        return self._project(mixed), new_state

    step = forward

    def _look_back(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        keys, values = (
            torch.cat([old, self._split(new)], dim=2)  # (B, H, P + L, D / H)
            for old, new in zip(
                state.tensors(), (self.key(tokens), self.value(tokens)), strict=True
            )
        )
        query = self._split(self.query(tokens))  # (B, H, L, D / H)
        length, total = query.shape[2], keys.shape[2]
        mask = None
        if 1 < length < total:
            mask = torch.ones(length, total, dtype=torch.bool, device=query.device)
            mask = mask.tril(total - length)
        # torch's own causal mask is only right when nothing came before.
        causal = length > 1 and mask is None
        return self._attend(query, (keys, values), mask, causal=causal), State((keys, values))

    def _attend(
        self, query: Tensor, pair: KeysAndValues, mask: Tensor | None = None, *, causal: bool
    ) -> Tensor:
        """Return what each query (B, H, L, D / H) reads."""
        dropout = self._dropout if self.training else 0.0
        return functional.scaled_dot_product_attention(
            query, *pair, attn_mask=mask, dropout_p=dropout, is_causal=causal
        )

    def _split(self, tokens: Tensor) -> Tensor:
        """Give every head its share: (B, L, D) to (B, H, L, D / H)."""
        return tokens.view(*tokens.shape[:2], self._heads, -1).transpose(1, 2)

    def _project(self, mixed: Tensor) -> Tensor:
        """Join the heads: (B, H, L, D / H) to (B, L, D)."""
        joined: Tensor = self.resid_drop(self.proj(mixed.transpose(1, 2).flatten(2)))
        return joined


class CrossAttention(CausalAttention):
    """Self-attention and attention to an encoder, added before one shared projection.

    So published: both read the same normalised tokens, and the sum is projected once.
    """

    def __init__(self, config: StackConfig, token_width: int) -> None:
        super().__init__(config, token_width)
        self.cross_query = nn.Linear(token_width, token_width)
        self.cross_key = nn.Linear(token_width, token_width)
        self.cross_value = nn.Linear(token_width, token_width)

    def read_memory(self, memory: Tensor) -> KeysAndValues:
        """Return keys and values of the encoder's output (B, M, D), once per sequence."""
        return self._split(self.cross_key(memory)), self._split(self.cross_value(memory))

    def mix(self, tokens: Tensor, state: State, memory: KeysAndValues) -> tuple[Tensor, State]:
        """Mix (B, L, D) with itself and with the encoder's output."""
        back, new_state = self._look_back(tokens, state)
        across = self._attend(self._split(self.cross_query(tokens)), memory, causal=False)
        return self._project(back + across), new_state


class FeedForward(nn.Sequential):
    """The part of a Transformer layer that looks at one token at a time."""

    def __init__(self, token_width: int, dropout: float) -> None:
        super().__init__(
            nn.Linear(token_width, 4 * token_width),
            nn.GELU(),
            nn.Linear(4 * token_width, token_width),
            nn.Dropout(dropout),
        )
