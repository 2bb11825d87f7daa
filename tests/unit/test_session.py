"""When a policy plans, and under which lease."""

import numpy as np
import pytest

from mail_policy.core.types import Observation
from mail_policy.data.windows import Window
from mail_policy.inference.history import HistoryBuffer
from mail_policy.inference.sentences import UnknownTaskError
from mail_policy.inference.session import Lease, PolicySession, SessionConfig

PERIOD_S = 0.05
LEASE = Lease(epoch=7, task="open the drawer", granted_at_s=10.0)


class FakePredictor:
    """Answers with rows of the number of the call; knows one sentence."""

    def __init__(self) -> None:
        self.encoded: list[float] = []
        self.windows: list[Window] = []
        self.resets = 0

    def set_task(self, sentence: str) -> str:
        if sentence != LEASE.task:
            raise UnknownTaskError(f"unknown sentence {sentence!r}")
        return sentence

    def encode(self, observation: Observation) -> None:
        self.encoded.append(observation.captured_at_s)

    def predict(self, window: Window) -> np.ndarray:
        self.windows.append(window)
        return np.full((4, 7), float(len(self.windows)))

    def reset(self) -> None:
        self.resets += 1


@pytest.fixture
def predictor() -> FakePredictor:
    return FakePredictor()


@pytest.fixture
def session(predictor: FakePredictor) -> PolicySession:
    config = SessionConfig(schema="ee_delta", step_period_s=PERIOD_S, exec_horizon=3)
    ticks = iter(np.arange(0.0, 100.0, 0.5))
    return PolicySession(config, predictor, HistoryBuffer(5, PERIOD_S), lambda: float(next(ticks)))


def observation(step: int) -> Observation:
    return Observation(10.0 + PERIOD_S * step, {}, np.full(7, float(step)), 0.08)


def test_without_a_lease_nothing_is_planned(
    session: PolicySession, predictor: FakePredictor
) -> None:
    session.observe(observation(0))
    assert session.plan() is None
    assert session.waiting_for == "a lease"
    assert predictor.encoded == []


def test_a_chunk_says_what_it_was_made_from(session: PolicySession) -> None:
    session.begin(LEASE)
    session.observe(observation(0))
    chunk = session.plan()
    assert chunk is not None
    assert (chunk.lease_epoch, chunk.sequence, chunk.task) == (7, 1, "open the drawer")
    assert chunk.observed_at_s == 10.0
    assert chunk.inference_s == 0.5
    assert session.waiting_for == ""


def test_plans_are_made_every_horizon_of_capture_time(session: PolicySession) -> None:
    session.begin(LEASE)
    planned = []
    for step in range(10):
        session.observe(observation(step))
        if (chunk := session.plan()) is not None:
            planned.append((step, chunk.sequence))
    assert planned == [(0, 1), (3, 2), (6, 3), (9, 4)]


def test_idle_time_is_used_for_the_newest_picture_only(
    session: PolicySession, predictor: FakePredictor
) -> None:
    session.begin(LEASE)
    session.prepare()
    for step in range(3):
        session.observe(observation(step))
    session.prepare()
    assert predictor.encoded == [pytest.approx(10.1)]


def test_pictures_from_before_the_lease_are_ignored(
    session: PolicySession, predictor: FakePredictor
) -> None:
    session.begin(LEASE)
    session.observe(observation(-1))
    assert session.plan() is None
    assert predictor.encoded == []


def test_the_first_window_repeats_the_first_observation(
    session: PolicySession, predictor: FakePredictor
) -> None:
    session.begin(LEASE)
    session.observe(observation(0))
    session.plan()
    stamps = [o.captured_at_s for o in predictor.windows[0].observations]
    assert stamps == [10.0] * 5


def test_a_gap_in_the_history_stops_planning_and_says_so(session: PolicySession) -> None:
    session.begin(LEASE)
    session.observe(observation(0))
    session.plan()
    session.observe(observation(4))
    assert session.plan() is None
    assert session.waiting_for not in ("", "a lease")


def test_a_new_lease_starts_from_nothing(session: PolicySession, predictor: FakePredictor) -> None:
    session.begin(LEASE)
    session.observe(observation(0))
    session.plan()
    session.end()
    assert session.lease is None
    session.begin(Lease(8, LEASE.task, 20.0))
    assert session.plan() is None
    assert predictor.resets == 3


@pytest.mark.fault("F47", bound="never followed")
def test_an_unknown_task_is_kept_but_never_followed(session: PolicySession) -> None:
    session.begin(Lease(8, "make coffee", 10.0))
    session.observe(observation(0))
    assert session.plan() is None
    assert "make coffee" in session.waiting_for


@pytest.mark.parametrize(("horizon", "period_s"), [(0, 0.05), (1, 0.0), (1, float("nan"))])
def test_a_session_that_could_never_plan_is_refused(horizon: int, period_s: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        SessionConfig(schema="ee_delta", step_period_s=period_s, exec_horizon=horizon)
