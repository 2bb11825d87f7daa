"""What keys ask of others, and what the person is told about it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from mail_teleop.operator_requests import ANSWER_LIMIT_S, OperatorRequest, OperatorRequests
from mail_teleop.readings import OperatorKey
from tests.unit.test_teleop_contract import Clock


@dataclass
class Reply:
    success: bool
    message: str


class Future:
    """An answer that a test gives when it likes."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[Any], None]] = []
        self._reply: Reply | None = None

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._callbacks.append(callback)

    def result(self) -> Reply | None:
        return self._reply

    def answer(self, reply: Reply | None) -> None:
        self._reply = reply
        for callback in self._callbacks:
            callback(self)


class Client:
    """A client of a service, as rclpy has it."""

    def __init__(self) -> None:
        self.is_ready = True
        self.futures: list[Future] = []

    def service_is_ready(self) -> bool:
        return self.is_ready

    def call_async(self, message: Any) -> Future:
        self.futures.append(Future())
        return self.futures[-1]


class Desk:
    """The requests of two keys, and what was told."""

    def __init__(self) -> None:
        self.clients: dict[str, Client] = {}
        self.told: list[tuple[str, bool]] = []
        self.clock = Clock()
        self.requests = OperatorRequests(
            self._make_client,
            self._requests_of,
            lambda sentence, is_good: self.told.append((sentence, is_good)),
            self.clock,
        )

    def _make_client(self, kind: Any, service: str) -> Client:
        assert service not in self.clients
        self.clients[service] = Client()
        return self.clients[service]

    def _requests_of(self, key: OperatorKey) -> list[OperatorRequest]:
        services = {
            OperatorKey.STOP: ["arm/stop", "recorder/end"],
            OperatorKey.SAVE: ["recorder/end"],
        }
        return [OperatorRequest(name, None, name) for name in services.get(key, [])]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_clients_are_made_before_anybody_presses(desk: Desk) -> None:
    assert set(desk.clients) == {"arm/stop", "recorder/end"}


def test_success_and_refusal_are_told(desk: Desk) -> None:
    desk.requests.ask(OperatorKey.STOP)
    desk.clients["arm/stop"].futures[0].answer(Reply(True, ""))
    desk.clients["recorder/end"].futures[0].answer(Reply(False, "no episode runs"))
    assert desk.told == [
        ("stop: arm/stop: done", True),
        ("stop: recorder/end: no episode runs", False),
    ]


def test_an_absent_service_does_not_keep_the_others_from_being_asked(desk: Desk) -> None:
    desk.clients["arm/stop"].is_ready = False
    desk.requests.ask(OperatorKey.STOP)
    assert desk.told == [("stop: arm/stop is offered by nobody", False)]
    assert len(desk.clients["recorder/end"].futures) == 1


def test_a_call_that_nobody_answers_is_told_once(desk: Desk) -> None:
    desk.requests.ask(OperatorKey.SAVE)
    desk.clock.pass_time(ANSWER_LIMIT_S - 0.1)
    desk.requests.report_unanswered()
    assert desk.told == []
    desk.clock.pass_time(0.2)
    desk.requests.report_unanswered()
    desk.requests.report_unanswered()
    assert desk.told == [("save: recorder/end did not answer within 5 s", False)]


def test_a_cancelled_call_is_no_answer(desk: Desk) -> None:
    desk.requests.ask(OperatorKey.SAVE)
    desk.clients["recorder/end"].futures[0].answer(None)
    assert desk.told == []
