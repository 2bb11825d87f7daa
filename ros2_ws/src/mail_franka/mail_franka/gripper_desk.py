"""Decides whose command a hand gets next: the arm's wishes, or an operator's orders."""

from mail_franka.arm_config import GripperConfig
from mail_franka.gripper_values import Grip, Order, decide_grip, grip_order
from mail_policy.core.types import GripperReading

# The way home opens the hand when it begins, and may be over before the hand has time for that.
_WISH_OUTLIVES = "homing"


class GripperDesk:
    """Holds the newest wish of the arm and at most one order. Not safe for threads.

    Args:
        config: Thresholds.
    """

    def __init__(self, config: GripperConfig) -> None:
        self._config = config
        self._owner = ""
        self._wanted: Grip | None = None
        self._done: Grip | None = None
        self._asked: Order | None = None

    def follow(self, owner: str, width_m: float | None) -> str:
        """Note who holds a lease on the arm and the wanted width [m].

        Returns:
            Why others lose the hand from now on, "" if nothing changed for them.
        """
        taken = f"the arm took the hand for {owner}" if owner and owner != self._owner else ""
        if not owner and self._owner and self._owner != _WISH_OUTLIVES:
            self._wanted = self._done
        self._owner = owner
        if owner and width_m is not None:
            self._wanted = decide_grip(width_m, self._wanted, self._config)
        return taken

    def refusal(self, running: Order | None, link_fault: str) -> str:
        """Return why there is no time for an order, "" if there is."""
        if self._owner:
            return f"the hand belongs to {self._owner} while the arm may move; call arm/stop first"
        if link_fault:
            return f"no link to the hand: {link_fault}"
        busy = running or self._asked
        return f"the hand is busy with {busy.name}; call gripper/stop first" if busy else ""

    def ask(self, order: Order) -> None:
        """Keep an order that was not refused."""
        self._asked = order

    def drop(self) -> Order | None:
        """Forget the order that waits, and return it."""
        order, self._asked = self._asked, None
        return order

    def settle(self) -> None:
        """Count the newest wish as fulfilled; only another one moves the hand again."""
        self._done = self._wanted

    def has_order(self, link_fault: str) -> bool:
        """Whether there is something to do; wishes wait for the link."""
        has_wish = self._wanted is not None and self._wanted is not self._done
        return self._asked is not None or (has_wish and not link_fault)

    def take(self, reading: GripperReading | None) -> Order:
        """Return what to do now, when there is something."""
        order = self.drop()
        if order is not None:
            # Where the fingers end is for the next wish to find out.
            self._wanted = self._done = None
            return order
        assert self._wanted is not None
        self._done = self._wanted
        return grip_order(self._wanted, reading, self._config)

    def put_back(self, order: Order) -> None:
        """Try a wish again that the hand never heard of."""
        if order.grip is self._done:
            self._done = None
