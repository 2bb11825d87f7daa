"""Time stamps."""

from builtin_interfaces.msg import Time


def stamp_to_seconds(stamp: Time) -> float:
    """Convert a ROS time stamp to seconds."""
    return float(stamp.sec + 1e-9 * stamp.nanosec)


def seconds_to_stamp(seconds: float) -> Time:
    """Convert seconds to a ROS time stamp; before the epoch there is none."""
    nanoseconds = max(0, round(seconds * 1e9))
    return Time(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)
