"""A robot that misbehaves on command, in a process of its own, for tests."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mail_policy.core.robot_limits import RobotType
from tests.fci.oracle import OracleReader

_ROOT = Path(__file__).parents[2]
_START_LIMIT_S = 30.0
_ANSWER_LIMIT_S = 10.0
_STOP_LIMIT_S = 5.0
# Robot modes of the protocol, by their numbers.
ROBOT_MODES = (
    *("other", "idle", "move", "guiding", "reflex", "user_stopped"),
    "automatic_error_recovery",
)


class FaultyRobotError(RuntimeError):
    """The robot's process cannot start, refuses a request or has ended."""


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """What the robot did, one row per cycle of 1 ms of robot time.

    Attributes:
        robot_time_s: As the robot's clients see it [s], shape (N,).
        joint_positions: q_d [rad], shape (N, 7).
        joint_velocities: dq_d [rad/s], shape (N, 7).
        robot_mode: Indices into ROBOT_MODES, shape (N,).
        in_motion: Whether a client's motion ran, shape (N,).
        lost: Whether the cycle's command was lost, shape (N,).
    """

    robot_time_s: NDArray[np.float64]
    joint_positions: NDArray[np.float64]
    joint_velocities: NDArray[np.float64]
    robot_mode: NDArray[np.uint8]
    in_motion: NDArray[np.bool_]
    lost: NDArray[np.bool_]


