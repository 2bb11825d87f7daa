"""Lets a few pictures of each camera through."""


class PictureGate:
    """Lets a picture through when the last one of its camera is old enough.

    Args:
        rate_hz: Most pictures per second and camera.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1.0 / rate_hz
        self._passed_s: dict[str, float] = {}

    def lets_through(self, camera: str, steady_s: float) -> bool:
        """Whether a picture that comes at a steady time [s] shall be shown."""
        passed_s = self._passed_s.get(camera)
        if passed_s is not None and steady_s - passed_s < self._period_s:
            return False
        self._passed_s[camera] = steady_s
        return True
