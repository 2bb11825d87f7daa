"""The real arm, Panda (FER) or FR3, and any twin that speaks the robot's protocol.

franky's own thread runs the 1 kHz loop. Python streams velocities at 100 Hz, each with a
dead-man reaction that the 1 kHz thread carries out even if Python hangs.
"""

import logging
import threading
import time
from typing import Any, Self

import franky
import numpy as np

from mail_franka.arm_config import FrankyConfig, is_loopback
from mail_franka.franky_limits import limit_table
from mail_franka.franky_wheels import describe_wheels
from mail_policy.core.devices import ArmError
from mail_policy.core.frames import Array
from mail_policy.core.kinematics import transform_tcp_to_flange
from mail_policy.core.robot_limits import RobotType
from mail_policy.core.types import NUM_JOINTS, ArmReading, JointSetPoint

_LOGGER = logging.getLogger(__name__)
_MODES = {
    franky.RobotMode.Idle: "idle",
    franky.RobotMode.Move: "move",
    franky.RobotMode.Guiding: "guiding",
    franky.RobotMode.Reflex: "reflex",
    franky.RobotMode.UserStopped: "user_stopped",
    franky.RobotMode.AutomaticErrorRecovery: "automatic_error_recovery",
}
_ERROR_NAMES = [name for name in dir(franky.Errors) if not name.startswith("_")]
# Plain RuntimeErrors come from the trajectory generator and from the network layer.
_FAULTS = (franky.Exception, RuntimeError)
_STILL = np.zeros(NUM_JOINTS)
# A motion that is not renewed ends by itself this long after the dead-man [s].
_MOTION_REST_S = 0.15
_START_S = 1.0
_RELEASE_S = 2.0
# A recovered robot may still show its old state for this long [s].
_STALE_STATE_S = 0.05
_LOAD_TOLERANCE_KG = 0.05
# Of each number of the transform: a millimetre, and as much in radians.
_TOOL_TOLERANCE = 1e-3

WHEELS = (
    "this franky wheel does not speak the robot's protocol; install the one of its server "
    f"version: {describe_wheels()}"
)


