"""ROS 2 shell around the cameras of a robot or of its twin: pictures in, topics out."""

import signal
from functools import partial
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException
from rclpy.experimental import EventsExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from rclpy.timer import Timer
from sensor_msgs.msg import CameraInfo as CameraInfoMsg
from sensor_msgs.msg import Image as ImageMsg

from mail_cameras.config import CameraConfig, CamerasConfig
from mail_cameras.conversions import camera_info_to_msg, health_to_msg, image_to_msg
from mail_cameras.drivers import make_camera
from mail_cameras.station import CameraStation
from mail_policy.core.config import ConfigError, load_config
from mail_policy.core.devices import CameraError
from mail_policy.core.types import CameraFrame

DIAGNOSTICS_PERIOD_S = 1.0
_PARAMETERS = (
    ("config_file", "YAML file of a CamerasConfig"),
    ("run_id", 'name of the run, under which a twin offers its pictures; "" on a robot'),
)


class CameraNode(LifecycleNode):
    """Publishes the pictures of all cameras with their capture stamps, while active.

    Topics out: `camera/<name>/color/image_raw`, `camera/<name>/color/camera_info`,
    `/diagnostics`.
    """

    def __init__(
        self,
        *,
        context: Context | None = None,
        parameter_overrides: list[Parameter] | None = None,
    ) -> None:
        super().__init__("camera", context=context, parameter_overrides=parameter_overrides)
        for name, description in _PARAMETERS:
            descriptor = ParameterDescriptor(description=description, read_only=True)
            self.declare_parameter(name, "", descriptor)
        # Filled by on_configure, emptied by on_cleanup.
        self._stations: list[CameraStation] = []
        # Runs only while the node is active.
        self._timer: Timer | None = None

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the config, open all cameras and the topics; refuse if a camera is missing."""
        self._diagnostics_publisher = self.create_lifecycle_publisher(
            DiagnosticArray, "/diagnostics", 1
        )
        try:
            path = Path(self.get_parameter("config_file").value)
            for config in load_config(CamerasConfig, path).cameras:
                self._add_station(config)
        except (ConfigError, CameraError) as error:
            self.get_logger().error(f"stays unconfigured: {error}")
            self._close_stations()
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to publish, from the next picture on."""
        result = super().on_activate(state)
        for station in self._stations:
            station.start()
        self._timer = self.create_timer(DIAGNOSTICS_PERIOD_S, self._publish_diagnostics)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop publishing; the cameras stay open."""
        self._rest()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the cameras."""
        self._close_stations()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and close: a shutdown may come straight from the active state."""
        self._rest()
        self._close_stations()
        return super().on_shutdown(state)

    def close(self) -> None:
        """Stop and close the cameras, when the process ends without a transition."""
        self._rest()
        self._close_stations()

    def _add_station(self, config: CameraConfig) -> None:
        topic = f"camera/{config.name}/color"
        image_publisher = self.create_lifecycle_publisher(
            ImageMsg, f"{topic}/image_raw", qos_profile_sensor_data
        )
        info_publisher = self.create_lifecycle_publisher(
            CameraInfoMsg, f"{topic}/camera_info", qos_profile_sensor_data
        )
        run_id = self.get_parameter("run_id").value
        station = CameraStation(
            config,
            make_camera=partial(make_camera, config, run_id, self._now_s),
            on_frame=lambda frame: publish(frame),
            on_problem=self._warn,
        )
        info = camera_info_to_msg(config, station.open())
        self._stations.append(station)

        def publish(frame: CameraFrame) -> None:
            image = image_to_msg(frame, config.frame_id)
            info.header.stamp = image.header.stamp
            image_publisher.publish(image)
            info_publisher.publish(info)

    def _now_s(self) -> float:
        return float(self.get_clock().now().nanoseconds * 1e-9)

    def _rest(self) -> None:
        for station in self._stations:
            station.stop()
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None

    def _close_stations(self) -> None:
        for station in self._stations:
            station.close()
        self._stations.clear()

    def _publish_diagnostics(self) -> None:
        msg = DiagnosticArray()
        msg.header.stamp = self.get_clock().now().to_msg()
        msg.status = [
            health_to_msg(s.config.name, s.counts, s.silent_for_s(self._now_s()), s.problem)
            for s in self._stations
        ]
        self._diagnostics_publisher.publish(msg)

    def _warn(self, problem: str) -> None:
        self.get_logger().warning(problem, throttle_duration_sec=1.0)


def main() -> None:
    """Run the node until it is interrupted."""
    # rclpy answers an interrupt by ending its context. Python's KeyboardInterrupt on top of that
    # can hit the EventsExecutor while it changes its tables, and the process aborts at its end.
    signal.signal(signal.SIGINT, lambda *_: None)
    rclpy.init()
    node = CameraNode()
    executor = EventsExecutor()
    executor.add_node(node)
    try:
        # EventsExecutor.spin() does not return on shutdown; short turns do.
        while rclpy.ok():
            executor.spin_once(timeout_sec=0.2)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.close()
        rclpy.try_shutdown()
