"""Which cameras there are, as a strict YAML file."""

import re
from dataclasses import dataclass
from enum import StrEnum


class CameraKind(StrEnum):
    """Where pictures come from."""

    TWIN = "twin"
    REALSENSE = "realsense"
    PLAYBACK = "playback"
    SIMULATED = "simulated"


class DepthKind(StrEnum):
    """Whether depth goes with the colour picture."""

    NONE = "none"
    ALIGNED = "aligned"


class HardwareSync(StrEnum):
    """Who makes the pulse that triggers several cameras through their sync cable.

    `slave` triggers the depth sensor; `full_slave` also the colour sensor, on a D415 and with
    limits on a D455 (librealsense issues 14131, 13946). A D405 has no sync connector.
    """

    NONE = "none"
    MASTER = "master"
    SLAVE = "slave"
    FULL_SLAVE = "full_slave"


_POSITIVE = ("image_width", "image_height", "rate_hz", "max_age_s", "future_tolerance_s")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_LARGEST_SIDE_PX = 4096
_POSITIVE_IF_GIVEN = ("exposure_us", "gain", "white_balance_k")
# What only a device on the USB bus can do.
_ONLY_REALSENSE = (*_POSITIVE_IF_GIVEN, "transport_latency_s")
# A rendered scene in which nothing moves gives equal pictures; a sensor has noise.
_NOISELESS = (CameraKind.TWIN, CameraKind.SIMULATED)


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
        serial: Serial number of the device; only a RealSense on the bus has one.
        file: Recording of a RealSense (.db3) that the driver "playback" plays again and again.
        max_age_s: A picture that arrives older than this is counted as late [s].
        future_tolerance_s: A stamp may be ahead of the clock of this process by so much [s].
        intrinsics: From a calibration; without it the device's own are published.
        depth: Whether depth, seen from the colour sensor, goes with each picture.
        exposure_us: Fixed exposure time of the colour sensor [us]; None: automatic.
        gain: Fixed gain of the colour sensor, in the device's own steps; None: automatic, or the
            device's default while the exposure is fixed.
        white_balance_k: Fixed colour temperature [K]; None: automatic.
        hardware_sync: Part of this camera on a sync cable.
        frozen_is_missing: Equal pictures in a row are not published. None: where a sensor has
            noise, so that equal pictures mean a fault, but not for rendered ones.
        detect_black: Black, saturated and featureless pictures in a row are not published.
        transport_latency_s: Shortest time from capture to arrival [s], from a latency
            calibration. Needed only for a device whose stamps come from its own clock.
    """

    name: str
    driver: CameraKind
    image_width: int
    image_height: int
    rate_hz: float
    frame_id: str
    serial: str = ""
    file: str = ""
    max_age_s: float = 0.1
    future_tolerance_s: float = 0.02
    intrinsics: CameraIntrinsics | None = None
    depth: DepthKind = DepthKind.NONE
    exposure_us: float | None = None
    gain: float | None = None
    white_balance_k: float | None = None
    hardware_sync: HardwareSync = HardwareSync.NONE
    frozen_is_missing: bool | None = None
    detect_black: bool = True
    transport_latency_s: float | None = None

    def __post_init__(self) -> None:
        """Refuse cameras that cannot exist."""
        self._require_positive()
        for name in ("name", "frame_id"):
            if not getattr(self, name):
                raise ValueError(f"{name} must not be empty")
        # The name becomes part of topics and of files.
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"name must be letters, digits and '_', at most 64, got {self.name[:100]!r}"
            )
        for name in ("image_width", "image_height"):
            if getattr(self, name) > _LARGEST_SIDE_PX:
                raise ValueError(
                    f"{name} must be at most {_LARGEST_SIDE_PX}, got {getattr(self, name)}"
                )
        if (self.driver is CameraKind.REALSENSE) != bool(self.serial):
            raise ValueError(
                f"camera {self.name!r}: a realsense camera needs its serial (printed on it, or "
                f"shown by `rs-enumerate-devices -s`), others have none; got {self.serial!r}"
            )
        if (self.driver is CameraKind.PLAYBACK) != bool(self.file):
            raise ValueError(
                f"camera {self.name!r}: a playback camera needs the file of a recording (.db3), "
                f"others have none; got {self.file!r}"
            )
        self._require_able_driver()

    @property
    def drops_frozen(self) -> bool:
        """Whether equal pictures in a row are kept from the policy."""
        if self.frozen_is_missing is not None:
            return self.frozen_is_missing
        return self.driver not in _NOISELESS

    def _require_positive(self) -> None:
        given = (name for name in _POSITIVE_IF_GIVEN if getattr(self, name) is not None)
        for name in (*_POSITIVE, *given):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be greater than 0, got {getattr(self, name)}")
        if self.transport_latency_s is not None and not self.transport_latency_s >= 0:
            raise ValueError(
                f"transport_latency_s must not be negative, got {self.transport_latency_s}"
            )

    def _require_able_driver(self) -> None:
        is_device = self.driver is CameraKind.REALSENSE
        wanted = [name for name in _ONLY_REALSENSE if getattr(self, name) is not None]
        if self.hardware_sync is not HardwareSync.NONE:
            wanted.append("hardware_sync")
        if wanted and not is_device:
            raise ValueError(
                f"camera {self.name!r}: only a realsense camera has {', '.join(wanted)}; "
                f"leave it out for the driver {self.driver.value!r}"
            )
        if self.depth is not DepthKind.NONE and self.driver in _NOISELESS:
            raise ValueError(
                f"camera {self.name!r}: the driver {self.driver.value!r} has no depth; "
                f"set depth: none"
            )
        if self.hardware_sync is not HardwareSync.NONE and self.depth is DepthKind.NONE:
            raise ValueError(
                f"camera {self.name!r}: hardware_sync triggers the depth sensor, which must "
                f"therefore run; set depth: aligned"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class CamerasConfig:
    """All cameras of a robot.

    Attributes:
        cameras: In the order in which they are opened.
        start_spacing_s: Least time between the starts of two RealSense devices [s]: several at
            once overload a USB controller, and some then stay silent.
    """

    cameras: tuple[CameraConfig, ...]
    start_spacing_s: float = 0.5

    def __post_init__(self) -> None:
        """Refuse no cameras, and cameras that could be taken for each other."""
        if not self.cameras:
            raise ValueError("cameras must name at least one camera")
        if not 0.0 <= self.start_spacing_s <= 2.0:
            raise ValueError(f"start_spacing_s must be in [0, 2] s, got {self.start_spacing_s}")
        for attribute in ("name", "serial", "frame_id"):
            values = [v for c in self.cameras if (v := getattr(c, attribute))]
            repeated = sorted({v for v in values if values.count(v) > 1})
            if repeated:
                raise ValueError(f"{attribute} {', '.join(repeated)} is given to several cameras")
        masters = [c.name for c in self.cameras if c.hardware_sync is HardwareSync.MASTER]
        if len(masters) > 1:
            raise ValueError(f"only one camera can be the hardware_sync master, got {masters}")