class FaultyRobot:
    """Starts the robot, injects faults, tells what it did, and always ends it.

    Args:
        address: Loopback address that nobody else uses.
        robot_type: Whose limits it checks.
        joint_positions: Where it starts [rad]; None for home.
        patience_s: Longest wait for a client's command before it counts as lost [s].
        slowdown: How much slower than real the robot runs; a busy machine has that much more time.
    """

    def __init__(
        self,
        address: str,
        *,
        robot_type: RobotType = RobotType.FR3,
        joint_positions: Sequence[float] | None = None,
        patience_s: float = 0.2,
        slowdown: float = 1.0,
    ) -> None:
        self.address = address
        self._options = ["--robot-type", robot_type, "--patience-s", str(patience_s)]
        self._options += ["--slowdown", str(slowdown)]
        if joint_positions is not None:
            self._options += ["--joint-positions", *(str(float(q)) for q in joint_positions)]
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        """Start the process. Raises FaultyRobotError if it does not get ready."""
        with self._cleanup:
            # Only needed until connected; a killed test then leaves no folder behind.
            with tempfile.TemporaryDirectory(prefix="fci-") as folder:
                path = Path(folder) / "control"
                self._start(path)
                self._connect(path)
            status = self.status()
            self._oracle = self._cleanup.enter_context(
                OracleReader(self._process.pid, status["oracle_fd"])
            )
            self._cleanup = self._cleanup.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        """End the process."""
        self._cleanup.close()

    @property
    def process_id(self) -> int:
        """The robot's process, to be stopped or killed by tests."""
        return self._process.pid

    def status(self) -> dict[str, Any]:
        """Return cycle, robot_mode, errors, in_motion, success_rate, gripper_width_m, ..."""
        return self.request("status")

    def cycle(self) -> int:
        """Return the robot time [ms]."""
        return int(self.status()["cycle"])

    def newest_cycle(self) -> int:
        """Return the robot time [ms] without asking the robot; safe from any thread."""
        return self._oracle.newest()

    def trajectory(self, since_cycle: int = 1) -> Trajectory:
        """Return what the robot did from a cycle until now; costs the robot nothing."""
        rows = self._oracle.rows(since_cycle, self.cycle())
        return Trajectory(
            robot_time_s=0.001 * rows["cycle"],
            joint_positions=rows["q_d"],
            joint_velocities=rows["dq_d"],
            robot_mode=rows["robot_mode"],
            in_motion=rows["in_motion"],
            lost=rows["lost"],
        )

    def reflex(self, *errors: str) -> int:
        """Stop by reflex with some of the 41 errors; returns the cycle."""
        return self._inject("reflex", errors=list(errors))

    def user_stop(self, pressed: bool) -> int:
        """Press or release the user stop; returns the cycle."""
        return self._inject("user_stop", pressed=pressed)

    def guiding(self, pressed: bool) -> int:
        """Press or release the guiding buttons; returns the cycle."""
        return self._inject("guiding", pressed=pressed)

    def answer_recoveries(self, answer: str, times: int | None = None) -> None:
        """Answer recoveries with a status of the protocol.

        Args:
            answer: For example "kManualErrorRecoveryRequiredRejected",
                "kCommandNotPossibleRejected", "kSuccess".
            times: How many recoveries; later ones succeed. None for all.
        """
        self._inject("recovery", answer=answer, times=times)

    def set_readiness(
        self,
        *,
        fci_active: bool = True,
        joints_locked: bool = False,
        safety_function_active: bool = False,
    ) -> None:
        """Refuse connections (FCI inactive) or motions (the others)."""
        self._inject(
            "readiness",
            fci_active=fci_active,
            joints_locked=joints_locked,
            safety_function_active=safety_function_active,
        )

    def lose_packets(self, direction: str, count: int) -> int:
        """Lose the next packets of "states" or "commands"; returns the cycle."""
        return self._inject("lose_packets", direction=direction, count=count)

    def lose_share(self, direction: str, rate: float, seed: int = 0) -> int:
        """Lose a random share of "states" or "commands"; returns the cycle."""
        return self._inject("lose_share", direction=direction, rate=rate, seed=seed)

    def delay_packets(self, direction: str, count: int, delay_ms: int) -> int:
        """Delay each of the next packets of a direction by robot time; returns the cycle."""
        return self._inject("delay_packets", direction=direction, count=count, delay_ms=delay_ms)

    def double_packets(self, direction: str, count: int) -> int:
        """Deliver each of the next packets of a direction twice; returns the cycle."""
        return self._inject("double_packets", direction=direction, count=count)

    def restore_network(self) -> None:
        """Lose, delay and double nothing from now on."""
        self._inject("restore_network")

    def freeze(self, duration_s: float | None = None) -> int:
        """Stand still for some wall time [s], None for until `thaw`; returns the cycle."""
        return self._inject("freeze", duration_s=duration_s)

    def thaw(self) -> None:
        """Go on after a freeze."""
        self._inject("thaw")

    def set_server_version(self, version: int | None) -> None:
        """Speak another version of the protocol to new clients; None for the usual one."""
        self._inject("server_version", version=version)

    def set_tool(
        self, *, load_mass_kg: float | None = None, flange_to_ee: Sequence[float] | None = None
    ) -> None:
        """Show another load or F_T_EE (16 numbers, column by column); None for the true ones."""
        frame = None if flange_to_ee is None else [float(value) for value in flange_to_ee]
        self._inject("tool", load_mass_kg=load_mass_kg, flange_to_ee=frame)

    def set_external_torques(self, torques_nm: Sequence[float]) -> int:
        """Show external joint torques [Nm]; returns the cycle."""
        return self._inject("external_torques", torques_nm=[float(t) for t in torques_nm])

    def set_success_rate(self, rate: float | None) -> int:
        """Show another success rate, None for the true one; returns the cycle."""
        return self._inject("success_rate", rate=rate)

    def set_gripper_answer(self, answer: str) -> None:
        """Let the hand answer commands "normal", "hang", "fail" or "unsuccessful".

        A hand that hung carries out what it was told as soon as it is normal again. Let it: a
        franky future of an unanswered command blocks when it is destroyed.
        """
        self._inject("gripper_commands", answer=answer)

    def set_gripper_connected(self, connected: bool, *, by_reset: bool = False) -> None:
        """Plug the hand's network in or out.

        Args:
            connected: Whether it shall be plugged in.
            by_reset: Break the connection so that the client notices. After an orderly end,
                libfranka 0.21 waits for the answer to a running command for another 60 s.
        """
        self._inject("gripper_connection", connected=connected, by_reset=by_reset)

    def put_gripper_object(self, width_m: float) -> None:
        """Put an object between the fingers [m]; 0 takes it away, also out of the grip."""
        self._inject("gripper_object", width_m=width_m)

    def request(self, command: str, **fields: Any) -> dict[str, Any]:
        """Send any request. Raises FaultyRobotError if it is refused or not answered."""
        line = json.dumps({"command": command, **fields}).encode() + b"\n"
        try:
            self._connection.sendall(line)
            answer = json.loads(self._lines.readline())
        except (OSError, ValueError) as error:
            raise FaultyRobotError(f"the robot's process does not answer: {error}") from error
        if "error" in answer:
            raise FaultyRobotError(answer["error"])
        return dict(answer)

    def _inject(self, command: str, **fields: Any) -> int:
        return int(self.request(command, **fields)["cycle"])

    def _start(self, path: Path) -> None:
        command = [sys.executable, "-m", "tests.fci.server", self.address, str(path)]
        self._process = subprocess.Popen(
            [*command, *self._options],
            cwd=_ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
        )
        self._cleanup.callback(self._end_process)

    def _end_process(self) -> None:
        for end in (None, self._process.terminate, self._process.kill):
            if end is not None:
                end()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_LIMIT_S)
                return

    def _connect(self, path: Path) -> None:
        self._connection = self._cleanup.enter_context(socket.socket(socket.AF_UNIX))
        deadline_s = time.monotonic() + _START_LIMIT_S
        while True:
            with suppress(FileNotFoundError, ConnectionRefusedError):
                self._connection.connect(str(path))
                break
            if self._process.poll() is not None:
                raise FaultyRobotError(
                    f"the robot's process ended with status {self._process.returncode}; its "
                    f"lines above say why (is {self.address} in use?)"
                )
            if time.monotonic() > deadline_s:
                raise FaultyRobotError(f"the robot was not ready within {_START_LIMIT_S} s")
            time.sleep(0.01)
        self._connection.settimeout(_ANSWER_LIMIT_S)
        self._lines = self._cleanup.enter_context(self._connection.makefile("rb"))