class FrankyArm:
    """The arm behind franky.

    All calls belong to one thread, that of the control loop.

    Args:
        address: IP address or name of the robot.
        robot_type: Which arm it is; selects the limit table.
        config: Timing and thresholds.
    """

    def __init__(self, address: str, robot_type: RobotType, config: FrankyConfig) -> None:
        self._address = address
        self._robot_type = robot_type
        self._config = config
        self._robot: Any = None
        self._commanded: Array = _STILL
        self._largest_velocity: Array = _STILL

    def __enter__(self) -> Self:
        """Connect, and set every limit explicitly. Raises ArmError with the remedy."""
        self._robot = connect(self._open_robot, self._address, self._config.connect_timeout_s)
        try:
            self._apply_settings()
        except _FAULTS as error:
            self._robot = None
            raise ArmError(explain(error, self._address)) from error
        return self

    def __exit__(self, *error: object) -> None:
        """Come to rest and disconnect."""
        try:
            self.release_control()
        except ArmError as fault:
            _LOGGER.warning("while disconnecting: %s", fault)
        finally:
            self._robot = None

    def read(self) -> ArmReading:
        """Return the newest state. Raises ArmError if the link is lost."""
        robot = self._connected()
        try:
            state, in_control = robot.state, robot.is_in_control
        except _FAULTS as error:
            raise ArmError(explain(error, self._address)) from error
        self._commanded = np.asarray(state.q_d, dtype=np.float64)
        return ArmReading(
            robot_time_s=state.time.to_sec(),
            joint_positions=np.asarray(state.q, dtype=np.float64),
            joint_velocities=np.asarray(state.dq, dtype=np.float64),
            commanded_joint_positions=self._commanded,
            commanded_joint_velocities=np.asarray(state.dq_d, dtype=np.float64),
            external_torques=np.asarray(state.tau_ext_hat_filtered, dtype=np.float64),
            transform_tcp_to_base=np.asarray(state.O_T_EE.matrix, dtype=np.float64),
            mode=_MODES.get(state.robot_mode, "other"),
            errors=active_errors(state.current_errors),
            in_control=in_control,
            success_rate=state.control_command_success_rate,
        )

    def take_control(self) -> None:
        """Start to hold the current set-point."""
        robot = self._connected()
        self._issue(_STILL)
        deadline_s = time.monotonic() + _START_S
        while not robot.is_in_control:
            if time.monotonic() > deadline_s:
                raise ArmError(f"the motion did not start within {_START_S} s; {self._why()}")
            time.sleep(0.001)

    def follow(self, set_point: JointSetPoint) -> None:
        """Stream one set-point. Raises ArmError if the arm is not in control."""
        robot = self._connected()
        if not robot.is_in_control:
            raise ArmError(f"the arm is not in control; {self._why()}")
        error = set_point.positions - self._commanded
        largest_rad = float(np.abs(error).max())
        if not largest_rad <= self._config.max_follow_error_rad:
            raise ArmError(
                f"the arm is {largest_rad:.3f} rad away from its set-point, limit is "
                f"{self._config.max_follow_error_rad} rad"
            )
        # The robot carries this velocity out some milliseconds later, until the next one comes.
        ahead = set_point.velocities + self._config.follow_lead_s * set_point.accelerations
        wanted = ahead + self._config.follow_gain_per_s * error
        # An arm that something holds back lags more and more; a velocity above the limit would end
        # its motion.
        self._issue(np.clip(wanted, -self._largest_velocity, self._largest_velocity))

    def release_control(self) -> None:
        """Brake as hard as the robot allows, then give control back."""
        robot = self._robot
        if robot is None or not robot.is_in_control:
            self._collect()
            return
        try:
            robot.move(_hard_stop(), asynchronous=True)
            deadline_s = time.monotonic() + _RELEASE_S
            while robot.is_in_control and time.monotonic() < deadline_s:
                time.sleep(0.001)
            if robot.is_in_control:
                _LOGGER.error("braking did not end within %.1f s; stopping the robot", _RELEASE_S)
                robot.stop()
        except _FAULTS as error:
            raise ArmError(explain(error, self._address)) from error
        finally:
            self._collect()

    def recover(self) -> bool:
        """Ask the robot once to leave its error state; True if it did."""
        robot = self._connected()
        try:
            if robot.recover_from_errors():
                return True
            time.sleep(_STALE_STATE_S)
            return not robot.has_errors
        except _FAULTS as error:
            _LOGGER.error("recovery failed: %s", explain(error, self._address))
            return False

    def _connected(self) -> Any:
        if self._robot is None:
            raise ArmError(f"not connected to the robot at {self._address}")
        return self._robot

    def _open_robot(self) -> Any:
        enforce = franky.RealtimeConfig.Enforce
        if is_loopback(self._address):
            enforce = franky.RealtimeConfig.Ignore
        return franky.Robot(self._address, realtime_config=enforce)

    def _apply_settings(self) -> None:
        """Set limits and collision thresholds.

        franky 2.0.0 has the tables of the two arms swapped, so its defaults exceed a Panda.
        """
        robot = self._robot
        robot.relative_dynamics_factor = franky.RelativeDynamicsFactor(1.0, 1.0, 1.0)
        for name, wanted in limit_table(self._robot_type).items():
            limit = getattr(robot, name)
            value = np.minimum(np.asarray(wanted, dtype=np.float64), limit.max)
            limit.set(value.tolist() if value.ndim else float(value))
            if not np.allclose(limit.get(), value):
                raise ArmError(f"{name}: wrote {value}, read back {limit.get()}; do not go on")
        self._largest_velocity = np.asarray(robot.joint_velocity_limit.get(), dtype=np.float64)
        robot.set_collision_behavior(
            self._config.collision_torque_nm, self._config.collision_force_n
        )
        self._check_tool(robot.state)

    def _check_tool(self, state: Any) -> None:
        """Refuse a tool or a load other than the configured one: torques would be wrong."""
        config = self._config
        if abs(state.m_load - config.load_kg) > _LOAD_TOLERANCE_KG:
            raise ArmError(
                f"the robot is set to a load of {state.m_load:.3f} kg, franky.load_kg says "
                f"{config.load_kg:.3f} kg; correct the end effector in Desk or the file"
            )
        tool = np.asarray(state.F_T_EE.matrix, dtype=np.float64)
        if not np.allclose(tool, transform_tcp_to_flange(), atol=_TOOL_TOLERANCE):
            raise ArmError(
                f"the robot's end effector is at {np.round(tool[:3, 3], 4).tolist()} m from the "
                "flange or turned; expected is the Franka Hand, choose it in Desk"
            )

    def _issue(self, velocities: Array) -> None:
        config = self._config
        motion = franky.JointVelocityMotion(
            velocities.tolist(),
            franky.Duration(round(1000 * (config.dead_man_s + _MOTION_REST_S))),
            relative_dynamics_factor=franky.RelativeDynamicsFactor(
                1.0, config.acceleration_share, config.jerk_share
            ),
        )
        silent = config.dead_man_s < franky.Measure.REL_TIME
        motion.add_reaction(franky.JointVelocityReaction(silent, _hard_stop()))
        try:
            self._robot.move(motion, asynchronous=True)
        except _FAULTS as error:
            raise ArmError(explain(error, self._address)) from error

    def _why(self) -> str:
        """Return why the last motion ended."""
        try:
            self._robot.poll_motion()
        except _FAULTS as error:
            return explain(error, self._address)
        return "its motion ended, probably because no set-point came in time"

    def _collect(self) -> None:
        """Take the result of an ended motion, so that the next one may start."""
        if self._robot is None:
            return
        try:
            self._robot.join_motion(_START_S)
        except _FAULTS as error:
            _LOGGER.warning("the last motion ended with: %s", error)


