"""Lets action tokens look at context tokens: decoder alone, aggregation, or cross-attention.

A policy plans many times from one context, and a denoising head asks many times per plan. So
every backbone can take the context first, once, and mix action tokens into it afterwards, as
often as wanted: `condition` returns a function that does so and changes nothing.

Letters used for shapes in this file:
    B  batch                 S  context tokens (L of them at a time)
    A  action tokens         D  token width
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from mail_policy.models.config import BackboneConfig, BackboneKind
from mail_policy.models.stacks import CrossAttentionStack, Stack, learned_tokens
from mail_policy.models.state import Memory, State

# Mixes action tokens (B, A, D) into a context that was given before; returns (B, A, D).
Conditioned = Callable[[Tensor], Tensor]


class Backbone(Protocol):
    """What a head may ask for."""

    def __call__(self, context: Tensor, actions: Tensor) -> Tensor:
        """Mix context (B, S, D) into action tokens (B, A, D); return (B, A, D)."""
        ...

    def condition(self, context: Tensor) -> Conditioned:
        """Take the context (B, S, D); return what mixes it into action tokens."""
        ...


class RecurrentBackbone(nn.Module):
    """A backbone that can also be given its context token by token, without end."""

    def empty_state(self, batch: int) -> Memory:
        """Return the state before the first context token."""
        raise NotImplementedError

    def observe(self, context: Tensor, state: Memory) -> Memory:
        """Take more context tokens (B, L, D); return the new state."""
        raise NotImplementedError

    def fork(self, state: Memory, batch: int) -> Conditioned:
        """Return what mixes the context so far into action tokens. The state stays as it is."""
        raise NotImplementedError

    def condition(self, context: Tensor) -> Conditioned:
        """Take the whole context (B, S, D); return what mixes it into action tokens."""
        batch = len(context)
        return self.fork(self.observe(context, self.empty_state(batch)), batch)


class DecoderOnly(RecurrentBackbone):
    """D-Ma, D-Tr: one stack over the context, then the actions.

    The actions go last because the stack is causal: each must look back at the whole context.
    """

    def __init__(self, config: BackboneConfig, token_width: int) -> None:
        super().__init__()
        self.decoder = Stack(config.decoder, token_width)

    def forward(self, context: Tensor, actions: Tensor) -> Tensor:
        """Mix context (B, S, D) into action tokens (B, A, D); return (B, A, D)."""
        mixed: Tensor = self.decoder(torch.cat([context, actions], dim=1))[0]  # (B, S + A, D)
        return mixed[:, context.shape[1] :]

    def empty_state(self, batch: int) -> Memory:
        """Return the state before the first context token."""
        return self.decoder.empty_state(batch)

    def observe(self, context: Tensor, state: Memory) -> Memory:
        """Take more context tokens (B, L, D); return the new state."""
        new_state: Memory = self.decoder(context, state)[1]
        return new_state

    def fork(self, state: Memory, batch: int) -> Conditioned:
        """Return what mixes the context so far into action tokens."""
        return lambda actions: self.decoder(actions, state)[0]


class Aggregation(RecurrentBackbone):
    """ED-Ma: two stacks over sequences of one layout, joined position by position.

    Learned variables stand for the actions in the encoder and for the context in the decoder.

    Args:
        config: The stacks.
        token_width: D.
        context_size: Rows of the table of context variables: one per place in the window, or a
            single one for all places of an endless context.
        action_slots: Action tokens, the one with the noise level included if it is among them.
    """

    def __init__(
        self, config: BackboneConfig, token_width: int, context_size: int, action_slots: int
    ) -> None:
        super().__init__()
        if config.encoder is None:
            raise ValueError("an encoder-decoder needs an encoder, got none")
        self.encoder = Stack(config.encoder, token_width)
        self.decoder = Stack(config.decoder, token_width)
        self.action_variables = learned_tokens(action_slots, token_width)
        self.context_variables = learned_tokens(context_size, token_width)

    def forward(self, context: Tensor, actions: Tensor) -> Tensor:
        """Mix context (B, S, D) into action tokens (B, A, D); return (B, A, D)."""
        variables = self.action_variables.expand(len(context), -1, -1)  # (B, A, D)
        memory = self.encoder(torch.cat([context, variables], dim=1))[0]  # (B, S + A, D)
        tokens = torch.cat([self._variables_like(context), actions], dim=1)  # (B, S + A, D)
        mixed: Tensor = self.decoder(tokens, memory=memory)[0]
        return mixed[:, context.shape[1] :]

    def empty_state(self, batch: int) -> Memory:
        """Return the state before the first context token."""
        return State((self.encoder.empty_state(batch), self.decoder.empty_state(batch)))

    def observe(self, context: Tensor, state: Memory) -> Memory:
        """Take more context tokens (B, L, D); return the new state."""
        encoder_state, decoder_state = _of_both_stacks(state)
        memory, encoder_state = self.encoder(context, encoder_state)  # (B, L, D)
        _, decoder_state = self.decoder(self._variables_like(context), decoder_state, memory)
        return State((encoder_state, decoder_state))

    def fork(self, state: Memory, batch: int) -> Conditioned:
        """Return what mixes the context so far into action tokens."""
        encoder_state, decoder_state = _of_both_stacks(state)
        variables = self.action_variables.expand(batch, -1, -1)  # (B, A, D)
        memory = self.encoder(variables, encoder_state)[0]  # (B, A, D)
        return lambda actions: self.decoder(actions, decoder_state, memory)[0]

    def _variables_like(self, context: Tensor) -> Tensor:
        """Return the variables that stand for context tokens in the decoder, (B, L, D)."""
        rows = self.context_variables[: context.shape[1]]
        return rows.expand(*context.shape[:2], -1)


def _of_both_stacks(state: Memory) -> tuple[Any, Any]:
    if not isinstance(state, State):
        raise TypeError(f"expected the states of two stacks, got {type(state).__name__}")
    encoder_state, decoder_state = state.parts
    return encoder_state, decoder_state


class CrossAttentionBackbone(nn.Module):
    """ED-Tr: an encoder over the context, a decoder over the actions that attends to it."""

    def __init__(self, config: BackboneConfig, token_width: int) -> None:
        super().__init__()
        if config.encoder is None:
            raise ValueError("an encoder-decoder needs an encoder, got none")
        self.encoder = Stack(config.encoder, token_width)
        self.decoder = CrossAttentionStack(config.decoder, token_width)

    def forward(self, context: Tensor, actions: Tensor) -> Tensor:
        """Mix context (B, S, D) into action tokens (B, A, D); return (B, A, D)."""
        return self.condition(context)(actions)

    def condition(self, context: Tensor) -> Conditioned:
        """Take the context (B, S, D); return what mixes it into action tokens."""
        memory = self.decoder.read_memory(self.encoder(context)[0])
        return lambda actions: self.decoder(actions, memory)


def make_backbone(
    config: BackboneConfig, token_width: int, context_size: int, action_slots: int
) -> DecoderOnly | Aggregation | CrossAttentionBackbone:
    """Build the backbone that a config names."""
    match config.kind:
        case BackboneKind.DECODER_ONLY:
            return DecoderOnly(config, token_width)
        case BackboneKind.AGGREGATION:
            return Aggregation(config, token_width, context_size, action_slots)
        case BackboneKind.CROSS_ATTENTION:
            return CrossAttentionBackbone(config, token_width)
