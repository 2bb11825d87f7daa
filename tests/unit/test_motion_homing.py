"""The way home: slow, smooth, and careful with what the hand is around."""

import numpy as np

from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, forward_kinematics
from mail_policy.core.motion.values import CommandName
from tests.unit.motion_rig import Rig, tcp_speeds


def test_homing_ends_ready_at_home_slowly_and_smoothly() -> None:
    start = HOME_JOINT_POSITIONS + np.array([0.4, 0.2, -0.2, -0.3, 0.2, 0.3, -0.4])
    rig = Rig(start=start)
    rig.arm()
    assert rig.ask(CommandName.HOME).state == "homing"
    assert rig.last.lease_holder == "homing"
    assert rig.last.gripper_width_m == 0.08
    for _ in range(2000):
        if rig.step().state != "homing":
            break
    assert rig.last.state == "ready"
    assert rig.last.cause == "at home"
    np.testing.assert_allclose(rig.positions, HOME_JOINT_POSITIONS, atol=1e-4)
    assert tcp_speeds(rig).max() <= 0.25


def test_homing_from_afar_lets_go_and_backs_off_before_it_leaves() -> None:
    start = HOME_JOINT_POSITIONS + np.array([0.3, 0.3, 0.0, 0.2, 0.1, 0.2, -0.3])
    rig = Rig(start=start)
    rig.arm()
    begun = forward_kinematics(start)
    rig.ask(CommandName.HOME)
    for _ in range(90):
        rig.step()
    np.testing.assert_allclose(rig.positions, start, atol=1e-9)
    assert rig.last.gripper_width_m == 0.08
    backed_off_m = 0.0
    while backed_off_m < 0.08:
        rig.step()
        away = forward_kinematics(rig.positions)[:3, 3] - begun[:3, 3]
        backed_off_m = float(-begun[:3, 2] @ away)
        sideways_m = float(np.linalg.norm(away + backed_off_m * begun[:3, 2]))
        assert sideways_m < 0.01
        assert rig.last.state == "homing"
