"""Lets action tokens look at context tokens: decoder only (D-Ma), or encoder-decoder (ED-Ma).

Letters used for shapes in this file:
    B  batch                 S  context tokens
    A  action tokens         D  token width
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from mail_policy.models.config import BackboneConfig, BackboneKind
from mail_policy.models.stacks import MambaStack, learned_tokens


class Backbone(Protocol):
    """What a head may ask for."""

    def __call__(self, context: Tensor, actions: Tensor) -> Tensor:
        """Mix context (B, S, D) into action tokens (B, A, D); return (B, A, D)."""
        ...


class DecoderOnlyMamba(nn.Module):
    """D-Ma: one stack over the context, then the actions.

    The actions go last because the stack is causal: each must look back at the whole context.
    """

    def __init__(self, config: BackboneConfig, token_width: int) -> None:
        super().__init__()
        self.decoder = MambaStack(config.decoder, token_width)

    def forward(self, context: Tensor, actions: Tensor) -> Tensor:
        """Mix context (B, S, D) into action tokens (B, A, D); return (B, A, D)."""
        mixed: Tensor = self.decoder(torch.cat([context, actions], dim=1))  # (B, S + A, D)
        return mixed[:, context.shape[1] :]


class EncoderDecoderMamba(nn.Module):
    """ED-Ma: two stacks over sequences of one layout, joined position by position.

    Learned variables stand for the actions in the encoder and for the context in the decoder.
    """

    def __init__(
        self, config: BackboneConfig, token_width: int, context_size: int, chunk: int
    ) -> None:
        super().__init__()
        if config.encoder is None:
            raise ValueError("an encoder-decoder needs an encoder, got none")
        self.encoder = MambaStack(config.encoder, token_width)
        self.decoder = MambaStack(config.decoder, token_width)
        self.action_variables = learned_tokens(chunk, token_width)
        self.context_variables = learned_tokens(context_size, token_width)

    def forward(self, context: Tensor, actions: Tensor) -> Tensor:
        """Mix context (B, S, D) into action tokens (B, A, D); return (B, A, D)."""
        batch, size = context.shape[:2]
        action_variables = self.action_variables.expand(batch, -1, -1)  # (B, A, D)
        context_variables = self.context_variables[:size].expand(batch, -1, -1)  # (B, S, D)
        memory = self.encoder(torch.cat([context, action_variables], dim=1))  # (B, S + A, D)
        mixed: Tensor = self.decoder(torch.cat([context_variables, actions], dim=1), memory)
        return mixed[:, size:]


def make_backbone(
    config: BackboneConfig, token_width: int, context_size: int, chunk: int
) -> DecoderOnlyMamba | EncoderDecoderMamba:
    """Build the backbone that a config names."""
    if config.kind is BackboneKind.ED_MA:
        return EncoderDecoderMamba(config, token_width, context_size, chunk)
    return DecoderOnlyMamba(config, token_width)
