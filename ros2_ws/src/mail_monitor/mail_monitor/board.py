"""Collects what the stack says, and answers what a display shows now."""

from collections.abc import Sequence

from mail_monitor.chunk_path import predicted_path
from mail_monitor.input_ages import InputAges
from mail_monitor.limits_hit import LimitsWatch
from mail_monitor.seen import (
    ARM,
    CHUNK,
    DIAGNOSTICS,
    JOINTS,
    NO_PATH,
    POLICY,
    ArmSeen,
    PolicySeen,
    PredictedPath,
    Snapshot,
)
from mail_monitor.tcp_history import TcpHistory
from mail_policy.core.types import ActionChunk

# A chunk that has ended stays visible for this long [s, ROS time].
_LINGER_S = 0.5
# The supervisor reports every second; its silence means that nobody vouches for the line.
_SILENT_S = 3.0


class MonitorBoard:
    """The newest of every input. All times are given by the caller.

    Args:
        limits: Names the limits that the arm is at.
        cameras: Names of the cameras.
    """

    def __init__(self, limits: LimitsWatch, cameras: Sequence[str]) -> None:
        self._limits = limits
        names = [ARM, JOINTS, POLICY, CHUNK, DIAGNOSTICS]
        self._ages = InputAges([*names, *map(camera_input, cameras)])
        self._history = TcpHistory()
        self._arm: ArmSeen | None = None
        self._policy: PolicySeen | None = None
        self._gripper_width_m = 0.0
        self._predicted = NO_PATH
        self._may_move = ""

    def note(self, name: str, *, lag_s: float, steady_s: float) -> None:
        """Note that a message has come, see `InputAges.note`."""
        self._ages.note(name, lag_s=lag_s, steady_s=steady_s)

    def set_arm(self, arm: ArmSeen) -> None:
        """Take the arm's state."""
        self._arm = arm
        self._history.add(arm)

    def set_gripper(self, width_m: float) -> None:
        """Take the distance between the fingers [m]."""
        self._gripper_width_m = width_m

    def set_policy(self, policy: PolicySeen) -> None:
        """Take the policy's heartbeat."""
        self._policy = policy

    def set_chunk(self, chunk: ActionChunk) -> None:
        """Take a chunk; without a state of the arm nobody knows where it begins.

        Raises:
            ValueError: It cannot be drawn.
        """
        anchor = self._history.set_point_at(chunk.observed_at_s)
        if anchor is not None:
            self._predicted = predicted_path(chunk, anchor)

    def set_may_move(self, text: str) -> None:
        """Take the supervisor's line: "yes", or "no, because ..."."""
        self._may_move = text

    def snapshot(self, *, now_s: float, steady_s: float) -> Snapshot:
        """Return what is known.

        Args:
            now_s: ROS time [s].
            steady_s: The steady clock of `note` [s].
        """
        ages_s = self._ages.at(steady_s)
        return Snapshot(
            now_s=now_s,
            arm=self._arm,
            gripper_width_m=self._gripper_width_m,
            policy=self._policy,
            predicted=self._still_wanted(now_s),
            executed_m=self._history.executed_m(),
            may_move=self._vouched(ages_s[DIAGNOSTICS]),
            limits=() if self._arm is None else self._limits.hit(self._arm.joint_positions),
            ages_s=ages_s,
        )

    def _still_wanted(self, now_s: float) -> PredictedPath:
        times_s = self._predicted.times_s
        is_over = len(times_s) == 0 or now_s > times_s[-1] + _LINGER_S
        return NO_PATH if is_over else self._predicted

    def _vouched(self, age_s: float | None) -> str:
        if age_s is None or not self._may_move:
            return "unknown, because the supervisor has said nothing yet"
        if age_s > _SILENT_S:
            return f"unknown, because the supervisor has been silent for {age_s:.0f} s"
        return self._may_move


def camera_input(name: str) -> str:
    """Return under which name the pictures of a camera are an input."""
    return f"camera {name}"
