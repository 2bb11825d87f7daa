"""What the RealSense SDK says about a camera on the bus, for those who only look."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundCamera:
    """A camera that the SDK can open.

    Attributes:
        serial: As printed on the camera and written in the camera file.
        chip_serial: As the USB bus shows it; "" if unknown.
        model: Name of the product.
        firmware: Installed version.
        wanted_firmware: The version that this SDK recommends; "" if unknown.
        has_global_time: Its stamps can be put on this machine's clock.
    """

    serial: str
    chip_serial: str
    model: str
    firmware: str
    wanted_firmware: str
    has_global_time: bool
