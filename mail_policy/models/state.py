"""What a network remembers between tokens: an explicit value that nothing changes in place.

Letters used for shapes in this file:
    B  batch
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor


class Memory(Protocol):
    """What a caller may do with a state without knowing what is in it."""

    def clone(self) -> Self:
        """Return a copy that shares no memory."""
        ...

    def detach(self) -> Self:
        """Return the same values without their history of gradients."""
        ...

    def reset(self, rows: Tensor) -> Self:
        """Return a state in which the rows (B,) that are True are as before the first token."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """A tree of tensors whose first axis is the batch. All zeros: before the first token.

    Attributes:
        parts: Tensors of shape (B, ...), or states.
        is_empty: Whether it is known, without looking, that nothing came before.
    """

    parts: tuple["Tensor | Memory", ...]
    is_empty: bool = False

    def clone(self) -> "State":
        """Return a copy that shares no memory."""
        return State(tuple(part.clone() for part in self.parts))

    def detach(self) -> "State":
        """Return the same values without their history of gradients."""
        return State(tuple(part.detach() for part in self.parts))

    def reset(self, rows: Tensor) -> "State":
        """Return a state in which the rows (B,) that are True are zero."""
        return State(
            tuple(
                _zero_rows(part, rows) if isinstance(part, Tensor) else part.reset(rows)
                for part in self.parts
            )
        )

    def tensors(self) -> tuple[Tensor, ...]:
        """Return the parts of a state that holds tensors only."""
        if not all(isinstance(part, Tensor) for part in self.parts):
            raise TypeError("this state holds states, not tensors")
        return self.parts  # type: ignore[return-value]

    def states(self) -> "tuple[State, ...]":
        """Return the parts of a state that holds states only."""
        if not all(isinstance(part, State) for part in self.parts):
            raise TypeError("this state holds tensors, not states")
        return self.parts  # type: ignore[return-value]


def join_states(states: Sequence[Memory]) -> State:
    """Return states of one network as one, their batches one after the other: (sum of B, ...)."""
    trees = [state for state in states if isinstance(state, State)]
    if len(trees) != len(states) or not trees:
        raise TypeError("expected at least one state, and states only")
    columns = zip(*(tree.parts for tree in trees), strict=True)
    return State(
        tuple(
            torch.cat(column) if isinstance(column[0], Tensor) else join_states(column)
            for column in columns
        )
    )


def _zero_rows(values: Tensor, rows: Tensor) -> Tensor:
    mask = rows.view(-1, *[1] * (values.ndim - 1))
    return torch.where(mask, torch.zeros_like(values), values)
