"""What the camera node needs of a driver beyond pictures."""

from typing import Protocol

from mail_cameras.config import CameraIntrinsics
from mail_policy.core.devices import Camera


class CalibratedCamera(Camera, Protocol):
    """A colour camera that knows its optics, once it is open."""

    @property
    def intrinsics(self) -> CameraIntrinsics:
        """The optics of the pictures that `read` returns."""
        ...
