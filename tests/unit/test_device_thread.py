"""The thread of a device: reading, losing, opening again."""

import threading
from collections.abc import Callable
from typing import Self

import pytest

from mail_policy.core.device_thread import DevicePace, DeviceThread
from mail_policy.core.devices import DeviceError

LIMIT_S = 10.0
PACE = DevicePace(read_limit_s=0.02, first_retry_s=0.1)


class ScriptedDevice:
    """Answers what a list says, then as the last entry; an exception is raised."""

    def __init__(self, answers: list[str | Exception | None]) -> None:
        self._answers = answers
        self.is_open = False

    def __enter__(self) -> Self:
        self.is_open = True
        return self

    def __exit__(self, *error: object) -> None:
        self.is_open = False

    def read(self, timeout_s: float) -> str | None:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Bench:
    """A thread and what it told."""

    def __init__(self, makes: list[Callable[[], ScriptedDevice]]) -> None:
        self.readings: list[str | None] = []
        self.losses: list[str] = []
        self.news = threading.Condition()
        self.thread = DeviceThread(
            lambda: makes.pop(0)().__enter__(), self._on_reading, self._on_loss, PACE
        )

    def _on_reading(self, reading: str | None) -> None:
        with self.news:
            self.readings.append(reading)
            self.news.notify()

    def _on_loss(self, problem: str) -> None:
        with self.news:
            self.losses.append(problem)
            self.news.notify()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self.news:
            assert self.news.wait_for(condition, LIMIT_S)


def refuse() -> ScriptedDevice:
    raise DeviceError("not there")


def test_a_lost_device_is_closed_and_opened_again_with_growing_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    at_rest = "at rest"
    first = ScriptedDevice([at_rest, at_rest, None, DeviceError("unplugged")])
    second = ScriptedDevice([at_rest])
    bench = Bench([lambda: first, *[refuse] * 6, lambda: second])
    monkeypatch.setattr(bench.thread._stop, "wait", lambda pause_s: pauses.append(pause_s) or False)
    bench.thread.open()
    bench.thread.start()
    bench.wait_for(lambda: len(bench.readings) >= 4)
    bench.thread.close()
    assert bench.losses == ["unplugged", *["not there"] * 6]
    assert bench.readings[:3] == [at_rest, None, at_rest]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert not first.is_open
    assert not second.is_open


def test_what_came_before_the_start_is_forgotten() -> None:
    pressed, at_rest = "pressed", "at rest"
    device = ScriptedDevice([pressed, at_rest])
    bench = Bench([lambda: device])
    bench.thread.open()
    bench.thread.start()
    bench.wait_for(lambda: bool(bench.readings))
    bench.thread.stop()
    assert device.is_open
    bench.thread.close()
    assert pressed not in bench.readings


def test_a_bug_in_a_driver_is_told_not_hidden(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench([lambda: ScriptedDevice(["at rest", ZeroDivisionError("bug")])])
    bench.thread.open()
    bench.thread.start()
    bench.wait_for(lambda: bool(bench.losses))
    bench.thread.close()
    assert "bug" in bench.losses[0]
    assert "ZeroDivisionError" in caplog.text


def test_a_missing_device_is_refused_when_it_is_opened() -> None:
    with pytest.raises(DeviceError, match="not there"):
        Bench([refuse]).thread.open()
