"""The RealSense SDK's view of the bus, one for the whole process."""

from functools import cache
from typing import Any

import pyrealsense2 as rs


@cache
def sdk_context() -> Any:
    """Return the context that all cameras share; it is never closed.

    Every context watches the bus with a thread of its own, and closing one soon after it was
    opened ends the process with a segmentation fault (SDK 2.59, `udev_device_watcher::stop`).
    """
    return rs.context()
