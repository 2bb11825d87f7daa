"""The gripper's worker with a hand that obeys at once, hangs, vanishes or loses its object."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest

from mail_franka.arm_config import GripperConfig
from mail_franka.gripper_desk import GripperDesk
from mail_franka.gripper_status import GripperPacer, GripperStatus
from mail_franka.gripper_values import (
    NOT_HOMED,
    ApproachGoal,
    Grip,
    GripperResult,
    GripperView,
    HomingGoal,
    decide_grip,
    order_for,
)
from mail_franka.gripper_worker import GripperWorker
from mail_franka.simulated_arm import SimulatedGripper
from mail_policy.core.devices import GraspGoal, MoveGoal
from mail_policy.core.types import GripperReading

LIMIT_S = 10.0
FAST = GripperConfig(command_period_s=0.001, read_period_s=0.002, reopen_s=0.01)
HASTY = GripperConfig(
    command_period_s=0.001, read_period_s=0.002, command_timeout_s=0.05, homing_timeout_s=0.05
)
MOVE = MoveGoal(width_m=0.04, speed_m_s=0.1)
# No way at all, so that only the settings say how long it may take.
STAY = MoveGoal(width_m=0.08, speed_m_s=0.1)
GRASP = GraspGoal(
    width_m=0.04, speed_m_s=0.1, force_n=20.0, epsilon_inner_m=0.01, epsilon_outer_m=0.01
)
MakeWorker = Callable[..., GripperWorker]


def reading(width_m: float = 0.08, max_width_m: float = 0.08, held: bool = False) -> GripperReading:
    return GripperReading(0.0, width_m, max_width_m, held)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {LIMIT_S} s: {what}"
        time.sleep(0.001)


def wait_for_reading(worker: GripperWorker, condition: Callable[[GripperReading], bool]) -> None:
    def holds() -> bool:
        newest = worker.view().reading
        return newest is not None and condition(newest)

    wait_until(holds, "a reading")


def end_of(answer: Future[GripperResult]) -> GripperResult:
    return answer.result(LIMIT_S)


@pytest.fixture
def gripper() -> SimulatedGripper:
    return SimulatedGripper(time.monotonic)


@pytest.fixture
def make_worker(gripper: SimulatedGripper) -> Iterator[MakeWorker]:
    workers = []

    def make(config: GripperConfig = FAST) -> GripperWorker:
        workers.append(GripperWorker(gripper, config, time.monotonic))
        workers[-1].start()
        wait_for_reading(workers[-1], lambda _: True)
        return workers[-1]

    yield make
    gripper.obeys_stop = gripper.is_linked = True
    for worker in workers:
        worker.stop(LIMIT_S)
    assert not {t.name for t in threading.enumerate() if t.name.startswith("gripper")}


@pytest.mark.parametrize(
    ("width_m", "now", "expected"),
    [
        (0.08, None, Grip.OPEN),
        (0.0, None, Grip.CLOSE),
        (0.04, None, None),
        (math.nan, Grip.OPEN, Grip.OPEN),
        (0.04, Grip.OPEN, Grip.OPEN),
        (0.04, Grip.CLOSE, Grip.CLOSE),
        (0.029, Grip.OPEN, Grip.CLOSE),
        (0.051, Grip.CLOSE, Grip.OPEN),
    ],
)
def test_widths_become_grips_with_hysteresis(
    width_m: float, now: Grip | None, expected: Grip | None
) -> None:
    assert decide_grip(width_m, now, GripperConfig()) is expected


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.01, 0.09])
@pytest.mark.parametrize(
    "make",
    [
        lambda value: MoveGoal(width_m=value, speed_m_s=0.1),
        lambda value: GraspGoal(
            width_m=value, speed_m_s=0.1, force_n=1.0, epsilon_inner_m=0.0, epsilon_outer_m=0.0
        ),
        lambda value: GraspGoal(
            width_m=0.0, speed_m_s=0.1, force_n=1.0, epsilon_inner_m=value, epsilon_outer_m=0.0
        ),
        lambda value: GraspGoal(
            width_m=0.0, speed_m_s=0.1, force_n=1.0, epsilon_inner_m=0.0, epsilon_outer_m=value
        ),
        lambda value: ApproachGoal(width_m=value, force_n=0.0),
    ],
)
def test_a_width_that_no_hand_can_reach_is_refused(
    make: Callable[[float], object], value: float
) -> None:
    with pytest.raises(ValueError, match=f"{value}"):
        make(value)


@pytest.mark.parametrize("speed_m_s", [0.0, -0.1, 0.11, math.nan])
def test_a_speed_that_no_hand_has_is_refused(speed_m_s: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        MoveGoal(width_m=0.04, speed_m_s=speed_m_s)


@pytest.mark.parametrize("force_n", [0.0, -1.0, 71.0, math.nan])
def test_a_force_that_no_hand_has_is_refused(force_n: float) -> None:
    with pytest.raises(ValueError, match="force"):
        GraspGoal(
            width_m=0.0,
            speed_m_s=0.1,
            force_n=force_n,
            epsilon_inner_m=0.0,
            epsilon_outer_m=0.0,
        )


@pytest.mark.fault("F75", bound="width, speed and force can only be tightened")
@pytest.mark.parametrize(
    "changes",
    [
        {"max_width_m": 0.081},
        {"max_speed_m_s": 0.11},
        {"max_force_n": 71.0},
        {"force_n": 50.0, "max_force_n": 40.0},
        {"speed_m_s": 0.1, "max_speed_m_s": 0.05},
        {"command_timeout_s": math.inf},
        {"command_period_s": 0.0},
        {"close_below_m": 0.06},
    ],
)
def test_settings_can_only_tighten_the_limits_of_the_hand(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        GripperConfig(**changes)


def test_goals_are_tightened_to_our_limits(gripper: SimulatedGripper) -> None:
    config = GripperConfig(
        max_width_m=0.05, max_speed_m_s=0.02, speed_m_s=0.02, max_force_n=10.0, force_n=5.0
    )
    wide = MoveGoal(width_m=0.08, speed_m_s=0.1)
    firm = GraspGoal(
        width_m=0.06, speed_m_s=0.1, force_n=70.0, epsilon_inner_m=0.0, epsilon_outer_m=0.0
    )
    for goal in (wide, firm, ApproachGoal(width_m=0.07, force_n=70.0)):
        order_for(goal, reading(), config).run(gripper)
    moved, grasped, approached = gripper.goals
    assert (moved.width_m, moved.speed_m_s) == (0.05, 0.02)
    assert (grasped.width_m, grasped.speed_m_s) == (0.05, 0.02)
    assert isinstance(grasped, GraspGoal)
    assert grasped.force_n == 10.0
    assert isinstance(approached, GraspGoal)
    assert (approached.width_m, approached.speed_m_s, approached.force_n) == (0.05, 0.02, 10.0)


def test_no_hand_is_opened_wider_than_it_has_learned(gripper: SimulatedGripper) -> None:
    order_for(STAY, reading(max_width_m=0.07), GripperConfig()).run(gripper)
    order_for(STAY, reading(max_width_m=0.0), GripperConfig()).run(gripper)
    assert [goal.width_m for goal in gripper.goals] == [0.07, 0.08]


def test_a_slow_move_may_take_the_time_that_it_needs() -> None:
    slow = MoveGoal(width_m=0.0, speed_m_s=0.01)
    assert order_for(slow, reading(0.08), GripperConfig()).allowed_s == pytest.approx(16.0)
    assert order_for(MOVE, reading(0.08), GripperConfig()).allowed_s == 5.0


@pytest.mark.parametrize(
    ("now_m", "target_m", "object_m", "command", "arrives"),
    [
        (0.02, 0.06, 0.0, "move", True),
        (0.08, 0.02, 0.0, "grasp", True),
        (0.08, 0.02, 0.05, "grasp", True),
    ],
)
def test_a_width_is_approached_from_either_side(
    gripper: SimulatedGripper,
    now_m: float,
    target_m: float,
    object_m: float,
    command: str,
    arrives: bool,
) -> None:
    gripper.object_width_m = object_m
    order = order_for(ApproachGoal(width_m=target_m, force_n=0.0), reading(now_m), FAST)
    assert order.run(gripper) is arrives
    assert gripper.commands == [command]
    assert gripper.read().width_m == max(target_m, object_m)


@pytest.fixture
def desk() -> GripperDesk:
    return GripperDesk(GripperConfig())


def test_wishes_need_a_lease(desk: GripperDesk) -> None:
    desk.follow("", 0.0)
    assert not desk.has_order("")
    desk.follow("policy", 0.0)
    assert desk.has_order("")
    assert not desk.has_order("no link")
    assert desk.take(reading()).grip is Grip.CLOSE
    desk.follow("policy", 0.0)
    assert not desk.has_order("")


def test_a_wish_dies_with_its_lease_unless_the_arm_goes_home(desk: GripperDesk) -> None:
    desk.follow("policy", 0.0)
    desk.follow("", 0.0)
    assert not desk.has_order("")
    desk.follow("homing", 0.08)
    desk.follow("", 0.08)
    assert desk.take(reading()).grip is Grip.OPEN


def test_after_an_order_of_somebody_else_every_wish_counts_again(desk: GripperDesk) -> None:
    desk.follow("policy", 0.0)
    desk.take(reading())
    desk.follow("", None)
    desk.ask(order_for(MOVE, reading(), FAST))
    assert desk.take(reading()).name == "move"
    desk.follow("policy", 0.0)
    assert desk.has_order("")
    assert desk.take(reading()).grip is Grip.CLOSE


def test_a_wish_that_was_settled_needs_another_one_to_move_the_hand(desk: GripperDesk) -> None:
    desk.follow("policy", 0.0)
    desk.settle()
    desk.follow("policy", 0.0)
    assert not desk.has_order("")
    desk.follow("policy", 0.08)
    assert desk.has_order("")


@pytest.mark.fault("F29", bound="grasp_lost")
def test_an_object_is_lost_when_it_goes_without_a_command() -> None:
    status = GripperStatus()
    for held in (True, False):
        status.accept(reading(held=held), status.moment)
    assert status.view.grasp_lost
    status.accept(reading(), status.moment)
    assert status.view.grasp_lost
    status.begin(0.0)
    assert not status.view.grasp_lost


def test_a_reading_does_not_heal_a_link_that_needs_a_new_connection() -> None:
    status = GripperStatus()
    status.lose_link("the commands got lost")
    status.accept(reading(), status.moment)
    assert status.view.fault == "the commands got lost"
    status.reopen()
    status.accept(reading(), status.moment)
    assert status.view.fault == ""


def test_an_object_is_not_lost_when_we_let_it_go() -> None:
    status = GripperStatus()
    before = status.moment
    status.accept(reading(held=True), before)
    status.begin(0.08)
    status.accept(reading(), None)
    status.end(is_done=True)
    # Asked for before the command, heard after it.
    status.accept(reading(held=True), before)
    status.accept(reading(), status.moment)
    assert not status.view.grasp_lost


def test_the_state_is_told_at_20_hz_and_at_once_when_something_happens() -> None:
    pacer, view = GripperPacer(), GripperView(reading(0.08))
    looks_s = [0.02 * look for look in range(501)]
    told = [pacer.is_due(GripperView(reading(look_s)), look_s) for look_s in looks_s]
    assert sum(told) == pytest.approx(200, abs=2)
    for change in (
        {"is_moving": True},
        {"fault": "gone"},
        {"grasp_lost": True},
        {"reading": reading(held=True)},
    ):
        view = replace(view, **change)
        assert pacer.is_due(view, 10.001)
        assert not pacer.is_due(view, 10.002)


@pytest.mark.parametrize("is_done", [True, False])
def test_an_object_can_be_lost_as_soon_as_the_command_that_took_it_is_done(is_done: bool) -> None:
    status = GripperStatus()
    status.begin(0.0)
    status.accept(reading(held=True), None)
    status.end(is_done=is_done)
    status.accept(reading(), status.moment)
    assert status.view.grasp_lost is is_done


def test_the_newest_wish_is_carried_out_and_the_hand_is_read_along(
    gripper: SimulatedGripper, make_worker: MakeWorker
) -> None:
    gripper.object_width_m = 0.04
    worker = make_worker()
    worker.follow("policy", 0.0)
    wait_for_reading(worker, lambda newest: newest.is_grasped)
    worker.follow("policy", 0.08)
    wait_until(lambda: gripper.commands == ["grasp", "move"], "opened")
    wait_until(lambda: not worker.view().is_moving, "rest")
    assert worker.view().fault == ""
    assert worker.view().target_width_m == 0.08


def test_of_many_wishes_for_a_busy_hand_only_the_newest_counts(
    gripper: SimulatedGripper, make_worker: MakeWorker
) -> None:
    worker = make_worker()
    gripper.is_slow = True
    worker.follow("policy", 0.08)
    assert gripper.under_way.wait(LIMIT_S)
    for width_m in (0.0, 0.08, 0.0, 0.08, 0.0):
        worker.follow("policy", width_m)
    gripper.is_slow = False
    gripper.stop()
    wait_until(lambda: "grasp" in gripper.commands, "closed")
    wait_until(lambda: not worker.view().is_moving, "rest")
    assert gripper.commands == ["move", "stop", "grasp"]


@pytest.mark.fault("F75", bound="at most 2 commands per second")
def test_commands_of_all_sources_keep_their_distance(
    gripper: SimulatedGripper, make_worker: MakeWorker
) -> None:
    worker = make_worker(GripperConfig(command_period_s=0.15, read_period_s=0.01))
    started_s = time.monotonic()
    end_of(worker.pursue(MOVE))
    worker.follow("policy", 0.0)
    wait_until(lambda: len(gripper.commands) == 2, "the wish")
    worker.follow("", None)
    end_of(worker.pursue(HomingGoal()))
    assert time.monotonic() - started_s >= 0.3
    assert gripper.commands == ["move", "grasp", "homing"]


@pytest.mark.parametrize("goal", [MOVE, HomingGoal(), ApproachGoal(width_m=0.02, force_n=0.0)])
def test_a_command_tells_how_it_ended(make_worker: MakeWorker, goal: Any) -> None:
    result = end_of(make_worker().pursue(goal))
    assert result.success
    assert result.message == ""
    assert result.reading is not None
    assert result.reading.width_m == getattr(goal, "width_m", 0.08)


def test_a_grasp_of_nothing_fails(make_worker: MakeWorker) -> None:
    result = end_of(make_worker().pursue(GRASP))
    assert not result.success
    assert result.message == "the hand could not grasp"


@pytest.mark.parametrize("owner", ["policy", "teleop", "homing"])
def test_the_hand_of_a_moving_arm_takes_no_orders_of_others(
    gripper: SimulatedGripper, make_worker: MakeWorker, owner: str
) -> None:
    worker = make_worker()
    worker.follow(owner, None)
    result = end_of(worker.pursue(MOVE))
    assert not result.success
    assert owner in result.message
    assert "arm/stop" in result.message
    assert end_of(worker.halt()).success
    assert gripper.commands == ["stop"]
    worker.follow("", None)
    assert end_of(worker.pursue(MOVE)).success


def test_an_arm_that_starts_to_move_takes_the_hand(
    gripper: SimulatedGripper, make_worker: MakeWorker
) -> None:
    worker = make_worker()
    gripper.is_slow = True
    answer = worker.pursue(MOVE)
    assert gripper.under_way.wait(LIMIT_S)
    worker.follow("policy", None)
    assert end_of(answer).message == "the arm took the hand for policy"


def test_an_order_that_waits_is_dropped_when_the_arm_takes_the_hand(
    gripper: SimulatedGripper, make_worker: MakeWorker
) -> None:
    worker = make_worker(GripperConfig(command_period_s=60.0))
    end_of(worker.pursue(MOVE))
    answer = worker.pursue(MOVE)
    worker.follow("teleop", None)
    assert end_of(answer).message == "the arm took the hand for teleop"
    assert gripper.commands == ["move"]


def test_a_busy_hand_takes_no_second_order(
    gripper: SimulatedGripper, make_worker: MakeWorker
) -> None:
    worker = make_worker()
    gripper.is_slow = True
    first = worker.pursue(MOVE)
    assert gripper.under_way.wait(LIMIT_S)
    assert "busy with move" in end_of(worker.pursue(HomingGoal())).message
    assert end_of(worker.halt()).success
    result = end_of(first)
    assert not result.success
    assert result.message == "stopped on request"


def test_a_wish_that_was_stopped_on_request_is_not_taken_up_again(
    gripper: SimulatedGripper, make_worker: MakeWorker
) -> None:
    worker = make_worker()
    gripper.is_slow = True
    worker.follow("policy", 0.0)
    assert gripper.under_way.wait(LIMIT_S)
    worker.follow("policy", 0.08)
    assert end_of(worker.halt()).success
    wait_until(lambda: not worker.view().is_moving, "rest")
    gripper.is_slow = False
    worker.follow("policy", 0.08)
    worker.follow("policy", 0.0)
    wait_until(lambda: gripper.commands.count("grasp") == 2, "closed")
    assert gripper.commands == ["grasp", "stop", "grasp"]


def test_no_command_begins_while_a_stop_is_on_its_way(
    gripper: SimulatedGripper, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = make_worker()
    is_on_its_way, arrives = threading.Event(), threading.Event()

    def stop() -> None:
        is_on_its_way.set()
        assert arrives.wait(LIMIT_S)

    monkeypatch.setattr(gripper, "stop", stop)
    worker.halt()
    assert is_on_its_way.wait(LIMIT_S)
    moved = worker.pursue(MOVE)
    assert not gripper.under_way.wait(0.05)
    arrives.set()
    assert end_of(moved).success


@pytest.mark.fault("F29", bound="given up after 5 s; the arm never waits")
@pytest.mark.parametrize("goal", [STAY, HomingGoal()])
def test_a_command_that_does_not_end_is_given_up_and_stopped(
    gripper: SimulatedGripper, make_worker: MakeWorker, goal: Any
) -> None:
    worker = make_worker(HASTY)
    gripper.is_slow = True
    result = end_of(worker.pursue(goal))
    assert not result.success
    assert "did not end within 0.1 s" in result.message
    wait_until(lambda: not worker.view().is_moving, "rest")
    assert "did not end" in worker.view().fault
    assert gripper.commands[-1] == "stop"
    gripper.is_slow = False
    assert end_of(worker.pursue(MOVE)).success
    assert worker.view().fault == ""


def test_a_hand_that_ignores_even_a_stop_is_asked_again_and_used_again(
    gripper: SimulatedGripper, make_worker: MakeWorker
) -> None:
    worker = make_worker(HASTY)
    gripper.is_slow, gripper.obeys_stop = True, False
    assert "did not end" in end_of(worker.pursue(STAY)).message
    wait_until(lambda: gripper.commands.count("stop") >= 2, "another stop")
    worker.follow("policy", 0.0)
    worker.follow("", None)
    assert worker.view().is_moving
    assert "busy with move" in end_of(worker.pursue(MOVE)).message
    gripper.is_slow, gripper.obeys_stop = False, True
    wait_until(lambda: not worker.view().is_moving, "an answer of the hand")
    assert end_of(worker.pursue(MOVE)).success


def test_a_lost_link_is_opened_again_and_the_wish_carried_out(
    gripper: SimulatedGripper, make_worker: MakeWorker
) -> None:
    worker = make_worker()
    gripper.is_linked = False
    wait_until(lambda: "link" in worker.view().fault, "a fault")
    wait_until(lambda: gripper.num_openings >= 2, "more than one attempt")
    assert "no link to the hand" in end_of(worker.pursue(MOVE)).message
    assert not end_of(worker.halt()).success
    worker.follow("policy", 0.0)
    gripper.is_linked = True
    wait_until(lambda: gripper.commands[-1] == "grasp", "closed")
    wait_until(lambda: not worker.view().is_moving, "rest")
    assert worker.view().fault == ""


class MuteGripper(SimulatedGripper):
    """Answers nothing at all before it is told to."""

    def __init__(self) -> None:
        super().__init__(time.monotonic)
        self.may_answer = threading.Event()

    def read(self) -> GripperReading:
        assert self.may_answer.wait(LIMIT_S)
        return super().read()

    def grasp(self, goal: GraspGoal) -> bool:
        self.under_way.set()
        assert self.may_answer.wait(LIMIT_S)
        return super().grasp(goal)

    def stop(self) -> None:
        assert self.may_answer.wait(LIMIT_S)
        super().stop()


def test_nobody_waits_for_a_hand_that_answers_nothing() -> None:
    gripper = MuteGripper()
    worker = GripperWorker(gripper, FAST, time.monotonic)
    worker.start()
    try:
        worker.follow("policy", 0.0)
        assert gripper.under_way.wait(LIMIT_S)
        halted = worker.halt()
        worker.follow("policy", 0.08)
        worker.follow("", None)
        assert "busy with close" in worker.pursue(MOVE).result(0.0).message
        assert worker.view().is_moving
        assert worker.view().reading is None
        assert not halted.done()
        gripper.may_answer.set()
        assert end_of(halted).success
        wait_until(lambda: not worker.view().is_moving, "rest")
        assert end_of(worker.pursue(MOVE)).success
    finally:
        gripper.may_answer.set()
        worker.stop(LIMIT_S)


class LinklessCommands(SimulatedGripper):
    """Can be read, but its commands get lost until it is opened again."""

    def move(self, goal: MoveGoal) -> bool:
        self.is_linked = self.num_openings > 0
        return super().move(goal)

    def __enter__(self) -> "LinklessCommands":
        self.is_linked = True
        super().__enter__()
        return self


def test_a_wish_that_got_lost_with_the_link_is_tried_again() -> None:
    gripper = LinklessCommands(time.monotonic)
    worker = GripperWorker(gripper, FAST, time.monotonic)
    worker.start()
    try:
        worker.follow("policy", 0.08)
        wait_until(lambda: gripper.commands == ["move"], "opened")
        assert gripper.num_openings == 1
    finally:
        worker.stop(LIMIT_S)


def test_a_lost_object_is_noticed_until_the_next_command(
    gripper: SimulatedGripper, make_worker: MakeWorker
) -> None:
    gripper.object_width_m = 0.04
    worker = make_worker()
    assert end_of(worker.pursue(GRASP)).success
    assert not worker.view().grasp_lost
    gripper.drop()
    wait_until(lambda: worker.view().grasp_lost, "the loss")
    assert end_of(worker.pursue(MOVE)).success
    assert not worker.view().grasp_lost


def test_a_hand_that_was_not_homed_says_so_and_homes_on_request_only(
    gripper: SimulatedGripper, make_worker: MakeWorker
) -> None:
    gripper.max_width_m = 0.0
    worker = make_worker()
    assert worker.view().fault == NOT_HOMED
    worker.follow("policy", 0.08)
    wait_until(lambda: gripper.commands == ["move"], "opened as far as any hand can")
    assert gripper.goals[0].width_m == 0.08
    worker.follow("", None)
    wait_until(lambda: not worker.view().is_moving, "rest")
    assert end_of(worker.pursue(HomingGoal())).success
    assert worker.view().fault == ""


def test_a_gripper_under_way_is_stopped_so_that_no_thread_stays_in_its_library(
    gripper: SimulatedGripper, make_worker: MakeWorker
) -> None:
    worker = make_worker()
    gripper.is_slow = True
    answer = worker.pursue(MOVE)
    assert gripper.under_way.wait(LIMIT_S)
    worker.stop()
    assert gripper.commands == ["move", "stop"]
    assert not {t.name for t in threading.enumerate() if t.name.startswith("gripper")}
    assert end_of(answer).message == "the arm node was deactivated"
    assert "deactivated" in end_of(worker.pursue(MOVE)).message
    assert "deactivated" in end_of(worker.halt()).message


def test_a_gripper_at_rest_is_left_alone(
    gripper: SimulatedGripper, make_worker: MakeWorker
) -> None:
    make_worker().stop()
    assert gripper.commands == []
