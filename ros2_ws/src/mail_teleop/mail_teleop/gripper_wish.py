"""What a person wants of the gripper. Pure."""

from mail_policy.core.devices import HAND_WIDTH_M
from mail_teleop.readings import DeviceReading, GripperAction


class GripperWish:
    """What the person asks of the fingers since the switch was pressed; the latest wish wins.

    Args:
        trigger_travel_m: How far a trigger is moved before it counts [m].
    """

    def __init__(self, trigger_travel_m: float) -> None:
        self._trigger_travel_m = trigger_travel_m
        self.begin(None)

    def begin(self, trigger_width_m: float | None) -> None:
        """Forget all wishes: whoever takes over must not drop what the fingers hold."""
        self._wish_m: float | None = None
        self._trigger_start_m = trigger_width_m

    def update(self, reading: DeviceReading, measured_m: float | None) -> float | None:
        """Return the wanted distance between the fingers [m]; None to leave them alone."""
        trigger_m = reading.trigger_width_m
        if trigger_m is not None and self._has_moved(trigger_m):
            self._trigger_start_m = None
            self._wish_m = min(max(trigger_m, 0.0), HAND_WIDTH_M)
        match reading.gripper:
            case GripperAction.OPEN:
                self._wish_m = HAND_WIDTH_M
            case GripperAction.CLOSE:
                self._wish_m = 0.0
            case GripperAction.TOGGLE:
                now_m = measured_m if self._wish_m is None else self._wish_m
                is_open = now_m is None or now_m > 0.5 * HAND_WIDTH_M
                self._wish_m = 0.0 if is_open else HAND_WIDTH_M
        return self._wish_m

    def _has_moved(self, trigger_m: float) -> bool:
        start_m = self._trigger_start_m
        return start_m is None or abs(trigger_m - start_m) > self._trigger_travel_m
