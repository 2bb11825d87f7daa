"""ROS 2 shell around the teleoperation devices: a person's hands in, commands and requests out."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from mail_msgs.msg import ArmState as ArmStateMsg
from mail_msgs.msg import GripperState as GripperStateMsg
from mail_msgs.msg import TeleopCommand as TeleopCommandMsg
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.client import Client
from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.timer import Timer

from mail_policy.core.config import ConfigError, load_config
from mail_policy.core.device_thread import DeviceThread
from mail_policy.core.types import TeleopCommand
from mail_ros.parameters import freeze_parameters
from mail_ros.qos import LATCHED
from mail_ros.running import ros_session, spin
from mail_teleop.config import SwitchKind, TeleopConfig
from mail_teleop.conversions import (
    command_to_msg,
    requests_of,
    status_to_msg,
    tool_rotation_from_msg,
)
from mail_teleop.device import PACE, TeleopDevice, TeleopError
from mail_teleop.drivers import make_device, make_pedal, make_terminal
from mail_teleop.operator_requests import OperatorRequests
from mail_teleop.readings import DeviceReading, OperatorKey
from mail_teleop.station import TeleopStation

DIAGNOSTICS_PERIOD_S = 0.5
_COMMAND = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
_PARAMETERS = (
    ("config_file", "YAML file of a TeleopConfig, for example launch/config/teleop_keyboard.yaml"),
    ("task", "sentence under which episodes are recorded"),
    ("terminal", 'terminal of the person, for example /dev/pts/3; "" for the controlling one'),
)


class TeleopNode(LifecycleNode):
    """Lets a person move the arm, record episodes and stop everything, while active.

    Topics in: `arm/state`, `gripper/state`. Topics out: `teleop/command`, `/diagnostics`. Calls
    `recorder/start`, `recorder/end`, `recorder/discard`, `recorder/rerecord`, `arm/stop`,
    `arm/resume`, `estop/trigger`.
    """

    def __init__(
        self,
        *,
        context: Context | None = None,
        parameter_overrides: list[Parameter] | None = None,
    ) -> None:
        super().__init__("teleop", context=context, parameter_overrides=parameter_overrides)
        freeze_parameters(self)
        for name, description in _PARAMETERS:
            descriptor = ParameterDescriptor(description=description, read_only=True)
            self.declare_parameter(name, "", descriptor)
        # Filled by on_configure, emptied by on_cleanup.
        self._workers: list[DeviceThread[DeviceReading]] = []
        self._owned: list[tuple[Callable[[Any], object], Any]] = []
        # Runs only while the node is active.
        self._timer: Timer | None = None

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the config, open the devices and the topics; refuse if a device is missing."""
        try:
            config = load_config(TeleopConfig, Path(self.get_parameter("config_file").value))
            self._device_name = config.device.value
            self._station = TeleopStation(
                self._device_name,
                config.mapping,
                self._send,
                self._on_key,
                has_switch_elsewhere=config.switch is not SwitchKind.OWN,
            )
            self._open_devices(config)
        except (ConfigError, TeleopError) as error:
            self.get_logger().error(f"stays unconfigured: {error}")
            self._close_devices()
            return TransitionCallbackReturn.FAILURE
        self._open_topics()
        self._open_services()
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to listen to the person. The dead-man switch must be released first."""
        result = super().on_activate(state)
        self._station.begin(time.monotonic())
        for worker in self._workers:
            worker.start()
        self._timer = self.create_timer(DIAGNOSTICS_PERIOD_S, self._publish_diagnostics)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening: the arm stops; the devices stay open."""
        self._rest()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close devices and topics."""
        self._close_devices()
        while self._owned:
            destroy, entity = self._owned.pop()
            destroy(entity)
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and close: a shutdown may come straight from the active state."""
        self.close()
        return super().on_shutdown(state)

    def close(self) -> None:
        """Stop listening and give the devices back, when the process ends without a transition."""
        self._rest()
        self._close_devices()

    def _open_devices(self, config: TeleopConfig) -> None:
        terminal = self.get_parameter("terminal").value
        self._add_worker(
            partial(make_device, config, terminal), self._on_reading, self._station.on_loss
        )
        if config.needs_terminal:
            is_switch = config.switch is SwitchKind.KEYBOARD
            make = partial(make_terminal, config, terminal)
            self._add_worker(make, partial(self._on_helper, is_switch), None)
        if config.switch is SwitchKind.PEDAL:
            self._add_worker(partial(make_pedal, config), partial(self._on_helper, True), None)

    def _add_worker(
        self,
        make: Callable[[], TeleopDevice],
        on_reading: Callable[[DeviceReading | None], None],
        on_loss: Callable[[str, float, float], None] | None,
    ) -> None:
        def lose(problem: str) -> None:
            self.get_logger().warning(problem, throttle_duration_sec=1.0)
            if on_loss is not None:
                on_loss(problem, time.monotonic(), self._now_s())

        worker = DeviceThread(lambda: make().__enter__(), on_reading, lose, PACE)
        worker.open()
        self._workers.append(worker)

    def _open_topics(self) -> None:
        self._command_publisher = self.create_lifecycle_publisher(
            TeleopCommandMsg, "teleop/command", _COMMAND
        )
        self._diagnostics_publisher = self.create_lifecycle_publisher(
            DiagnosticArray, "/diagnostics", 1
        )
        for publisher in (self._command_publisher, self._diagnostics_publisher):
            self._owned.append((self.destroy_lifecycle_publisher, publisher))
        for kind, topic, callback in (
            (ArmStateMsg, "arm/state", self._on_arm_state),
            (GripperStateMsg, "gripper/state", self._on_gripper_state),
        ):
            subscription = self.create_subscription(kind, topic, callback, LATCHED)
            self._owned.append((self.destroy_subscription, subscription))

    def _open_services(self) -> None:
        task = self.get_parameter("task").value
        self._requests = OperatorRequests(
            self._make_client, partial(requests_of, task=task), self._tell
        )

    def _make_client(self, kind: Any, service: str) -> Client:
        client = self.create_client(kind, service)
        self._owned.append((self.destroy_client, client))
        return client

    def _now_s(self) -> float:
        return float(self.get_clock().now().nanoseconds * 1e-9)

    def _on_reading(self, reading: DeviceReading | None) -> None:
        if reading is None:
            self._station.on_silence(time.monotonic(), self._now_s())
        else:
            self._station.on_reading(reading, time.monotonic(), self._now_s())

    def _on_helper(self, is_switch: bool, reading: DeviceReading | None) -> None:
        if reading is not None:
            self._station.on_helper(reading, time.monotonic(), self._now_s(), is_switch=is_switch)

    def _on_arm_state(self, msg: ArmStateMsg) -> None:
        self._station.see_tool(tool_rotation_from_msg(msg), time.monotonic())

    def _on_gripper_state(self, msg: GripperStateMsg) -> None:
        self._station.see_gripper(msg.width)

    def _send(self, command: TeleopCommand) -> None:
        """Publish a command; called from the devices' threads."""
        if self.context.ok():
            self._command_publisher.publish(command_to_msg(command))

    def _on_key(self, key: OperatorKey) -> None:
        """Ask others for what a key says; called from the devices' threads."""
        self._requests.ask(key)

    def _tell(self, sentence: str, is_good: bool) -> None:
        if is_good:
            self.get_logger().info(sentence)
        else:
            self.get_logger().warning(sentence)

    def _rest(self) -> None:
        for worker in self._workers:
            worker.stop()
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None
            # The arm need not wait for silence.
            self._station.on_loss("stopped", time.monotonic(), self._now_s())

    def _close_devices(self) -> None:
        for worker in self._workers:
            worker.close()
        self._workers.clear()

    def _publish_diagnostics(self) -> None:
        self._requests.report_unanswered()
        msg = DiagnosticArray()
        msg.header.stamp = self.get_clock().now().to_msg()
        status = self._station.status(time.monotonic())
        msg.status = [status_to_msg(self._device_name, status)]
        self._diagnostics_publisher.publish(msg)


def main() -> None:
    """Run the node until it is interrupted; the terminal is given back as it was."""
    with ros_session() as requested:
        node = TeleopNode()
        try:
            spin(node, requested.is_set)
        finally:
            node.close()


if __name__ == "__main__":
    main()
