"""The whole stack on the twin, started as a user starts it, with real parts everywhere.

Times are read from the robot's own clock: a slow machine slows the twin, not the rules.
"""

import subprocess
from collections.abc import Iterator

import psutil
import pytest

from mail_bringup.operator_node import Operator
from tests.system.running_stack import MAILCTL, Stack

START_LIMIT_S = 150.0
# launch/config/arm.yaml, section `twin`: lease 1 s; the last chunk may end before.
DETECTION_LIMIT_S = 1.5
STANDSTILL_LIMIT_S = 0.5
MOVING_RAD_S = 0.05
STANDING_RAD_S = 0.01

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)  # each stack claims its own
    started = Stack("policy", "task:=open drawer", "record:=false")
    yield started
    started.end()


def speed_rad_s(operator: Operator) -> float:
    assert operator.arm_state is not None
    return max(map(abs, operator.arm_state.joint_velocities))


def test_the_arm_moves_on_a_chunk_and_holds_when_the_policy_is_killed(stack: Stack) -> None:
    with Operator(domain_id=stack.domain_id(), use_sim_time=True, name="oracle") as operator:

        def state() -> str:
            return operator.arm_state.state if operator.arm_state else ""

        def moves_on_a_chunk() -> bool:
            assert stack.popen.poll() is None, stack.text
            return (
                state() == "policy"
                and operator.arm_state.accepted_chunks > 1
                and speed_rad_s(operator) > MOVING_RAD_S
            )

        assert operator.wait_until(moves_on_a_chunk, START_LIMIT_S), stack.text
        killed_at_s = operator.arm_state.robot_time
        stack.process_named("policy_node").kill()

        assert operator.wait_until(lambda: state() != "policy", 30.0), stack.text
        noticed_at_s = operator.arm_state.robot_time
        assert state() in ("hold", "stopped")
        assert noticed_at_s - killed_at_s < DETECTION_LIMIT_S
        assert operator.wait_until(lambda: speed_rad_s(operator) < STANDING_RAD_S, 30.0)
        assert operator.arm_state.robot_time - noticed_at_s < STANDSTILL_LIMIT_S

        assert operator.wait_until(lambda: state() == "stopped", 30.0)
        stopped = operator.arm_state
        assert not stopped.may_move
        operator.wait_until(lambda: operator.arm_state.robot_time > stopped.robot_time + 1.0, 30.0)
        assert operator.arm_state.state == "stopped"
        moved_rad = max(
            abs(now - then)
            for now, then in zip(
                operator.arm_state.joint_positions, stopped.joint_positions, strict=True
            )
        )
        assert moved_rad < 0.005
    assert "policy was killed by SIGKILL; the stack goes on without it" in stack.text
    children = stack.processes()
    assert stack.end() == 0
    _, alive = psutil.wait_procs(children, timeout=5.0)
    assert alive == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["task:=make coffee"], "task 'make coffee'"),
        (["checkpoint:=/nowhere"], "checkpoint '/nowhere'"),
        (["robot_ip:=192.168.1.5"], "leave robot_ip out"),
        (["robot:=panda", "robot_ip:=127.77.77.77"], "no robot answers at 127.77.77.77:1337"),
        (["robots:=sim"], "did you mean 'robot'"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(
    arguments: list[str], message: str
) -> None:
    done = subprocess.run(
        [MAILCTL, "up", "policy", *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
