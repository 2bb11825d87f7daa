"""Everything that the arm node owns: devices, control loop, gripper worker. No ROS."""

import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from mail_franka.arm_config import ArmConfig, is_loopback
from mail_franka.black_box import BlackBox
from mail_franka.control_loop import ControlLoop, Heard, LoopTick
from mail_franka.devices import DeviceFactory
from mail_franka.gripper_values import GripperView
from mail_franka.gripper_worker import GripperWorker
from mail_franka.robot_claim import RobotClaim
from mail_franka.robot_clock import RobotClock
from mail_policy.core.config import load_config
from mail_policy.core.motion.core import MotionCore
from mail_policy.core.motion.values import CommandName, Reply
from mail_policy.core.robot_limits import RobotType

# Which samples of the clock offset to trust, see RobotClock.
_TRUST_ON_ROBOT, _TRUST_ON_TWIN = 0.1, 0.9


class ArmSession:
    """An arm and its gripper, from connecting to letting go.

    Args:
        make_devices: Makes arm and gripper.
        observation_now_s: The clock that stamps observations [s].
        on_tick: Called after each control tick from the control thread; must not wait.
        black_box_folder: Where the last seconds before a stop are written; None for nowhere.
    """

    def __init__(
        self,
        make_devices: DeviceFactory,
        observation_now_s: Callable[[], float],
        on_tick: Callable[[LoopTick, GripperView], None],
        black_box_folder: Path | None = None,
    ) -> None:
        self._make_devices = make_devices
        self._observation_now_s = observation_now_s
        self._on_tick = on_tick
        self._black_box_folder = black_box_folder
        self._devices = ExitStack()
        self._loop: ControlLoop | None = None
        self._worker: GripperWorker | None = None
        self._simulated_time = False
        self.robot_type = RobotType.FR3

    def open(
        self, address: str, robot_type: str, config_file: Path, *, simulated_time: bool
    ) -> None:
        """Read the settings and connect. Raises ConfigError, DeviceError or ValueError."""
        self.robot_type = RobotType(robot_type)
        if not address:
            raise ValueError("robot_ip is empty; give the address of the robot or of a twin")
        if simulated_time and not is_loopback(address):
            raise ValueError(f"use_sim_time with a real robot at {address}; start without it")
        self._simulated_time = simulated_time
        self._config = load_config(ArmConfig, config_file).for_address(address)
        arm, gripper = self._make_devices(
            address, self.robot_type, self._config, self._observation_now_s
        )
        try:
            self._devices.enter_context(RobotClaim(address))
            self._arm = self._devices.enter_context(arm)
            self._gripper = self._devices.enter_context(gripper)
        except RuntimeError:
            self._devices.close()
            raise

    def start(self, poll_inputs: Callable[[], Heard]) -> None:
        """Start the control loop. Nothing moves before the operator asks for it.

        Args:
            poll_inputs: Called before each control tick from the control thread: returns what was
                heard since the last call. Must not wait.
        """
        self._worker = GripperWorker(self._gripper, self._config.gripper, time.monotonic)
        self._worker.start()
        self._black_box = BlackBox(self._black_box_folder, self._config.motion.tick_s)
        # Random, so that chunks of an earlier run never fit.
        epoch = random.SystemRandom().getrandbits(32)
        self._loop = ControlLoop(
            self._arm,
            MotionCore(self._config.motion, self.robot_type, epoch),
            self._config.loop,
            tick_s=self._config.motion.tick_s,
            clock=RobotClock(_TRUST_ON_TWIN if self._simulated_time else _TRUST_ON_ROBOT),
            observation_now_s=self._observation_now_s,
            poll_inputs=poll_inputs,
            on_tick=self._after_tick,
        )
        self._loop.start()

    def rest(self) -> None:
        """Brake and give control back; the connection stays open."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.stop()
            self._black_box.close()
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()

    def close(self) -> None:
        """Come to rest and disconnect."""
        self.rest()
        self._devices.close()

    @property
    def gripper(self) -> GripperWorker | None:
        """Who commands the hand, None while the loop does not run."""
        return self._worker

    def request(self, name: CommandName, task: str = "", max_duration_s: float = 0.0) -> Reply:
        """Make an operator's request and wait for the answer."""
        if self._loop is None:
            return Reply(0, False, "the arm node is not active; activate it first")
        return self._loop.request(name, task, max_duration_s)

    def _after_tick(self, tick: LoopTick) -> None:
        worker = self._worker
        if worker is None:
            return
        self._black_box.add(tick)
        worker.follow(tick.outputs.lease_holder, tick.outputs.gripper_width_m)
        self._on_tick(tick, worker.view())
