"""Produces a chunk of normalised actions from context tokens, and says how wrong it was.

Letters used for shapes in this file:
    B  batch                 S  context tokens
    A  predicted rows        D  token width
    F  numbers per row
"""

import torch
from torch import Tensor, nn

from mail_policy.models.backbones import Backbone
from mail_policy.models.stacks import learned_tokens


class RegressionHead(nn.Module):
    """Behaviour cloning: one learned query per row, read out linearly."""

    def __init__(self, chunk: int, token_width: int, action_size: int) -> None:
        super().__init__()
        self.queries = learned_tokens(chunk, token_width)
        self.action_pred = nn.Linear(token_width, action_size)

    def predict(self, mix: Backbone, context: Tensor) -> Tensor:
        """Return normalised actions: (B, S, D) to (B, A, F)."""
        queries = self.queries.expand(len(context), -1, -1)  # (B, A, D)
        actions: Tensor = self.action_pred(mix(context, queries))
        return actions

    def loss(self, mix: Backbone, context: Tensor, actions: Tensor, mask: Tensor) -> Tensor:
        """Return the mean squared error over the rows that exist.

        Args:
            mix: The backbone.
            context: Shape (B, S, D).
            actions: Normalised targets, shape (B, A, F).
            mask: 1 where a target exists, 0 past the end of an episode, shape (B, A).
        """
        return masked_mean((self.predict(mix, context).float() - actions).square(), mask)


def masked_mean(errors: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of errors (B, A, F) over rows whose mask (B, A) is 1."""
    rows = torch.einsum("baf,ba->", errors, mask.to(errors.dtype))
    return rows / (mask.sum().clamp(min=1) * errors.shape[-1])
