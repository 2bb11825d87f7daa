"""Turns the task's text vector into one token.

Raw CLIP vectors of similar sentences are nearly parallel (cosines up to 0.99 within a suite of
LIBERO), so what they share is taken away first, see mail-model.md 6, row 5.

Letters used for shapes in this file:
    B  batch    M  known tasks    V  numbers of a text vector    F  width of the token
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from mail_policy.models.config import TEXT_SIZE, LanguageConfig, TextScaling


def scale_text(vectors: Tensor, scaling: TextScaling) -> Tensor:
    """Make the vectors of the known tasks easy to tell apart.

    Args:
        vectors: As the encoder returned them, one per task, shape (M, V).
        scaling: RAW leaves them as they are (paper); CENTRED takes away what all tasks share,
            and gives unit root mean square.

    Returns:
        Shape (M, V).
    """
    if scaling is TextScaling.RAW:
        return vectors
    unit = functional.normalize(vectors, dim=-1)
    if len(unit) > 1:
        unit = functional.normalize(unit - unit.mean(dim=0), dim=-1)
    scaled: Tensor = unit * float(vectors.shape[-1]) ** 0.5
    return scaled


class LanguageToken(nn.Module):
    """Holds the vectors of a closed set of tasks, and projects the one that is asked for."""

    task_vectors: Tensor

    def __init__(self, config: LanguageConfig, tasks: int, token_width: int) -> None:
        super().__init__()
        self._scaling = config.scaling
        self.register_buffer("task_vectors", torch.zeros(tasks, TEXT_SIZE))
        self.project = nn.Linear(TEXT_SIZE, token_width)

    def set_task_vectors(self, vectors: Tensor) -> None:
        """Store what the text encoder returned for the known tasks, shape (M, V)."""
        if vectors.shape != self.task_vectors.shape:
            raise ValueError(
                f"task vectors must have shape {tuple(self.task_vectors.shape)}, "
                f"got {tuple(vectors.shape)}"
            )
        self.task_vectors.copy_(vectors)

    def forward(self, tasks: Tensor) -> Tensor:
        """Return the tokens of tasks, given by their position in the table: (B,) to (B, 1, F)."""
        token: Tensor = self.project(scale_text(self.task_vectors, self._scaling)[tasks])
        return token.unsqueeze(1)