def connect(open_device: Any, address: str, timeout_s: float) -> Any:
    """Open a device in a thread, because a robot that is taken never answers."""
    result: list[Any] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            result.append(open_device())
        except _FAULTS as error:
            failure.append(error)

    worker = threading.Thread(target=work, name="connect", daemon=True)
    worker.start()
    worker.join(timeout_s)
    if failure:
        raise ArmError(explain(failure[0], address)) from failure[0]
    if not result:
        raise ArmError(
            f"{address} did not answer within {timeout_s} s; another program probably controls "
            "the robot: end it, or take control in Desk"
        )
    return result[0]


def explain(error: BaseException, address: str) -> str:
    """Return what an error of franky means and what helps."""
    text = " ".join(str(error).split())
    if isinstance(error, franky.IncompatibleVersionException):
        return f"{text}; {WHEELS}"
    if isinstance(error, franky.NetworkException):
        return f"no link to {address}: {text}; check cable, address and that FCI is active in Desk"
    if isinstance(error, franky.RealtimeException):
        return f"{text}; a real robot needs a PREEMPT_RT kernel and rtprio, see mailctl doctor"
    if isinstance(error, franky.ControlException):
        return f"the robot ended the motion: {text}; clear the cause, then call arm/recover"
    if isinstance(error, franky.CommandException):
        return f"the robot refused: {text}; unlock the joints and activate FCI in Desk"
    return text


def active_errors(errors: Any) -> tuple[str, ...]:
    """Return the names of the errors that are set."""
    if str(errors) == "[]":
        return ()
    return tuple(name for name in _ERROR_NAMES if getattr(errors, name) is True)


def _hard_stop() -> Any:
    """Return a stop that never reverses, at the robot's full dynamics."""
    return franky.JointVelocityStopMotion(
        relative_dynamics_factor=franky.RelativeDynamicsFactor.MAX_DYNAMICS
    )
