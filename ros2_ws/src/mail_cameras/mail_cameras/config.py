"""Which cameras there are, as a strict YAML file."""

from dataclasses import dataclass
from enum import StrEnum


class CameraKind(StrEnum):
    """Where pictures come from."""

    TWIN = "twin"
    REALSENSE = "realsense"
    SIMULATED = "simulated"


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraIntrinsics:
    """A pinhole with the distortion model "plumb bob".

    Attributes:
        focal_x_px: Focal length along the rows [pixels].
        focal_y_px: Focal length along the columns [pixels].
        centre_x_px: Column of the optical axis [pixels].
        centre_y_px: Row of the optical axis [pixels].
        distortion: k1, k2, p1, p2, k3.
    """

    focal_x_px: float
    focal_y_px: float
    centre_x_px: float
    centre_y_px: float
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraConfig:
    """One camera.

    Attributes:
        name: Name in topics, recordings and checkpoints.
        driver: Where its pictures come from.
        image_width: Columns.
        image_height: Rows.
        rate_hz: Pictures per second of the clock that stamps them.
        frame_id: Optical frame: x to the right, y down, z along the view.
        serial: Serial number of the device; only a RealSense has one.
        max_age_s: A picture that arrives older than this is counted as late [s].
        future_tolerance_s: A stamp may be ahead of the clock of this process by so much [s].
        intrinsics: From a calibration; without it the device's own are published.
    """

    name: str
    driver: CameraKind
    image_width: int
    image_height: int
    rate_hz: float
    frame_id: str
    serial: str = ""
    max_age_s: float = 0.1
    future_tolerance_s: float = 0.02
    intrinsics: CameraIntrinsics | None = None

    def __post_init__(self) -> None:
        """Refuse cameras that cannot exist."""
        for name in ("image_width", "image_height", "rate_hz", "max_age_s", "future_tolerance_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be greater than 0, got {getattr(self, name)}")
        for name in ("name", "frame_id"):
            if not getattr(self, name):
                raise ValueError(f"{name} must not be empty")
        if (self.driver is CameraKind.REALSENSE) != bool(self.serial):
            raise ValueError(
                f"camera {self.name!r}: a realsense camera needs its serial (printed on it, or "
                f"shown by `rs-enumerate-devices -s`), others have none; got {self.serial!r}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class CamerasConfig:
    """All cameras of a robot.

    Attributes:
        cameras: In the order in which they are opened.
    """

    cameras: tuple[CameraConfig, ...]

    def __post_init__(self) -> None:
        """Refuse no cameras, and cameras that could be taken for each other."""
        if not self.cameras:
            raise ValueError("cameras must name at least one camera")
        for attribute in ("name", "serial", "frame_id"):
            values = [v for c in self.cameras if (v := getattr(c, attribute))]
            repeated = sorted({v for v in values if values.count(v) > 1})
            if repeated:
                raise ValueError(f"{attribute} {', '.join(repeated)} is given to several cameras")
