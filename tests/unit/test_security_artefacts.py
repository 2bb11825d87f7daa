"""No file can make us run it, hang, or take all memory: each is refused in words that help."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from calibration.results import HandEyeResult, save_result
from data_collection.lerobot_export import LeRobotOptions, export_lerobot
from data_collection.lerobot_layout import EXPORT_PATH
from data_collection.libero_export import LiberoOptions, export_libero
from mail_policy.inference.checkpoint import MANIFEST_NAME, SELF_TEST_NAME, WEIGHTS_NAME
from tests.unit import formats_rig as rig
from tests.unit.artefact_trial import CPU_LIMIT_S
from tests.unit.malicious_artefacts import CHECKPOINT, PLAIN, Kind
from tests.unit.malicious_recordings import RECORDINGS

ROOT = Path(__file__).parents[2]
# The program itself takes a third of it.
MEMORY_LIMIT_MB = 1000
CORPUS = {**PLAIN, **RECORDINGS}


def sound_calibration(folder: Path) -> None:
    result = HandEyeResult(
        robot="sim",
        subject="agentview",
        serial="1",
        created_at="2026-07-05T14:22:33+00:00",
        tool="test",
        residuals={"mm": 0.1},
        parent_frame="base",
        position_m=(0.5, 0.0, 0.3),
        quaternion_xyzw=(0.0, 0.0, 0.0, 1.0),
        held_out_mm=0.5,
        held_out_deg=0.1,
        views=20,
    )
    save_result(result, folder)


@pytest.fixture(scope="module")
def sound(session_episodes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound file of each kind."""
    root = tmp_path_factory.mktemp("corpus")
    episode = rig.record(session_episodes, "sound", 12)
    shutil.copytree(episode, root / Kind.EPISODE)
    export_lerobot([episode], root / Kind.LEROBOT, LeRobotOptions())
    (root / Kind.LEROBOT / EXPORT_PATH).unlink()
    export_libero([episode], root / Kind.LIBERO, LiberoOptions())
    (root / Kind.CHECKPOINT).mkdir()
    # Copies, never links: artefacts are written into this folder.
    for name in (MANIFEST_NAME, WEIGHTS_NAME, SELF_TEST_NAME):
        shutil.copyfile(CHECKPOINT / name, root / Kind.CHECKPOINT / name)
    sound_calibration(root / Kind.CALIBRATION)
    for kind in (Kind.ARM, Kind.CAMERAS, Kind.TELEOP, Kind.TASK, Kind.INITIAL_STATES):
        (root / kind).mkdir()
    return root


@pytest.fixture(scope="module")
def verdicts(sound: Path) -> dict[str, dict]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.artefact_trial", str(sound)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["name"]: line for line in lines}


def test_the_corpus_is_large_enough() -> None:
    assert len(CORPUS) >= 40
    assert {artefact.kind for artefact in CORPUS.values()} == set(Kind)


@pytest.mark.parametrize("name", CORPUS)
def test_a_hostile_file_is_refused(verdicts: dict[str, dict], name: str) -> None:
    found = verdicts[name]
    assert found["said"].startswith("refused: "), found["said"]
    assert re.search(CORPUS[name].says, found["said"]), found["said"]
    assert not found["ran"], "what the file says was run"
    assert found["cpu_s"] < CPU_LIMIT_S
    assert found["memory_mb"] < MEMORY_LIMIT_MB
    # A message is for people: a bomb must not go off in it.
    assert len(found["said"]) < 2000
