"""The control loop with an arm that obeys at once: pacing, effects, link loss, shutdown."""

import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from mail_franka.arm_config import ArmConfig, FrankyConfig, LoopConfig, is_loopback
from mail_franka.control_loop import ControlLoop, Heard, LoopTick
from mail_franka.robot_clock import RobotClock
from mail_franka.simulated_arm import SimulatedArm
from mail_policy.core.devices import ArmError
from mail_policy.core.motion.config import MotionConfig
from mail_policy.core.motion.core import MotionCore
from mail_policy.core.motion.values import CommandName
from mail_policy.core.robot_limits import RobotType
from mail_policy.core.types import JointSetPoint

LIMIT_S = 10.0


class LoopRig:
    """A loop around a simulated arm whose clock is the wall's, until it is frozen."""

    def __init__(self) -> None:
        self.frozen_at_s: float | None = None
        self.arm = SimulatedArm(self.robot_time_s)
        self.arm.__enter__()
        self.ticks: list[LoopTick] = []
        self.loop = ControlLoop(
            self.arm,
            MotionCore(MotionConfig(), RobotType.FR3, epoch=1),
            LoopConfig(stall_s=0.3, reconnect_s=0.01),
            tick_s=0.01,
            clock=RobotClock(0.5),
            observation_now_s=time.monotonic,
            poll_inputs=Heard,
            on_tick=self.ticks.append,
        )
        self.loop.start()

    def robot_time_s(self) -> float:
        return time.monotonic() if self.frozen_at_s is None else self.frozen_at_s

    def wait_for(self, state: str) -> LoopTick:
        wait_until(lambda: bool(self.ticks) and self.ticks[-1].outputs.state == state, state)
        return self.ticks[-1]


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {LIMIT_S} s: {what}"
        time.sleep(0.001)


@pytest.fixture
def rig() -> Iterator[LoopRig]:
    rig = LoopRig()
    rig.wait_for("idle")
    yield rig
    rig.loop.stop()


def test_arming_takes_control_and_disarming_gives_it_back(rig: LoopRig) -> None:
    assert rig.loop.request(CommandName.ARM).success
    wait_until(lambda: rig.arm.read().in_control, "in control")
    assert rig.loop.request(CommandName.DISARM).success
    wait_until(lambda: not rig.arm.read().in_control, "released")


def test_ticks_follow_the_robots_clock(rig: LoopRig) -> None:
    wait_until(lambda: len(rig.ticks) > 30, "thirty ticks")
    times_s = [tick.reading.robot_time_s for tick in rig.ticks if tick.reading]
    steps_s = [b - a for a, b in pairwise(times_s)]
    assert min(steps_s) >= 0.01 - 1e-6


def test_a_clock_that_stands_still_is_a_fault_and_moves_nothing(rig: LoopRig) -> None:
    rig.loop.request(CommandName.ARM)
    rig.frozen_at_s = time.monotonic()
    tick = rig.wait_for("fault")
    assert tick.outputs.set_point is None


def test_a_lost_link_is_opened_again_and_needs_the_operator(rig: LoopRig) -> None:
    rig.loop.request(CommandName.ARM)
    rig.arm.is_linked = False
    assert "link is cut" in rig.wait_for("fault").outputs.cause
    rig.arm.is_linked = True
    wait_until(lambda: rig.ticks[-1].reading is not None, "a reading")
    assert rig.ticks[-1].outputs.state == "fault"
    assert not rig.arm.read().in_control
    assert rig.loop.request(CommandName.RECOVER).success
    rig.wait_for("ready")
    wait_until(lambda: rig.arm.read().in_control, "in control again")


def test_a_refused_recovery_is_reported(rig: LoopRig) -> None:
    rig.loop.request(CommandName.ARM)
    rig.arm.errors, rig.arm.recovers = ("joint_reflex",), False
    rig.wait_for("fault")
    reply = rig.loop.request(CommandName.RECOVER)
    assert not reply.success
    assert "joint_reflex" in reply.message


def test_stopping_the_loop_releases_the_arm(rig: LoopRig) -> None:
    rig.loop.request(CommandName.ARM)
    wait_until(lambda: rig.arm.read().in_control, "in control")
    rig.loop.stop()
    assert not rig.arm.read().in_control
    assert rig.ticks[-1].outputs.state == "shutdown"


def test_an_unexpected_error_in_the_loop_releases_the_arm() -> None:
    rig = LoopRig()
    rig.wait_for("idle")
    rig.loop.request(CommandName.ARM)
    wait_until(lambda: rig.arm.read().in_control, "in control")

    def fail(tick: LoopTick) -> None:
        raise ZeroDivisionError

    rig.loop._on_tick = fail
    wait_until(lambda: not rig.arm.read().in_control, "released")


def test_the_simulated_arm_refuses_set_points_without_control() -> None:
    with SimulatedArm(time.monotonic) as arm:
        reading = arm.read()
        with pytest.raises(ArmError, match="not in control"):
            arm.follow(JointSetPoint(*[reading.joint_positions] * 3))


def test_robot_time_is_translated_by_the_trusted_share_of_samples() -> None:
    late, early = RobotClock(0.0), RobotClock(1.0)
    for i in range(50):
        delay_s = 0.001 * (i % 5)
        late.add(0.01 * i, 100.0 + 0.01 * i + delay_s)
        early.add(0.01 * i, 100.0 + 0.01 * i - delay_s)
    assert late.to_observation_time(1.0) == pytest.approx(101.0)
    assert early.to_observation_time(1.0) == pytest.approx(101.0)
    assert late.spread_s == pytest.approx(0.004)


def test_translated_time_never_runs_backwards_but_follows_a_step_of_the_clock() -> None:
    clock = RobotClock(0.0)
    clock.add(1.0, 11.0)
    assert clock.to_observation_time(1.0) == pytest.approx(11.0)
    clock.add(1.01, 10.9)
    assert clock.to_observation_time(1.01) == pytest.approx(11.0)
    clock.add(0.0, 500.0)
    assert clock.to_observation_time(0.0) == pytest.approx(500.0)


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.5", True), ("172.16.0.2", False), ("robot.local", False), ("", False)],
)
def test_only_loopback_addresses_are_twins(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected


def test_relaxations_of_the_twin_never_reach_a_real_robot() -> None:
    config = ArmConfig()
    assert config.for_address("172.16.0.2") is config
    twin = config.for_address("127.0.0.1")
    assert twin.motion.admission.max_age_s == 0.6
    assert twin.motion.envelope == config.motion.envelope
    assert twin.motion.joints == config.motion.joints


def test_a_real_robot_needs_a_short_dead_man() -> None:
    config = ArmConfig(franky=FrankyConfig(dead_man_s=0.4))
    with pytest.raises(ValueError, match="dead_man_s"):
        config.for_address("172.16.0.2")


@pytest.mark.parametrize(
    "changes", [{"dead_man_s": 2.0}, {"jerk_share": 1.5}, {"collision_force_n": 500.0}]
)
def test_protections_cannot_be_switched_off(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes)).split("_")[0]):
        FrankyConfig(**changes)
