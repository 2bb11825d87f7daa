"""Small parts of the arm node: the policy's clock, one node per robot, the black box."""

import json
import secrets
from pathlib import Path

import numpy as np
import pytest

from mail_franka.black_box import BlackBox
from mail_franka.clock_probe import ClockProbe
from mail_franka.control_loop import LoopTick
from mail_franka.robot_claim import RobotClaim
from mail_policy.core.devices import ArmError
from mail_policy.core.motion.values import CommandName
from tests.unit.motion_rig import TICK_S, Rig


def test_the_offset_of_a_clock_is_seen_through_changing_delays() -> None:
    random, probe = np.random.default_rng(0), ClockProbe()
    assert probe.offset_s == 0.0
    for beat in range(40):
        sent_s = 0.05 * beat
        delay_s = 0.0005 + float(random.exponential(0.01))
        probe.add(sent_s + 0.120, sent_s + delay_s)
    assert probe.offset_s == pytest.approx(0.120, abs=0.003)


def test_one_arm_node_per_robot() -> None:
    address = f"robot-{secrets.token_hex(4)}"
    with RobotClaim(address):
        with pytest.raises(ArmError, match=f"another arm node.*{address}"):
            RobotClaim(address).__enter__()
        with RobotClaim(f"{address}-2"):
            pass
    with RobotClaim(address):
        pass


def run_to_a_stop(box: BlackBox) -> Rig:
    rig = Rig()
    rig.start_policy()
    rig.step(chunk=rig.chunk())
    for tick in range(300):
        if tick == 250:
            rig.ask(CommandName.STOP)
        else:
            rig.step()
        reading = rig.reading()
        box.add(LoopTick(rig.now_s, reading, rig.last))
    return rig


def test_a_stop_is_written_down_with_the_seconds_before_it(tmp_path: Path) -> None:
    box = BlackBox(tmp_path / "box", TICK_S)
    rig = run_to_a_stop(box)
    box.close()
    (file,) = (tmp_path / "box").glob("*-stopped.json")
    content = json.loads(file.read_text())
    assert content["cause"] == "stopped by the operator"
    states = [row["state"] for row in content["ticks"]]
    assert states.count("stopped") == pytest.approx(30, abs=2)
    assert len(states) == pytest.approx(230, abs=2)
    assert content["ticks"][-1]["set_point_rad"] == pytest.approx(rig.positions.tolist(), abs=1e-3)
    assert content["ticks"][0]["robot_mode"] == "move"


def test_a_stop_at_the_very_end_is_written_too(tmp_path: Path) -> None:
    box = BlackBox(tmp_path, TICK_S)
    rig = Rig()
    rig.arm()
    rig.ask(CommandName.ESTOP)
    box.add(LoopTick(rig.now_s, rig.reading(), rig.last))
    box.close()
    assert len(list(tmp_path.glob("*-estop.json"))) == 1


def test_old_files_make_room_and_no_folder_writes_nothing(tmp_path: Path) -> None:
    for number in range(250):
        (tmp_path / f"20200101-{number:03}.json").touch()
    box = BlackBox(tmp_path, TICK_S)
    run_to_a_stop(box)
    box.close()
    assert len(list(tmp_path.glob("*.json"))) == 200
    BlackBox(None, TICK_S).add(LoopTick(0.0, None, Rig().step()))
