"""The process that publishes markers and paths for RViz."""

from nav_msgs.msg import Path as PathMsg
from rclpy.clock import Clock, ClockType
from visualization_msgs.msg import MarkerArray

from mail_monitor.conversions import path_to_msg, scene_to_msg
from mail_monitor.monitor_node import MonitorNode
from mail_monitor.scene import build_scene
from mail_ros.running import ros_session, spin

PERIOD_S = 0.1


class MarkerPublisher:
    """Publishes `monitor/markers`, `monitor/predicted_path` and `monitor/executed_path`.

    On the wall clock: RViz shall show a twin that stands still, too.

    Args:
        node: Listens, and publishes.
    """

    def __init__(self, node: MonitorNode) -> None:
        self._node = node
        self._markers = node.create_publisher(MarkerArray, "monitor/markers", 1)
        self._predicted = node.create_publisher(PathMsg, "monitor/predicted_path", 1)
        self._executed = node.create_publisher(PathMsg, "monitor/executed_path", 1)
        node.create_timer(PERIOD_S, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def publish(self) -> None:
        """Publish what is known now."""
        snapshot = self._node.snapshot()
        stamp = self._node.get_clock().now().to_msg()
        scene = build_scene(snapshot, self._node.envelope)
        self._markers.publish(scene_to_msg(scene, stamp))
        self._predicted.publish(path_to_msg(snapshot.predicted.points_m, stamp))
        self._executed.publish(path_to_msg(snapshot.executed_m, stamp))


def main() -> None:
    """Run until interrupted."""
    with ros_session() as requested:
        node = MonitorNode()
        MarkerPublisher(node)
        spin(node, requested.is_set)


if __name__ == "__main__":
    main()
