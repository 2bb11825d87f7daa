"""The tables of the two arms, and how they may be tightened."""

import numpy as np
import pytest

from mail_policy.core.kinematics import HOME_JOINT_POSITIONS
from mail_policy.core.robot_limits import (
    SHARED_JOINT_LIMITS,
    LimitShares,
    RobotType,
    joint_limits,
    tightened,
)


@pytest.mark.parametrize("robot_type", list(RobotType))
def test_home_is_well_inside_the_range_of_every_arm(robot_type: RobotType) -> None:
    limits = joint_limits(robot_type)
    assert (limits.lower + 0.2 < HOME_JOINT_POSITIONS).all()
    assert (limits.upper - 0.2 > HOME_JOINT_POSITIONS).all()


@pytest.mark.parametrize("robot_type", list(RobotType))
def test_shared_limits_never_exceed_an_arm(robot_type: RobotType) -> None:
    limits = joint_limits(robot_type)
    assert (SHARED_JOINT_LIMITS.lower >= limits.lower).all()
    assert (SHARED_JOINT_LIMITS.upper <= limits.upper).all()
    for name in ("velocity", "acceleration", "jerk"):
        assert (getattr(SHARED_JOINT_LIMITS, name) <= getattr(limits, name)).all()


@pytest.mark.parametrize("robot_type", list(RobotType))
def test_tightened_limits_are_a_share_inside_the_range(robot_type: RobotType) -> None:
    limits = joint_limits(robot_type)
    tight = tightened(limits, LimitShares(velocity=0.25, acceleration=0.5, jerk=0.1))
    np.testing.assert_allclose(tight.velocity, 0.25 * limits.velocity)
    # franky streams to no joint with more than 10 rad/s2.
    streamed = np.minimum(limits.acceleration, 10.0)
    np.testing.assert_allclose(tight.acceleration, 0.5 * streamed)
    np.testing.assert_allclose(tight.braking_acceleration, 0.8 * streamed)
    np.testing.assert_allclose(tight.braking_jerk, 0.5 * limits.jerk)
    np.testing.assert_allclose(tight.jerk, 0.1 * limits.jerk)
    np.testing.assert_allclose(tight.lower, limits.lower + 0.05)
    np.testing.assert_allclose(tight.upper, limits.upper - 0.05)


@pytest.mark.parametrize(
    ("name", "value"),
    [("velocity", 1.01), ("acceleration", 0.0), ("jerk", -0.5), ("position_margin_rad", -0.01)],
)
def test_a_share_that_would_loosen_a_limit_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        LimitShares(**{name: value})


def test_braking_may_not_be_weaker_than_motion() -> None:
    with pytest.raises(ValueError, match="braking"):
        LimitShares(acceleration=0.9)
