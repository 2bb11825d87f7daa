"""Where the cameras are, from their calibrations. An unknown pose stays unknown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from calibration.results import (
    CalibrationError,
    HandEyeResult,
    age_warning,
    latest_results,
    require_serial,
)
from mail_policy.core.frames import Array

# What the scene of the twin says about its cameras does not age.
_TWIN = "sim"


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraName:
    """How a camera is called.

    Attributes:
        name: In topics and calibrations.
        image_frame: Frame that its pictures carry.
        serial: Of the device, "" if it has none.
    """

    name: str
    image_frame: str = ""
    serial: str = ""


# eq=False: comparing arrays yields arrays.
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CameraMount:
    """A camera whose pose is known.

    Attributes:
        name: Of the camera.
        image_frame: Frame that its pictures carry.
        parent_frame: What it is mounted on: `base` or `tcp`.
        transform_camera_to_parent: Of its optical frame, shape (4, 4).
    """

    name: str
    image_frame: str
    parent_frame: str
    transform_camera_to_parent: Array

    @property
    def link_frame(self) -> str:
        """Frame of its body: x along the view, z up."""
        return f"camera_{self.name}_link"

    @property
    def optical_frame(self) -> str:
        """Frame of its pictures: z along the view, x to the right, y down."""
        return f"camera_{self.name}_optical_frame"


@dataclass(frozen=True, slots=True)
class Finding:
    """What an operator should know about a subject, and whether it is as it should be."""

    subject: str
    is_good: bool
    text: str


def named_cameras(
    names: Sequence[str], image_frames: Sequence[str], serials: Sequence[str]
) -> list[CameraName]:
    """Put together what ROS parameters say about cameras; an empty name is none.

    Raises:
        ValueError: The lists have different lengths.
    """
    if not len(names) == len(image_frames) == len(serials):
        raise ValueError(
            "cameras, camera_frames and camera_serials must have the same length, got "
            f"{len(names)}, {len(image_frames)} and {len(serials)}"
        )
    return [
        CameraName(name=name, image_frame=frame, serial=serial)
        for name, frame, serial in zip(names, image_frames, serials, strict=True)
        if name
    ]


def camera_mounts(
    folder: Path, cameras: Sequence[CameraName], now: datetime
) -> tuple[list[CameraMount], list[Finding]]:
    """Look up where cameras are.

    Args:
        folder: Calibration results of the robot.
        cameras: The cameras in use.
        now: With a time zone; old calibrations are warned about.

    Returns:
        The cameras whose pose is known, and a finding about every camera.
    """
    try:
        results = latest_results(folder)
    except CalibrationError as error:
        return [], [Finding(f"camera {c.name}", False, f"has no frame: {error}") for c in cameras]
    mounts, findings = [], []
    for camera in cameras:
        result = results.get((HandEyeResult.kind, camera.name))
        mount = None
        if isinstance(result, HandEyeResult):
            mount, good, text = _judge(camera, result, folder.name, now)
        else:
            good = False
            text = f"has no frame: no hand_eye calibration in {folder}; run mailctl calibrate"
        findings.append(Finding(f"camera {camera.name}", good, text))
        if mount is not None:
            mounts.append(mount)
    return mounts, findings


def _judge(
    camera: CameraName, result: HandEyeResult, robot: str, now: datetime
) -> tuple[CameraMount | None, bool, str]:
    try:
        if camera.serial:
            require_serial(result, camera.serial)
    except CalibrationError as error:
        return None, False, f"has no frame: {error}"
    mount = CameraMount(
        name=camera.name,
        image_frame=camera.image_frame,
        parent_frame=result.parent_frame,
        transform_camera_to_parent=result.transform_camera_to_parent,
    )
    warning = "" if robot == _TWIN else age_warning(result, now)
    fit = f"on {result.parent_frame}, calibrated {result.created_at}, {result.held_out_mm:.1f} mm"
    return mount, not warning, warning or fit
