"""How old the newest message of every input is, also when the clock of the stack stands still."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Arrival:
    lag_s: float
    received_s: float


class InputAges:
    """Adds up how old a message was when it came, and how long ago that is.

    The first part is ROS time. The second is steady time: on a twin that has died ROS time
    stands still, and silence must show all the same.

    Args:
        names: The inputs, in the order in which they are shown.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._arrivals: dict[str, _Arrival | None] = dict.fromkeys(names)

    def note(self, name: str, *, lag_s: float, steady_s: float) -> None:
        """Note a message.

        Args:
            name: The input.
            lag_s: Age of the message on arrival [s]; below 0 only by jitter of clocks.
            steady_s: Now, on a steady clock [s].
        """
        self._arrivals[name] = _Arrival(max(0.0, lag_s), steady_s)

    def at(self, steady_s: float) -> dict[str, float | None]:
        """Return the age of every input [s] at a steady time [s]; None if nothing has come."""
        return {
            name: None if arrival is None else arrival.lag_s + steady_s - arrival.received_s
            for name, arrival in self._arrivals.items()
        }
