"""Qualities of service that several nodes use."""

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

# The newest message also reaches those who come later.
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
