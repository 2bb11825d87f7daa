"""Motions by which delays are measured: they start and end at rest and do not repeat themselves."""

import math
from dataclasses import dataclass

import numpy as np

from calibration.latency import Signal
from mail_policy.core.frames import Array

_SAMPLE_S = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class Chirp:
    """A sinusoid that becomes faster, so that no shift by a period fits all of it.

    Attributes:
        amplitude: Largest distance from the middle, in the unit of what moves.
        start_hz: Frequency at the beginning.
        end_hz: Frequency at the end.
        duration_s: How long it lasts [s].
        fade_s: The amplitude rises and falls within this time, so that no joint jerks [s].
    """

    amplitude: float
    start_hz: float = 0.25
    end_hz: float = 0.9
    duration_s: float = 10.0
    fade_s: float = 2.0

    def __post_init__(self) -> None:
        """Refuse motions that do not exist."""
        if not 0.0 < self.start_hz < self.end_hz:
            raise ValueError(
                f"start_hz must be above 0 and below end_hz, got {self.start_hz}, {self.end_hz}"
            )
        if not 0.0 < 2.0 * self.fade_s <= self.duration_s:
            raise ValueError(
                f"fade_s must be above 0 and at most half of duration_s, got {self.fade_s}"
            )

    @property
    def largest_speed(self) -> float:
        """Return a speed that is never exceeded, in units per second."""
        fading = self.amplitude * math.pi / 2.0 / self.fade_s
        return self.amplitude * 2.0 * math.pi * self.end_hz + fading

    def at(self, times_s: Array) -> Array:
        """Return the distance from the middle, 0 before and after.

        Args:
            times_s: Since the beginning [s], shape (n,).
        """
        inside = np.clip(times_s, 0.0, self.duration_s)
        growth_hz_s = (self.end_hz - self.start_hz) / self.duration_s
        phase = 2.0 * math.pi * (self.start_hz + 0.5 * growth_hz_s * inside) * inside
        from_ends_s = np.minimum(inside, self.duration_s - inside)
        envelope = np.sin(0.5 * math.pi * np.minimum(from_ends_s / self.fade_s, 1.0)) ** 2
        motion: Array = self.amplitude * envelope * np.sin(phase)
        return motion


@dataclass(frozen=True, slots=True)
class WidthCommand:
    """What the hand was told.

    Attributes:
        sent_at_s: When [s].
        width_m: Wanted distance between the fingers [m].
        speed_m_s: How fast the width shall change [m/s].
    """

    sent_at_s: float
    width_m: float
    speed_m_s: float


def commanded_width(start_m: float, commands: tuple[WidthCommand, ...], end_s: float) -> Signal:
    """Return the width of a hand that obeys at once and moves at the commanded speed.

    A hand's command is a step, its motion a ramp: compared with the step, half of the ramp would
    count as delay.

    Args:
        start_m: Width before the first command [m].
        commands: In order of time.
        end_s: End of the signal [s]; it begins one second before the first command.
    """
    times_s = np.arange(commands[0].sent_at_s - 1.0, end_s, _SAMPLE_S)
    widths_m = np.full(len(times_s), start_m)
    for command in commands:
        after = times_s >= command.sent_at_s
        here_m = float(np.interp(command.sent_at_s, times_s, widths_m))
        way_m = command.width_m - here_m
        reach_m = command.speed_m_s * (times_s[after] - command.sent_at_s)
        widths_m[after] = here_m + np.sign(way_m) * np.minimum(reach_m, abs(way_m))
    return Signal(times_s, widths_m)
