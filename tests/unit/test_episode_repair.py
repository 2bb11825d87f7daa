"""What is left of an episode after a kill, a power cut or a damaged disk."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader

from data_collection.commands import main
from data_collection.errors import EpisodeError
from data_collection.manifest import (
    LOG_NAME,
    MANIFEST_NAME,
    EpisodeQuality,
    load_manifest,
    save_manifest,
)
from data_collection.mcap_scan import McapDamage, RawMessage, scan
from data_collection.reader import iterate_messages, read_steps
from data_collection.repair import DAMAGED_NAME, RepairStatus, check_episode, repair_episode

STEPS = 12
SHARED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def verified_messages(log: Path) -> list[RawMessage]:
    """Return what a scan yields before it meets damage, if any."""
    found = []
    try:
        for item in scan(log):
            if isinstance(item, RawMessage):
                found.append(item)
    except McapDamage:
        pass
    return found


def counts_by_index(log: Path) -> tuple[int, int]:
    """Return how many messages the mcap library finds announced, and how many it reads."""
    with log.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        announced = reader.get_summary().statistics.message_count
        return announced, sum(1 for _ in reader.iter_messages())


@pytest.fixture(scope="session")
def complete(session_episodes) -> Path:
    return session_episodes.record(STEPS)


@pytest.fixture(scope="session")
def boundaries(session_episodes) -> list[int]:
    """Sizes of the file after each write that had returned."""
    with session_episodes.writer(id="boundaries") as writer:
        sizes = [writer.size_bytes]
        for step in range(STEPS):
            writer.write_step(session_episodes.observation(step), session_episodes.action(step))
            sizes.append(writer.size_bytes)
    return sizes


@pytest.fixture
def victim(complete, tmp_path) -> Path:
    """A copy of a complete episode, to be damaged."""
    return Path(shutil.copytree(complete, tmp_path / "victim"))


def cut(folder: Path, size: int) -> None:
    """Leave the episode as a kill would: cut off, with the manifest of the start."""
    os.truncate(folder / LOG_NAME, size)


@SHARED
@given(data=st.data())
def test_a_cut_at_any_byte_loses_only_the_write_that_was_under_way(
    session_episodes, boundaries, tmp_path_factory, data
):
    whole = session_episodes.root / "boundaries"
    # Exactly between two writes is the cut that is met most often, and easily forgotten.
    between = st.sampled_from(boundaries[1:])
    size = data.draw(between | st.integers(boundaries[1], boundaries[-1]))
    folder = Path(shutil.copytree(whole, tmp_path_factory.mktemp("cut") / "episode"))
    cut(folder, size)
    acknowledged = sum(boundary <= size for boundary in boundaries[1:])

    status, sentence = repair_episode(folder)

    assert status is RepairStatus.REPAIRED, sentence
    kept = load_manifest(folder).steps
    # A write is whole before it returns: its messages come first, its index last.
    assert acknowledged <= kept <= acknowledged + 1
    expected = verified_messages(whole / LOG_NAME)[: 4 * kept]
    assert verified_messages(folder / LOG_NAME) == expected
    steps = read_steps(folder, session_episodes.cameras, 32, 48)
    assert len(steps.times_s) == kept
    assert counts_by_index(folder / LOG_NAME) == (4 * kept, 4 * kept)


@SHARED
@given(data=st.data())
def test_a_flipped_bit_is_found_and_never_yields_wrong_messages(complete, tmp_path_factory, data):
    folder = Path(shutil.copytree(complete, tmp_path_factory.mktemp("flip") / "episode"))
    log = folder / LOG_NAME
    content = bytearray(log.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= 1 << data.draw(st.integers(0, 7))
    log.write_bytes(content)
    original = verified_messages(complete / LOG_NAME)

    assert check_episode(folder).problem
    found = verified_messages(log)
    assert found == original[: len(found)]


def test_every_cut_in_the_index_is_repaired(complete, boundaries, tmp_path):
    size = (complete / LOG_NAME).stat().st_size
    for number, end in enumerate(range(boundaries[-1] - 200, size, 97)):
        folder = Path(shutil.copytree(complete, tmp_path / str(number)))
        cut(folder, end)
        assert repair_episode(folder)[0] is RepairStatus.REPAIRED
        assert check_episode(folder).problem == ""


def test_a_repair_is_done_once(victim):
    cut(victim, 9000)
    assert repair_episode(victim)[0] is RepairStatus.REPAIRED
    before = {path.name: path.read_bytes() for path in victim.iterdir()}
    assert repair_episode(victim)[0] is RepairStatus.OK
    assert {path.name: path.read_bytes() for path in victim.iterdir()} == before


def test_a_complete_episode_is_left_alone(victim, complete):
    assert repair_episode(victim)[0] is RepairStatus.OK
    for path in complete.iterdir():
        assert (victim / path.name).read_bytes() == path.read_bytes()


def test_a_repaired_episode_is_marked_and_others_can_read_it(victim):
    cut(victim, 9000)
    repair_episode(victim)
    manifest = load_manifest(victim)
    assert manifest.quality is EpisodeQuality.REPAIRED
    assert "were lost" in manifest.quality_notes[-1]
    with AnyReader([victim / LOG_NAME]) as reader:
        connection = next(c for c in reader.connections if c.topic == "/joint_states")
        assert connection.msgcount == manifest.steps
        assert sum(1 for _ in reader.messages([connection])) == manifest.steps
    assert main(["check", str(victim)]) == 0


def test_what_is_damaged_in_the_middle_is_kept_beside(victim):
    log = victim / LOG_NAME
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 0xFF
    log.write_bytes(content)
    assert repair_episode(victim)[0] is RepairStatus.REPAIRED
    assert (victim / DAMAGED_NAME).read_bytes() == content


def test_a_lost_manifest_is_rebuilt_from_the_log(victim, complete):
    (victim / MANIFEST_NAME).unlink()
    assert repair_episode(victim)[0] is RepairStatus.REPAIRED
    manifest = load_manifest(victim)
    assert manifest.task == load_manifest(complete).task
    assert manifest.steps == STEPS


def test_an_episode_that_was_never_finished_is_recognised(victim):
    manifest = load_manifest(victim)
    save_manifest(victim, dataclasses.replace(manifest, quality=EpisodeQuality.RECORDING))
    assert "never finished" in check_episode(victim).problem
    assert repair_episode(victim)[0] is RepairStatus.REPAIRED


def test_nothing_is_made_of_nothing(victim):
    cut(victim, 0)
    status, sentence = repair_episode(victim)
    assert status is RepairStatus.FAILED
    assert "holds nothing to keep" in sentence


def test_reading_a_damaged_episode_names_the_remedy(victim):
    cut(victim, 9000)
    with pytest.raises(EpisodeError, match="mailctl episodes repair"):
        list(iterate_messages(victim))


def test_the_command_line_answers_with_the_codes_of_mcap_recover(victim, capsys):
    assert main(["repair", str(victim)]) == 0
    cut(victim, 9000)
    assert main(["check", str(victim)]) == 1
    assert main(["repair", str(victim)]) == 3
    assert main(["repair", str(victim)]) == 0
    cut(victim, 0)
    assert main(["repair", str(victim)]) == 1
    assert main(["repair", str(victim.parent / "absent")]) == 1
    assert "does not exist" in capsys.readouterr().err


WRITE_UNTIL_KILLED = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
spec = spec_from_file_location("fixtures", sys.argv[1])
fixtures = module_from_spec(spec)
spec.loader.exec_module(fixtures)
factory = fixtures.EpisodeFactory(Path(sys.argv[2]))
writer = factory.writer(id="killed")
for step in range(100000):
    writer.write_step(factory.observation(step), factory.action(step))
    sys.stdout.write(f"{step + 1}\\n")
    sys.stdout.flush()
"""


@pytest.mark.parametrize("after", [1, 37, 150])
def test_kill_9_loses_nothing_that_was_acknowledged(episodes, after):
    fixtures = Path(__file__).with_name("conftest.py")
    command = [sys.executable, "-c", WRITE_UNTIL_KILLED, str(fixtures), str(episodes.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(after):
            last = process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        acknowledged = int((last + process.stdout.read()).split("\n")[-2])
    folder = episodes.root / "killed"
    assert load_manifest(folder).quality is EpisodeQuality.RECORDING

    status, sentence = repair_episode(folder)

    assert status is RepairStatus.REPAIRED, sentence
    assert acknowledged <= load_manifest(folder).steps <= acknowledged + 1
