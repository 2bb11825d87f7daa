"""The twin's processes with a real franky client. Also the contract test for franky-sim."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import franky
import numpy as np
import pytest

from mail_policy.core.frame_share import SharedFrames
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS
from mail_sim.twin import Twin, TwinConfig, TwinError
from mail_sim.world.address import find_free_address

LIMIT_S = 20.0
OPEN_TOP_DRAWER = "open the top drawer of the cabinet"


def wait_until(condition: Callable[[], bool], limit_s: float = LIMIT_S) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_s, "the condition did not come true in time"
        time.sleep(0.005)


def run_id() -> str:
    return f"test{secrets.token_hex(4)}"


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with Twin(find_free_address(), run_id()) as twin:
        yield twin


@pytest.fixture(scope="module")
def robot(twin: Twin) -> franky.Robot:
    robot = franky.Robot(twin.robot_ip, realtime_config=franky.RealtimeConfig.Ignore)
    robot.relative_dynamics_factor = 0.3
    return robot


@pytest.fixture(scope="module")
def gripper(twin: Twin) -> franky.Gripper:
    return franky.Gripper(twin.robot_ip)


def move_to(robot: franky.Robot, joint_positions: np.ndarray) -> None:
    robot.move(franky.JointMotion([float(q) for q in joint_positions]))


def test_simulated_time_runs_and_never_faster_than_real_time(twin):
    began_s, time_s = time.monotonic(), twin.time_s
    wait_until(lambda: twin.time_s > time_s + 0.5)
    # 50 ms of lateness may be caught up.
    assert twin.time_s - time_s <= time.monotonic() - began_s + 0.06


def test_both_cameras_show_the_same_instants_of_the_policys_grid(twin):
    with SharedFrames(twin.run_id, "agentview") as a, SharedFrames(twin.run_id, "wrist") as b:
        stamps: dict[int, list[float]] = {}
        began = twin.rendered
        while twin.rendered < began + 10:
            for ring in (a.ring, b.ring):
                frame = ring.read_newest()
                if frame is not None:
                    assert frame.image.shape == (256, 256, 3)
                    assert frame.image.std() > 5.0
                    stamps.setdefault(frame.sequence, []).append(frame.captured_at_s)
            time.sleep(0.002)
    assert len(stamps) >= 10
    assert sorted(stamps) == list(range(min(stamps), max(stamps) + 1))
    for seen in stamps.values():
        assert len(set(seen)) == 1
        assert seen[0] / 0.05 == pytest.approx(round(seen[0] / 0.05), abs=1e-6)


def test_the_world_waits_for_its_pictures(twin):
    with SharedFrames(twin.run_id, "wrist") as wrist:
        ages_s = []
        began = twin.rendered
        while twin.rendered < began + 20:
            frame = wrist.ring.read_newest()
            ages_s.append(twin.time_s - frame.captured_at_s)
            time.sleep(0.005)
    # One picture may be in the making, and the next snapshot is taken before the world waits;
    # while it waits it still makes a step every 20 ms.
    assert max(ages_s) < 0.12


def test_the_arm_starts_at_home_and_reports_no_external_torques(twin, robot):
    state = robot.state
    np.testing.assert_allclose(state.q, HOME_JOINT_POSITIONS, atol=0.01)
    assert np.abs(state.tau_ext_hat_filtered).max() == 0.0


def test_a_client_moves_the_arm(robot):
    target = HOME_JOINT_POSITIONS + np.array([0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1])
    move_to(robot, target)
    wait_until(lambda: np.abs(np.array(robot.state.q) - target).max() < 0.02)
    move_to(robot, HOME_JOINT_POSITIONS)
    wait_until(lambda: np.abs(np.array(robot.state.q) - HOME_JOINT_POSITIONS).max() < 0.02)


def test_the_hand_moves_and_respects_the_commanded_speed(twin, gripper):
    assert gripper.move(0.08, 0.1)
    began_s = twin.time_s
    assert gripper.move(0.02, 0.03)
    assert gripper.width == pytest.approx(0.02, abs=0.004)
    # 60 mm at 30 mm/s, then 0.1 s to be sure that the fingers have stopped.
    assert 2.0 < twin.time_s - began_s < 2.6
    assert gripper.move(0.08, 0.1)
    assert gripper.width == pytest.approx(0.08, abs=0.004)


def test_after_a_stop_no_hand_command_stays_unanswered(gripper):
    moving = gripper.move_async(0.0, 0.02)
    wait_until(lambda: gripper.width < 0.078)
    # libfranka's stop may wait for seconds for the lock that the command's thread keeps taking,
    # so the command may have ended before; tests/unit/test_twin_hand.py has the exact case.
    assert gripper.stop()
    assert moving.wait(5.0)
    assert gripper.move(0.08, 0.1)


@pytest.mark.parametrize("width_m", [-0.01, 0.09])
def test_an_impossible_width_is_refused(gripper, width_m):
    with pytest.raises(franky.CommandException):
        gripper.move(width_m, 0.1)


def test_a_reset_moves_the_scene_and_not_the_arm(twin, robot):
    move_to(robot, HOME_JOINT_POSITIONS)
    with SharedFrames(twin.run_id, "agentview") as agentview:
        wait_until(lambda: np.abs(np.array(robot.state.dq)).max() < 0.01)
        before, deepest = np.array(robot.state.q), 0.0
        number = twin.snapshots
        wait_until(lambda: twin.rendered > number)
        old = agentview.ring.read_newest().image.astype(float)
        twin.reset(seed=100_003)
        number = twin.snapshots
        while twin.rendered < number + 5:
            deepest = max(deepest, np.abs(np.array(robot.state.q) - before).max())
        new = agentview.ring.read_newest().image.astype(float)
    assert deepest < 0.003
    assert np.abs(new - old).max() > 50.0


def test_the_same_seed_gives_the_same_scene(twin):
    measures = []
    for seed in (100_001, 100_002, 100_001):
        twin.reset(seed)
        measures.append(twin.check(OPEN_TOP_DRAWER).measure)
    assert measures[0] == pytest.approx(measures[2], abs=1e-3)


def test_a_reset_is_refused_while_the_arm_is_away_from_home(twin, robot):
    move_to(robot, HOME_JOINT_POSITIONS + np.array([0.4, 0, 0, 0, 0, 0, 0]))
    with pytest.raises(TwinError, match=r"joint 1 is 0.* rad away.*arm/home"):
        twin.reset(seed=1)
    move_to(robot, HOME_JOINT_POSITIONS)


def test_an_unsolved_task_is_not_reported_as_solved(twin):
    twin.reset(seed=100_000)
    check = twin.check(OPEN_TOP_DRAWER)
    assert not check.success
    assert np.isfinite(check.measure)


def test_an_unknown_task_is_refused_and_the_twin_goes_on(twin):
    with pytest.raises(TwinError, match="juggle"):
        twin.check("juggle three drawers")
    time_s = twin.time_s
    wait_until(lambda: twin.time_s > time_s + 0.05)


def test_a_second_twin_at_the_same_address_is_refused(twin):
    with pytest.raises(TwinError, match=f"{twin.robot_ip}: port 1337 is in use"):
        Twin(twin.robot_ip, run_id()).__enter__()


def test_a_second_twin_runs_beside_the_first(twin):
    with Twin(find_free_address(), run_id()) as other:
        robot = franky.Robot(other.robot_ip, realtime_config=franky.RealtimeConfig.Ignore)
        np.testing.assert_allclose(robot.state.q, HOME_JOINT_POSITIONS, atol=0.01)
        first_s, second_s = twin.time_s, other.time_s
        wait_until(lambda: twin.time_s > first_s + 0.3 and other.time_s > second_s + 0.3)
        with SharedFrames(other.run_id, "wrist") as wrist:
            wait_until(lambda: wrist.ring.newest_sequence > 0)


def test_without_lockstep_the_world_does_not_wait_for_pictures():
    config = TwinConfig(lockstep_rendering=False)
    with Twin(find_free_address(), run_id(), config) as twin:
        wait_until(lambda: twin.snapshots > 10)
        assert twin.statistics()["render_wait_s"] == 0.0


def test_a_taken_run_id_is_refused_and_nothing_stays_behind(twin):
    address = find_free_address()
    with pytest.raises(TwinError, match="give this run another run_id"):
        Twin(address, twin.run_id).__enter__()
    with Twin(address, run_id()) as other:  # The first attempt has given the address back.
        assert other.snapshots >= 0


def shared_memory() -> set[Path]:
    """Return what lies in shared memory, without that of ROS nodes of other tests."""
    files = Path("/dev/shm").glob("*")
    return {file for file in files if "fastrtps" not in file.name and "lttng" not in file.name}


def child_processes(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_whatever_ends_the_parent_nothing_stays_behind(end):
    source = (
        "import sys, time\n"
        "from mail_sim.twin import Twin\n"
        "with Twin(sys.argv[1], sys.argv[2]) as twin:\n"
        "    sys.stdout.write('ready\\n'); sys.stdout.flush()\n"
        "    time.sleep(120)\n"
    )
    before = shared_memory()
    arguments = [sys.executable, "-c", source, find_free_address(), run_id()]
    parent = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert parent.stdout.readline() == b"ready\n"
    children = child_processes(parent.pid)
    assert len(children) == 2
    parent.send_signal(end)
    parent.wait(LIMIT_S)
    parent.stdout.close()
    wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    assert shared_memory() - before == set()


def test_a_twin_whose_physics_was_killed_says_so():
    with Twin(find_free_address(), run_id()) as twin:
        os.kill(twin._physics._process.pid, signal.SIGKILL)
        with pytest.raises(TwinError, match=r"process_fci.*ended with status -9"):
            twin.check(OPEN_TOP_DRAWER)
