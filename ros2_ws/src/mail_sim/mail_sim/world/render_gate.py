"""Lets a slow renderer slow the simulated world down, instead of losing pictures."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderGateConfig:
    """How long the physics waits for pictures.

    Attributes:
        max_lag: Snapshots that may wait for the renderer before the physics does.
        step_limit_s: Longest wait within one control step [s]. Far below the 1 s after which
            libfranka gives a silent robot up.
        patience_s: A renderer that stays behind for this long [s] is taken for stuck: the world
            goes on and pictures are lost, visibly in their numbers.
    """

    max_lag: int = 1
    step_limit_s: float = 0.02
    patience_s: float = 5.0

    def __post_init__(self) -> None:
        """Refuse waits that a client of the robot would notice as a lost connection."""
        if self.max_lag < 1:
            raise ValueError(f"max_lag must be at least 1, got {self.max_lag}")
        if not 0.0 < self.step_limit_s <= 0.2:
            raise ValueError(f"step_limit_s must be in (0, 0.2], got {self.step_limit_s}")
        if not self.patience_s > 0.0:
            raise ValueError(f"patience_s must be greater than 0, got {self.patience_s}")


class RenderGate:
    """Decides from the lag of the renderer whether the physics waits; owns no clock."""

    def __init__(self, config: RenderGateConfig) -> None:
        self._config = config
        self._behind_since_s: float | None = None

    def must_wait(self, lag: int, step_began_s: float, now_s: float) -> bool:
        """Say whether the current control step should wait a little longer.

        Args:
            lag: Snapshots published and not yet rendered.
            step_began_s: When this control step began to wait [s], on the clock of `now_s`.
            now_s: Current time on a steady clock [s].
        """
        if lag <= self._config.max_lag:
            self._behind_since_s = None
            return False
        if self._behind_since_s is None:
            self._behind_since_s = now_s
        if now_s - self._behind_since_s > self._config.patience_s:
            return False
        return now_s - step_began_s < self._config.step_limit_s
