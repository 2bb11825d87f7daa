"""Shared memory of the dead goes, shared memory of the living stays."""

import fcntl
import os
import time
from pathlib import Path

import pytest

from mail_bringup.shared_memory import remove_leftovers

SEGMENT = "fastrtps_0123456789abcdef"
PORT = "fastrtps_port22411"


def make(folder: Path, *names: str, age_s: float = 60.0) -> None:
    for name in names:
        (folder / name).touch()
        then_s = time.time() - age_s
        os.utime(folder / name, (then_s, then_s))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("ending", ["_el", "_sl"])
def test_memory_whose_owner_died_is_removed_with_its_locks(tmp_path: Path, ending: str) -> None:
    make(tmp_path, SEGMENT, f"{SEGMENT}{ending}", PORT, f"sem.{PORT}_mutex")
    assert remove_leftovers(tmp_path) == [SEGMENT, PORT]
    assert names(tmp_path) == set()


@pytest.mark.parametrize("kind", [fcntl.LOCK_EX, fcntl.LOCK_SH])
@pytest.mark.parametrize("ending", ["_el", "_sl"])
def test_memory_of_a_living_owner_stays(tmp_path: Path, ending: str, kind: int) -> None:
    make(tmp_path, PORT, f"{PORT}{ending}", f"sem.{PORT}_mutex")
    before = names(tmp_path)
    with (tmp_path / f"{PORT}{ending}").open("rb") as file:
        fcntl.flock(file, kind)
        assert remove_leftovers(tmp_path) == []
        assert names(tmp_path) == before


def test_memory_that_is_just_being_made_stays(tmp_path: Path) -> None:
    make(tmp_path, SEGMENT, age_s=0.1)
    assert remove_leftovers(tmp_path) == []


def test_files_of_others_are_not_touched(tmp_path: Path) -> None:
    others = {"sem.mp-abc", "mail1_frames", "fastrtps_note.txt", "psm_12345"}
    make(tmp_path, *others)
    assert remove_leftovers(tmp_path) == []
    assert names(tmp_path) == others
