"""What a training step learns from, on any device.

Letters used for shapes in this file:
    B  decisions of this process         A  rows of a chunk
    N  frames that the decisions see     T  observations of a window
    K  decisions in a row, of one segment of an episode
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor

from mail_policy.data.augment import Changes, change_pictures


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Decisions, and the frames that they look at.

    Attributes:
        pictures: Per camera, RGB uint8, shape (N, rows, columns, 3).
        changes: Per camera, how its pictures are augmented.
        proprio: Normalised, shape (N, 8).
        windows: Position in the frames of each observation of each window, shape (B, T).
        tasks: Numbers of the sentences, shape (B,).
        actions: Normalised targets, shape (B, A, size).
        mask: 1 where a target counts, shape (B, A).
        mask_of_all: The masks of all processes, shape (B of all, A). A mean over the batch has to
            divide by what counts in it.
        steps: K; rows are ordered by segment, then by step.
    """

    pictures: tuple[Tensor, ...]
    changes: tuple[Changes, ...]
    proprio: Tensor
    windows: Tensor
    tasks: Tensor
    actions: Tensor
    mask: Tensor
    mask_of_all: Tensor
    steps: int

    @property
    def images(self) -> tuple[Tensor, ...]:
        """Make the pictures ready for the model: per camera (N, 3, rows, columns), around [0, 1].

        This is done when asked for, on the device of the batch: what travels there is a quarter
        as large.
        """
        pairs = zip(self.pictures, self.changes, strict=True)
        return tuple(change_pictures(pictures, changes) for pictures, changes in pairs)

    def moved(self, move: Callable[[Tensor], Tensor]) -> Self:
        """Return the same batch with every tensor moved, for example to another device."""
        moved: Self = _with_moved_tensors(self, move)
        return moved


def _with_moved_tensors(value: Any, move: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return move(value)
    if isinstance(value, tuple):
        return tuple(_with_moved_tensors(item, move) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        moved = {name: _with_moved_tensors(item, move) for name, item in fields.items()}
        return dataclasses.replace(value, **moved)
    return value
