"""Says when a picture was captured, on the computer's clock.

RealSense devices stamp with the computer's time (the SDK maps their clock onto it: "global
time"), or, with old firmware or drivers, with their own clock, which counts from power-up.
"""

from collections import deque
from typing import Protocol

from mail_policy.core.devices import CameraError

# The device's clock is a 32-bit count of microseconds: it begins anew after 71.6 minutes.
TURN_S = 2.0**32 * 1e-6
# Long enough to meet a picture without delay, short enough for a drift of 50 ppm to stay small.
_WINDOW_S = 5.0
# In so many seconds at 30 Hz, delays that vary by 10 ms come within 1 ms of their least.
_LEARNING_S = 2.0
_NEAR_TURN_S = 60.0
# Pictures may overtake each other by less than this [s].
_RESTART_S = 1.0


class StampClock(Protocol):
    """Translates the stamps of a device."""

    def captured_at_s(
        self, stamp_s: float, received_at_s: float, *, is_comparable: bool
    ) -> float | None:
        """Return when a picture was captured [s]; None while that is not known yet.

        Args:
            stamp_s: The device's stamp [s].
            received_at_s: When the picture arrived, on the computer's clock [s].
            is_comparable: The stamp is on the computer's clock already.
        """
        ...


class OffsetEstimator:
    """Finds the offset between two clocks from pictures that arrive with varying delay.

    The picture with the least delay of a window tells offset plus least delay; what the least
    delay is cannot be seen from the stamps, and has to be measured once.
    """

    def __init__(self, least_delay_s: float) -> None:
        self._least_delay_s = least_delay_s
        # Pairs of stamp and delay, both on the device's clock.
        self._candidates: deque[tuple[float, float]] = deque()
        self._first_s: float | None = None
        self._last_s = -float("inf")
        self._turns = 0

    def offset_s(self, stamp_s: float, received_at_s: float) -> float | None:
        """Return what to add to the device's stamps [s]; None while it learns.

        Args:
            stamp_s: The device's stamp of a picture that has just arrived [s].
            received_at_s: When it arrived [s].
        """
        stamp_s = self._unwrapped_s(stamp_s)
        if self._first_s is None:
            self._first_s = stamp_s
        delay_s = received_at_s - stamp_s
        # Only samples that may still become the least are kept, least first.
        while self._candidates and self._candidates[-1][1] >= delay_s:
            self._candidates.pop()
        self._candidates.append((stamp_s, delay_s))
        while self._candidates[0][0] < stamp_s - _WINDOW_S:
            self._candidates.popleft()
        if stamp_s - self._first_s < _LEARNING_S:
            return None
        # The turns make the offset one of the stamp as the device gave it.
        return self._candidates[0][1] - self._least_delay_s + self._turns * TURN_S

    def _unwrapped_s(self, stamp_s: float) -> float:
        if self._last_s > TURN_S - _NEAR_TURN_S and stamp_s < _NEAR_TURN_S:
            self._turns += 1
        elif stamp_s < self._last_s - _RESTART_S:
            # The device was restarted: another offset has to be learnt.
            self._candidates.clear()
            self._first_s, self._turns = None, 0
        self._last_s = stamp_s
        return stamp_s + self._turns * TURN_S


class DeviceClock:
    """The clock of a live device."""

    def __init__(self, camera_name: str, transport_latency_s: float | None) -> None:
        """Describe the device.

        Args:
            camera_name: For error messages.
            transport_latency_s: Least time from capture to arrival [s]; None if not measured.
        """
        self._camera_name = camera_name
        self._estimator = (
            None if transport_latency_s is None else OffsetEstimator(transport_latency_s)
        )

    def captured_at_s(
        self, stamp_s: float, received_at_s: float, *, is_comparable: bool
    ) -> float | None:
        """Return when a picture was captured [s]; None while that is not known yet."""
        if is_comparable:
            return stamp_s
        if self._estimator is None:
            raise CameraError(
                f"camera {self._camera_name!r} stamps with its own clock, which cannot be "
                f"compared to the robot's time; update its firmware so that global time is "
                f"available, or measure its latency and set transport_latency_s"
            )
        offset_s = self._estimator.offset_s(stamp_s, received_at_s)
        return None if offset_s is None else stamp_s + offset_s
