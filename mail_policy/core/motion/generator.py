"""Makes the set-points: follows a path in time, brakes on demand, filters, checks."""

from collections import deque

import numpy as np

from mail_policy.core.frames import Array
from mail_policy.core.motion.checker import SetPointChecker
from mail_policy.core.motion.chunk_planner import Anchor
from mail_policy.core.motion.config import JoinMode, MotionConfig
from mail_policy.core.motion.limits_filter import JointMotion, LimitsFilter
from mail_policy.core.motion.speed_profile import SpeedProfile
from mail_policy.core.motion.splice import Gap, ensemble, gap_between, splice
from mail_policy.core.motion.trajectory import HermitePath
from mail_policy.core.robot_limits import WorkingLimits
from mail_policy.core.types import JointSetPoint

HISTORY_S = 1.6
# A running path whose join is closer than this is replaced at rest without a blend [rad].
_SAME_PLACE_RAD = 0.002
_CREEP_RATE = 0.02
# The reference waits for the arm when the filter lags behind by more than this [rad].
_LAG_START_RAD, _LAG_FULL_RAD = 0.01, 0.04
_LOST_TICKS = 20


class SetPointGenerator:
    """The moving part of the motion core.

    Args:
        config: Settings of the motion core.
        limits: Working limits of the joints.
    """

    def __init__(self, config: MotionConfig, limits: WorkingLimits) -> None:
        self._config = config
        self._limits = limits
        self._filter = LimitsFilter(limits, config.envelope, config.tick_s)
        self._checker = SetPointChecker(limits, config.envelope, config.tick_s)
        self._history: deque[tuple[float, float, Array]] = deque(
            maxlen=round(HISTORY_S / config.tick_s)
        )
        self._path: HermitePath | None = None
        self._profile: SpeedProfile | None = None
        self._live: deque[HermitePath] = deque(maxlen=config.join.ensemble_size)
        self.start_at(0.5 * (limits.lower + limits.upper))

    def start_at(self, positions: Array) -> None:
        """Forget everything and hold joint positions [rad]."""
        self._filter.reset(positions)
        self._checker.reset(positions)
        self._reference = self._filter.state
        self._history.clear()
        self._live.clear()
        self._path = self._profile = None
        self._rate = 0.0
        self.progress_s = 0.0
        self.blocked_ticks = 0
        self.jump_rad = 0.0

    @property
    def set_point(self) -> JointSetPoint:
        """The newest set-point."""
        return self._filter.set_point()

    @property
    def current(self) -> Anchor:
        """Where the reference is now."""
        return Anchor(self.progress_s, self._reference.positions)

    @property
    def is_at_rest(self) -> bool:
        """Whether the arm stands and has nothing left to follow."""
        state = self._filter.state
        slow = np.abs(state.velocities).max() < 2e-3 and np.abs(state.accelerations).max() < 0.1
        return self._path is None and bool(slow)

    @property
    def has_path(self) -> bool:
        """Whether there is something left to follow."""
        return self._path is not None

    @property
    def keeping_up(self) -> float:
        """How closely the arm follows its reference: 1 closely, 0 so far off that it must wait."""
        lag_rad = float(np.abs(self._reference.positions - self._filter.state.positions).max())
        return min(1.0, max(0.0, (_LAG_FULL_RAD - lag_rad) / (_LAG_FULL_RAD - _LAG_START_RAD)))

    @property
    def is_lost(self) -> bool:
        """Whether a limit has kept the arm from its reference for a while."""
        return self.blocked_ticks > _LOST_TICKS and self.keeping_up < 0.5

    def anchor_at(self, time_s: float) -> Anchor | None:
        """Return where the reference was at a time [s]; None if that is not remembered."""
        if not self._history or time_s < self._history[0][0] - self._config.tick_s:
            return None
        later = self._history[-1]
        for entry in reversed(self._history):
            if entry[0] <= time_s:
                span_s = later[0] - entry[0]
                share = min(1.0, (time_s - entry[0]) / span_s) if span_s > 0.0 else 0.0
                return Anchor(
                    entry[1] + share * (later[1] - entry[1]),
                    entry[2] + share * (later[2] - entry[2]),
                )
            later = entry
        return Anchor(later[1], later[2])

    def gap_to(self, path: HermitePath) -> Gap:
        """Return how far a path is from the running one now."""
        return gap_between(self._running(), path, self.progress_s)

    def follow(self, path: HermitePath, gap: Gap) -> None:
        """Change over to a path that is some way from the running one, see `gap_to`."""
        join, running = self._config.join, self._running()
        moving = self._rate > _CREEP_RATE or gap.largest_rad > _SAME_PLACE_RAD
        self._live.append(path)
        if join.mode is JoinMode.ENSEMBLED:
            path = ensemble(self._live, self.progress_s, join.ensemble_decay)
            gap = self.gap_to(path)
        if moving and join.mode is not JoinMode.LATEST:
            path = splice(running, path, progress_s=self.progress_s, blend_s=self._blend_s(gap))
        self._path = path
        self._profile = SpeedProfile(path, self.progress_s, self._limits, self._config.envelope)

    def tick(self, now_s: float, led_to: Array | None = None) -> str:
        """Move on by one tick. Returns what the new set-point violates, "" if nothing.

        Args:
            now_s: Time of the new set-point [s].
            led_to: Joint positions to aim at instead of a path [rad], shape (7,).
        """
        dt, before = self._config.tick_s, self._filter.state
        reference = self._advance() if led_to is None else self._led(led_to)
        free = self._filter.step(reference)
        self.blocked_ticks = 0 if free else self.blocked_ticks + 1
        self._reference = reference
        self._history.append((now_s, self.progress_s, reference.positions))
        after = self._filter.state.positions
        smooth = before.positions + before.velocities * dt + 0.5 * before.accelerations * dt**2
        self.jump_rad = float(np.abs(after - smooth).max())
        return self._checker.violation(after)

    @property
    def velocities(self) -> Array:
        """Velocities of the newest set-point [rad/s], shape (7,)."""
        return self._filter.state.velocities

    def brake(self) -> None:
        """Drop the path and come to rest as near as possible, harder than in any motion."""
        self._rest_at(self._filter.stopping_place)

    def _blend_s(self, gap: Gap) -> float:
        """Return how long a change shall take [s]: a large one in a hurry would slow the arm."""
        join = self._config.join
        # The steepest slope of the quintic blend is 15/8 of its mean.
        needed_s = 1.875 * max(
            float((gap.joints_rad / self._limits.velocity).max()),
            gap.tcp_m / self._config.envelope.speed_m_s,
        )
        return min(join.longest_blend_s, max(join.blend_s, needed_s / join.blend_speed_share))

    def _running(self) -> HermitePath:
        return self._path or _standing(self.progress_s, self._reference.positions)

    def _advance(self) -> JointMotion:
        """Return the reference one tick ahead."""
        still = np.zeros_like(self._reference.positions)
        if self._path is None or self._profile is None:
            return JointMotion(self._reference.positions, still, still)
        dt = self._config.tick_s
        self._rate = self._next_rate(self._profile)
        self.progress_s = min(self.progress_s + self._rate * dt, self._path.end_s)
        point = self._path.at(self.progress_s)
        done = self._path.end_s - self.progress_s < 1e-4
        velocities = still if done else point.velocities * self._rate
        accelerations = (velocities - self._reference.velocities) / dt
        if done:
            self._rest_at(point.positions)
            return JointMotion(point.positions, still, still)
        return JointMotion(point.positions, velocities, accelerations)

    def _led(self, positions: Array) -> JointMotion:
        velocities = (positions - self._reference.positions) / self._config.tick_s
        return JointMotion(positions, velocities, np.zeros_like(positions))

    def _next_rate(self, profile: SpeedProfile) -> float:
        ahead_s = self.progress_s + self._rate * self._config.tick_s
        target = max(_CREEP_RATE, profile.rate_at(ahead_s)) * self.keeping_up
        change = profile.slope_per_s * self._config.tick_s
        return self._rate + min(change, max(-change, target - self._rate))

    def _rest_at(self, positions: Array) -> None:
        still = np.zeros_like(positions)
        self._reference = JointMotion(positions, still, still)
        self._path = self._profile = None
        self._live.clear()
        self._rate = 0.0


def _standing(progress_s: float, positions: Array) -> HermitePath:
    return HermitePath(
        np.array([progress_s, progress_s + 1.0]),
        np.array([positions, positions]),
        np.zeros((2, len(positions))),
    )
