"""The log of an evaluation: nothing that was finished is lost or counted twice."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mail_policy.evaluation.job import EpisodeKey
from mail_policy.evaluation.log import LOG_NAME, EpisodeLog, LogError
from mail_policy.evaluation.rollout import EpisodeResult

SETTINGS = {"robot": "sim", "tasks": ("open",), "latency_steps": 1}
ROOT = Path(__file__).parents[2]


def key(seed: int) -> EpisodeKey:
    return EpisodeKey("A", "open", seed)


def result(seed: int) -> EpisodeResult:
    return EpisodeResult(
        seed, seed % 2 == 0, 10 + seed, (1.5, 2.5), "why", f"videos/{seed}.mp4", ("opened",)
    )


def write(folder: Path, *seeds: int) -> None:
    with EpisodeLog(folder, SETTINGS) as log:
        for seed in seeds:
            log.add(key(seed), result(seed))


def test_results_come_back_as_they_were(tmp_path: Path) -> None:
    write(tmp_path / "new", 1, 2)
    write(tmp_path / "new", 3)
    with EpisodeLog(tmp_path / "new", SETTINGS) as log:
        assert log.results == {key(seed): result(seed) for seed in (1, 2, 3)}


def test_an_episode_is_one_line_of_json(tmp_path: Path) -> None:
    write(tmp_path, 7)
    _, line = (tmp_path / LOG_NAME).read_text().splitlines()
    assert json.loads(line)["seed"] == 7
    assert json.loads(line)["failure"] == "why"


@pytest.mark.parametrize("lost", range(1, 40, 6))
def test_what_a_killed_process_left_of_a_line_is_run_again(tmp_path: Path, lost: int) -> None:
    write(tmp_path, 1, 2)
    path = tmp_path / LOG_NAME
    path.write_bytes(path.read_bytes()[:-lost])
    write(tmp_path, 2)
    with EpisodeLog(tmp_path, SETTINGS) as log:
        assert list(log.results) == [key(1), key(2)]
    assert all(map(json.loads, path.read_text().splitlines()))


def test_a_log_whose_settings_were_not_written_in_full_begins_anew(tmp_path: Path) -> None:
    (tmp_path / LOG_NAME).write_text('{"robot": "si')
    write(tmp_path, 1)
    with EpisodeLog(tmp_path, SETTINGS) as log:
        assert list(log.results) == [key(1)]


def test_other_settings_are_refused_by_name_and_value(tmp_path: Path) -> None:
    write(tmp_path, 1)
    before = (tmp_path / LOG_NAME).read_bytes()
    with (
        pytest.raises(LogError, match="latency_steps was 1, is 2; choose another --out"),
        EpisodeLog(tmp_path, {**SETTINGS, "latency_steps": 2}),
    ):
        pass
    assert (tmp_path / LOG_NAME).read_bytes() == before


def test_an_episode_counts_once(tmp_path: Path) -> None:
    with EpisodeLog(tmp_path, SETTINGS) as log:
        log.add(key(1), result(1))
        with pytest.raises(LogError, match="counts once"):
            log.add(key(1), result(1))
    path = tmp_path / LOG_NAME
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")
    with pytest.raises(LogError, match="line 3 repeats"), EpisodeLog(tmp_path, SETTINGS):
        pass


@pytest.mark.parametrize(
    ("line", "said"),
    [("no json", "line 2 is no JSON"), ("[1]", "must be an object"), ("{}", "is no episode")],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    write(tmp_path)
    path = tmp_path / LOG_NAME
    path.write_text(f"{path.read_text()}{line}\n")
    with pytest.raises(LogError, match=said), EpisodeLog(tmp_path, SETTINGS):
        pass


def test_two_evaluations_cannot_write_the_same_log(tmp_path: Path) -> None:
    with (
        EpisodeLog(tmp_path, SETTINGS) as first,
        pytest.raises(LogError, match="in use by another process"),
        EpisodeLog(tmp_path, SETTINGS),
    ):
        pass
    first.results.clear()
    write(tmp_path, 1)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.unit.test_evaluation_log import SETTINGS, key, result
from mail_policy.evaluation.log import EpisodeLog
with EpisodeLog(Path(sys.argv[1]), SETTINGS) as log:
    for seed in range(5):
        log.add(key(seed), result(seed))
    log._file.write(b'{"policy": "A", "task": "op')
    log._file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_loses_no_finished_episode(tmp_path: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(ROOT)], timeout=60, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / LOG_NAME).read_bytes().endswith(b"\n")
    with EpisodeLog(tmp_path, SETTINGS) as log:
        assert log.results == {key(seed): result(seed) for seed in range(5)}
        log.add(key(5), result(5))
    with EpisodeLog(tmp_path, SETTINGS) as log:
        assert list(log.results) == [key(seed) for seed in range(6)]
