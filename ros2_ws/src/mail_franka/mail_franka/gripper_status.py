"""What is known of a gripper, and what that means."""

from dataclasses import replace

from mail_franka.gripper_values import NOT_HOMED, GripperView
from mail_policy.core.types import GripperReading

_TELL_S = 0.05


class GripperStatus:
    """Puts readings, faults and commands together. Not safe for threads; the caller locks.

    Attributes:
        view: What to tell.
        must_reopen: The link is lost; only a new connection helps.
    """

    def __init__(self) -> None:
        self.view = GripperView()
        self.must_reopen = False
        self._link_fault = self._command_fault = ""
        self._num_changes = 0
        self._saw_grasp = False

    @property
    def link_fault(self) -> str:
        """Why there is no link, "" while there is one."""
        return self._link_fault

    @property
    def moment(self) -> int:
        """Ask before a reading is taken: no reading spans the begin or the end of a command."""
        return self._num_changes

    def begin(self, target_width_m: float) -> None:
        """Note that a command begins."""
        self._command_fault = ""
        self.touch()
        self._update(is_moving=True, target_width_m=target_width_m, grasp_lost=False)

    def end(self, *, is_done: bool) -> None:
        """Note that it has ended; what the fingers hold then can be lost."""
        holds = self._saw_grasp and is_done
        self.touch()
        self._saw_grasp = holds
        self._update(is_moving=False)

    def touch(self) -> None:
        """Note that we did something to the fingers: what they let go now is not lost."""
        self._num_changes += 1
        self._saw_grasp = False

    def give_up(self, fault: str) -> None:
        """Note that a command does not end."""
        self._command_fault = fault
        self._update()

    def lose_link(self, fault: str) -> None:
        """Note that the hand cannot be reached."""
        self._link_fault, self.must_reopen = fault, True
        self._update()

    def reopen(self) -> None:
        """Note that there is a new connection."""
        self.must_reopen = False

    def accept(self, reading: GripperReading, moment: int | None = None) -> None:
        """Remember a reading.

        Args:
            reading: The newest reading.
            moment: When it was asked for; None if a command asked when it was done.
        """
        if not self.must_reopen:
            self._link_fault = ""
        is_lost = self.view.grasp_lost
        if moment is None:
            self._saw_grasp = reading.is_grasped
        elif moment == self._num_changes and not self.view.is_moving:
            is_lost = is_lost or (self._saw_grasp and not reading.is_grasped)
            self._saw_grasp = reading.is_grasped
        self._update(reading=reading, grasp_lost=is_lost)

    def _update(self, **changes: object) -> None:
        view = replace(self.view, **changes)  # type: ignore[arg-type]
        is_homed = view.reading is None or view.reading.max_width_m > 0.0
        fault = self._link_fault or self._command_fault or ("" if is_homed else NOT_HOMED)
        self.view = replace(view, fault=fault)


class GripperPacer:
    """Says yes at 20 Hz and at every change of anything but the width."""

    def __init__(self) -> None:
        self._told: object = None
        self._next_s = float("-inf")

    def is_due(self, view: GripperView, now_s: float) -> bool:
        """Whether to tell now [s, steady]."""
        is_grasped = view.reading is not None and view.reading.is_grasped
        facts = (replace(view, reading=None), is_grasped)
        if facts == self._told and now_s < self._next_s:
            return False
        # From the time that was due: looks come too seldom to hit it.
        self._told, self._next_s = facts, max(now_s, self._next_s + _TELL_S)
        return True
