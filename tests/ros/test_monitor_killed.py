"""Killing the real monitor has no effect on a moving arm."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Measured
from tests.ros.arm_rig import ArmRig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[ArmRig]:
    with ArmRig(tmp_path) as rig:
        yield rig


@pytest.mark.fault("F70", bound="no effect")
def test_a_monitor_that_is_killed_has_no_effect(rig: ArmRig, measured: Measured) -> None:
    rig.run_policy()
    monitor = rig.start(
        *("monitor", "mail_monitor.monitor_process"),
        *("-p", "use_sim_time:=true", "-p", f"arm_file:={rig.config_file}"),
    )
    rig.wait_until(lambda: rig.node.count_publishers("monitor/markers") == 1, "it shows")
    rig.pass_time(0.5)
    monitor.kill()
    monitor.wait()
    cycle = rig.robot.newest_cycle()
    rig.pass_time(1.0)
    assert rig.state == "policy", rig.states[-1].cause
    speed_m_s = float(np.median(rig.speeds(cycle)))
    assert speed_m_s > 0.1
    measured(f"the arm went on at {speed_m_s:.2f} m/s")
