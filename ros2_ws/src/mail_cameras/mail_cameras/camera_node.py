"""ROS 2 shell around the cameras of a robot or of its twin: pictures in, topics out."""

from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.lifecycle.publisher import LifecyclePublisher
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from rclpy.timer import Timer
from sensor_msgs import msg as sensor_msgs

from mail_cameras import conversions
from mail_cameras.calibrated_camera import CalibratedCamera
from mail_cameras.camera_set import CameraSet, require_real_time
from mail_cameras.config import CameraConfig, CameraIntrinsics, CamerasConfig, DepthKind
from mail_cameras.drivers import make_camera
from mail_cameras.start_gate import StartGate
from mail_cameras.station import CameraStation
from mail_policy.core.config import ConfigError, load_config
from mail_policy.core.devices import CameraError
from mail_policy.core.types import CameraFrame
from mail_ros.parameters import freeze_parameters
from mail_ros.running import ros_session, spin

DIAGNOSTICS_PERIOD_S = 1.0
_PARAMETERS = (
    ("config_file", "", "YAML file of a CamerasConfig"),
    ("run_id", "", 'name of the run, under which a twin offers its pictures; "" on a robot'),
    ("require_all", True, "refuse to start without all cameras; else wait for missing ones"),
)


class CameraTopics:
    """The topics of one camera. Pictures that nobody listens to are not even made."""

    def __init__(self, node: LifecycleNode, config: CameraConfig) -> None:
        self._node, self._config = node, config
        self._publishers: list[LifecyclePublisher] = []
        color = f"camera/{config.name}/color"
        raw, compressed = f"{color}/image_raw", f"{color}/image_raw/compressed"
        self._image = self._advertise(sensor_msgs.Image, raw)
        self._compressed = self._advertise(sensor_msgs.CompressedImage, compressed)
        self._infos = [self._advertise(sensor_msgs.CameraInfo, f"{color}/camera_info")]
        if config.depth is not DepthKind.NONE:
            depth = f"camera/{config.name}/aligned_depth_to_color"
            self._depth = self._advertise(sensor_msgs.Image, f"{depth}/image_raw")
            self._infos.append(self._advertise(sensor_msgs.CameraInfo, f"{depth}/camera_info"))

    def publish(self, frame: CameraFrame, intrinsics: CameraIntrinsics) -> None:
        """Publish a picture under all names, the one that the policy waits for first."""
        header = conversions.header(frame, self._config.frame_id)
        if self._image.get_subscription_count():
            self._image.publish(conversions.image_to_msg(frame.image, header))
        info = conversions.camera_info_to_msg(self._config, intrinsics, header)
        for publisher in self._infos:
            publisher.publish(info)
        if frame.depth_mm is not None and self._depth.get_subscription_count():
            self._depth.publish(conversions.depth_to_msg(frame.depth_mm, header))
        if self._compressed.get_subscription_count():
            self._compressed.publish(conversions.image_to_compressed_msg(frame.image, header))

    def destroy(self) -> None:
        """Take the topics back."""
        for publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)

    def _advertise(self, kind: type, topic: str) -> LifecyclePublisher:
        publisher = self._node.create_lifecycle_publisher(kind, topic, qos_profile_sensor_data)
        self._publishers.append(publisher)
        return publisher


class CameraNode(LifecycleNode):
    """Publishes the pictures of all cameras with their capture stamps, while active.

    Topics out, below `camera/<name>`: `color/image_raw`, `color/image_raw/compressed`,
    `color/camera_info`; with depth `aligned_depth_to_color/image_raw` and `.../camera_info`.
    For all cameras: `/diagnostics`.
    """

    def __init__(
        self,
        *,
        context: Context | None = None,
        parameter_overrides: list[Parameter] | None = None,
    ) -> None:
        super().__init__("camera", context=context, parameter_overrides=parameter_overrides)
        freeze_parameters(self)
        for name, default, description in _PARAMETERS:
            descriptor = ParameterDescriptor(description=description, read_only=True)
            self.declare_parameter(name, default, descriptor)
        # Made by on_configure.
        self._cameras: CameraSet | None = None
        self._topics: dict[str, CameraTopics] = {}
        # Runs only while the node is active.
        self._timer: Timer | None = None

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the config, open the cameras and the topics; refuse if a camera is missing."""
        try:
            config = load_config(CamerasConfig, Path(self.get_parameter("config_file").value))
            require_real_time(config, self.get_parameter("use_sim_time").value)
            cameras = CameraSet(config, self.make_camera, self._on_frame, self._warn, self._now_s)
            cameras.open(require_all=self.get_parameter("require_all").value)
        except (ConfigError, CameraError) as error:
            self.get_logger().error(f"stays unconfigured: {error}")
            return TransitionCallbackReturn.FAILURE
        self._cameras = cameras
        self._topics = {camera.name: CameraTopics(self, camera) for camera in config.cameras}
        self._diagnostics = self.create_lifecycle_publisher(DiagnosticArray, "/diagnostics", 1)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to publish, from the next picture on."""
        result = super().on_activate(state)
        assert self._cameras is not None
        self._cameras.start()
        # Simulated time may stand still; the news of that must not.
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(
            DIAGNOSTICS_PERIOD_S, self._publish_diagnostics, clock=clock
        )
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop publishing; the cameras stay open."""
        self._rest()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the cameras and take their topics back."""
        self.close()
        for topics in self._topics.values():
            topics.destroy()
        self._topics.clear()
        self.destroy_lifecycle_publisher(self._diagnostics)
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and close: a shutdown may come straight from the active state."""
        self.close()
        return super().on_shutdown(state)

    def close(self) -> None:
        """Stop and close the cameras; also when the process ends without a transition."""
        self._rest()
        if self._cameras is not None:
            self._cameras.close()

    def make_camera(self, config: CameraConfig, gate: StartGate) -> CalibratedCamera:
        """Return a closed camera; tests put software devices in its place."""
        return make_camera(config, self.get_parameter("run_id").value, self._now_s, gate)

    def _on_frame(self, station: CameraStation, frame: CameraFrame) -> None:
        self._topics[station.config.name].publish(frame, station.intrinsics)

    def _now_s(self) -> float:
        return float(self.get_clock().now().nanoseconds * 1e-9)

    def _rest(self) -> None:
        if self._cameras is not None:
            self._cameras.stop()
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None

    def _publish_diagnostics(self) -> None:
        msg = DiagnosticArray()
        msg.header.stamp = self.get_clock().now().to_msg()
        stations = () if self._cameras is None else self._cameras.stations
        msg.status = [conversions.report_to_msg(s.config, s.report()) for s in stations]
        self._diagnostics.publish(msg)

    def _warn(self, problem: str) -> None:
        self.get_logger().warning(problem, throttle_duration_sec=1.0)


def main() -> None:
    """Run the node until it is interrupted."""
    with ros_session() as requested:
        node = CameraNode()
        try:
            spin(node, requested.is_set)
        finally:
            node.close()
