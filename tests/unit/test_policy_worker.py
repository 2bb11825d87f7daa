"""The thread in which a policy thinks: order, leases, failures. No ROS."""

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from mail_policy.core.types import ActionChunk, Observation
from mail_policy.inference.session import Lease
from mail_policy_ros.policy_worker import PolicyWorker

LIMIT_S = 5.0


class FakeSession:
    """Plans once per observation under a lease; waits and fails on demand."""

    def __init__(self) -> None:
        self.lease: Lease | None = None
        self.waiting_for = "a lease"
        self.seen: list[float] = []
        self.may_think = threading.Event()
        self.may_think.set()
        self.fails = False
        self._due = False

    def begin(self, lease: Lease) -> None:
        self.lease = lease

    def end(self) -> None:
        self.lease = None

    def observe(self, observation: Observation) -> None:
        self.may_think.wait(LIMIT_S)
        self.seen.append(observation.captured_at_s)
        self._due = self.lease is not None

    def prepare(self) -> None:
        self.prepared = self.seen[-1] if self.seen else None

    def plan(self) -> ActionChunk | None:
        if self.fails:
            raise RuntimeError("out of memory")
        if not self._due or self.lease is None:
            return None
        self._due = False
        return ActionChunk(
            np.zeros((2, 7)), "ee_delta", self.seen[-1], 0.05, self.lease.epoch, 1, "t", 0.01
        )


class Chunks:
    """Collects what was published, and waits for it."""

    def __init__(self) -> None:
        self.got: list[ActionChunk] = []
        self._news = threading.Condition()

    def add(self, chunk: ActionChunk) -> None:
        with self._news:
            self.got.append(chunk)
            self._news.notify_all()

    def wait_for(self, condition: Callable[[], bool]) -> bool:
        with self._news:
            return self._news.wait_for(condition, LIMIT_S)


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


@pytest.fixture
def chunks() -> Chunks:
    return Chunks()


@pytest.fixture
def worker(session: FakeSession, chunks: Chunks) -> Iterator[PolicyWorker]:
    running = PolicyWorker(session, chunks.add)  # type: ignore[arg-type]
    running.start()
    yield running
    session.may_think.set()
    running.stop()


def observation(stamp_s: float) -> Observation:
    return Observation(stamp_s, {}, np.zeros(7), 0.0)


def test_chunks_come_only_under_a_lease(worker: PolicyWorker, chunks: Chunks) -> None:
    worker.add(observation(1.0))
    worker.set_lease(Lease(3, "t", 0.0))
    worker.add(observation(2.0))
    assert chunks.wait_for(lambda: bool(chunks.got))
    assert [(c.lease_epoch, c.observed_at_s) for c in chunks.got] == [(3, 2.0)]
    assert worker.chunks == 1
    assert list(worker.inference_s) == [0.01]


def test_adding_never_waits_for_a_thinking_policy(
    worker: PolicyWorker, session: FakeSession, chunks: Chunks
) -> None:
    worker.set_lease(Lease(3, "t", 0.0))
    session.may_think.clear()
    for stamp in range(200):
        worker.add(observation(float(stamp)))
    session.may_think.set()
    assert chunks.wait_for(lambda: bool(chunks.got) and chunks.got[-1].observed_at_s == 199.0)
    assert len(session.seen) < 200  # the queue is bounded


def test_a_new_lease_replaces_the_old_one(
    worker: PolicyWorker, session: FakeSession, chunks: Chunks
) -> None:
    worker.set_lease(Lease(3, "t", 0.0))
    worker.set_lease(Lease(4, "t", 0.0))
    worker.add(observation(2.0))
    assert chunks.wait_for(lambda: bool(chunks.got))
    assert chunks.got[-1].lease_epoch == 4


@pytest.mark.fault("F34", bound="silent, so that the lease ends")
def test_a_policy_that_fails_falls_silent_and_says_why(
    worker: PolicyWorker, session: FakeSession, caplog: pytest.LogCaptureFixture
) -> None:
    session.fails = True
    worker.set_lease(Lease(3, "t", 0.0))
    worker.add(observation(2.0))
    worker._thread.join(LIMIT_S)
    assert not worker._thread.is_alive()
    assert worker.fault == "policy failed: RuntimeError: out of memory"
    assert worker.waiting_for == worker.fault
    assert "the arm will hold" in caplog.text
