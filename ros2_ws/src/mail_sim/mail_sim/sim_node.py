"""ROS 2 shell around the twin: the clock that everybody follows, reset and success."""

import secrets
import threading
import time
from pathlib import Path

from mail_msgs.srv import CheckSuccess, ResetScene
from rcl_interfaces.msg import ParameterDescriptor
from rclpy._rclpy_pybind11 import RCLError
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

from mail_policy.core.config import ConfigError, load_config
from mail_ros.parameters import freeze_parameters
from mail_ros.running import ros_session, spin
from mail_sim.clock_pacer import ClockPacer
from mail_sim.conversions import clock_to_msg, fill_check, fill_refusal
from mail_sim.twin import Twin, TwinConfig, TwinError

CLOCK_RATE_HZ = 200.0
# Between two looks at the simulated time: half a period of the clock.
_POLL_S = 0.0025
_CLOCK_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
_PARAMETERS = (
    ("robot_ip", "127.0.0.1", "loopback address at which the simulated robot answers"),
    ("run_id", "", "name under which pictures are offered; made up if empty"),
    ("config_file", "", "YAML file of a TwinConfig; the defaults if empty"),
)


class SimNode(Node):
    """Runs the twin while the node lives.

    Topics out: `/clock`. Services: `twin/reset`, `twin/check_success`.
    """

    def __init__(
        self,
        *,
        context: Context | None = None,
        parameter_overrides: list[Parameter] | None = None,
    ) -> None:
        super().__init__("twin", context=context, parameter_overrides=parameter_overrides)
        freeze_parameters(self)
        for name, default, description in _PARAMETERS:
            descriptor = ParameterDescriptor(description=description, read_only=True)
            self.declare_parameter(name, default, descriptor)
        self._stop = threading.Event()
        # Why the twin ended by itself; None while it runs.
        self.failure: TwinError | None = None

    def start(self) -> None:
        """Start the twin, then its services and its clock. Raises TwinError or ConfigError."""
        path = self.get_parameter("config_file").value
        config = load_config(TwinConfig, Path(path)) if path else TwinConfig()
        run_id = self.get_parameter("run_id").value or f"twin{secrets.token_hex(4)}"
        self.create_service(ResetScene, "twin/reset", self._on_reset)
        self.create_service(CheckSuccess, "twin/check_success", self._on_check)
        self._clock_publisher = self.create_publisher(Clock, "/clock", _CLOCK_QOS)
        self._twin = Twin(self.get_parameter("robot_ip").value, run_id, config).__enter__()
        self._clock_thread = threading.Thread(target=self._run_clock, name="clock", daemon=True)
        self._clock_thread.start()
        priority = "with" if self._twin.has_priority else "without"
        self.get_logger().info(
            f"robot at {self._twin.robot_ip}, pictures under {run_id}, {priority} real-time "
            f"priority"
        )

    def close(self) -> None:
        """Stop the twin. Harmless when it did not start."""
        self._stop.set()
        if hasattr(self, "_clock_thread"):
            self._clock_thread.join()
            self._twin.__exit__(None, None, None)

    def _run_clock(self) -> None:
        pacer = ClockPacer(CLOCK_RATE_HZ)
        try:
            while not self._stop.is_set():
                time_s = self._twin.time_s
                if pacer.is_due(time_s):
                    self._clock_publisher.publish(clock_to_msg(time_s))
                else:
                    self._twin.require_running()
                time.sleep(_POLL_S)
        except TwinError as error:
            self.failure = error
        except RCLError:
            if self.context.ok():
                raise
            # The context ends before this thread when the node is interrupted.

    def _on_reset(
        self, request: ResetScene.Request, reply: ResetScene.Response
    ) -> ResetScene.Response:
        try:
            if request.task:
                self._twin.check(request.task)  # Refuses a task that the scene does not have.
            self._twin.reset(request.seed)
        except TwinError as error:
            return fill_refusal(reply, error)
        reply.success, reply.message = True, f"scene of seed {request.seed}"
        return reply

    def _on_check(
        self, request: CheckSuccess.Request, reply: CheckSuccess.Response
    ) -> CheckSuccess.Response:
        try:
            return fill_check(reply, self._twin.check(request.task))
        except TwinError as error:
            return fill_refusal(reply, error)


def main() -> None:
    """Run the twin until it is interrupted or fails."""
    with ros_session() as requested:
        node = SimNode()
        try:
            node.start()
            spin(node, lambda: requested.is_set() or node.failure is not None)
        except (TwinError, ConfigError) as error:
            node.failure = TwinError(str(error))
        finally:
            node.close()
    if node.failure is not None:
        raise SystemExit(f"twin: {node.failure}")
