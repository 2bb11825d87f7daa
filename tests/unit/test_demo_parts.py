"""Parts of the demo that need no ROS."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mail_bringup.demo_values import DemoOutcome, DemoSettings, outcome_sentence
from mail_bringup.memory import children_of, peak_memory_mb
from mail_bringup.run_log import RunLog
from mail_bringup.task_attempt import Attempt

SETTINGS = DemoSettings(
    task="open drawer", checkpoint="c", seed=7, limit_s=30.0, folder=Path("/tmp/x"), started_s=0.0
)
OUTCOME = DemoOutcome(
    attempt=Attempt(
        success=True,
        measure=0.131,
        duration_s=4.25,
        real_time_factor=0.9,
        arm_state="policy",
        arm_cause="",
    ),
    resolved_task="open the top drawer",
    ready_s=8.0,
    first_motion_s=9.0,
    policy_start_s=10.0,
    peak_memory_mb={},
    episode=Path("/tmp/x/e"),
)
# Takes 50 MB more than an interpreter does.
HUNGRY = "import sys; block = b'x' * 50_000_000; print('up', flush=True); sys.stdin.read()"


def test_success_is_told_in_one_sentence() -> None:
    assert outcome_sentence(SETTINGS, OUTCOME) == (
        "Success: 'open the top drawer' (seed 7) was done after 4.2 s of simulated time; "
        "measure 0.131."
    )


def test_failure_names_the_state_of_the_arm_and_its_cause() -> None:
    attempt = dataclasses.replace(
        OUTCOME.attempt, success=False, arm_state="fault", arm_cause="a reflex"
    )
    failed = dataclasses.replace(OUTCOME, attempt=attempt)
    sentence = outcome_sentence(SETTINGS, failed)
    assert sentence.startswith("No success: 'open the top drawer' (seed 7)")
    assert sentence.endswith("the arm ended in state 'fault', because a reflex.")


def test_memory_of_a_process_includes_its_children() -> None:
    before_mb = peak_memory_mb(os.getpid())
    with subprocess.Popen(
        [sys.executable, "-S", "-c", HUNGRY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        assert child.pid in children_of(os.getpid())
        assert peak_memory_mb(child.pid) > 50.0
        assert peak_memory_mb(os.getpid()) > before_mb + 45.0
        assert child.stdin is not None
        child.stdin.close()


def test_a_process_that_ended_needs_no_memory() -> None:
    assert peak_memory_mb(2**22 + 1) == 0.0


def test_the_last_words_of_a_process_can_be_shown(tmp_path: Path) -> None:
    with RunLog(tmp_path / "logs") as log:
        for number in range(30):
            log.write("arm", f"line {number}")
        tail = log.tail("arm").splitlines()
        assert tail[-1] == "  line 29"
        assert len(tail) < 30
        assert log.tail("camera") == "(no output)"
    log.write("arm", "after the end")
    assert "after the end" not in (tmp_path / "logs/arm.log").read_text()


@pytest.mark.parametrize("success", [True, False])
def test_the_sentence_is_one_line(success: bool) -> None:
    attempt = dataclasses.replace(OUTCOME.attempt, success=success)
    sentence = outcome_sentence(SETTINGS, dataclasses.replace(OUTCOME, attempt=attempt))
    assert "\n" not in sentence
    assert sentence.endswith(".")
