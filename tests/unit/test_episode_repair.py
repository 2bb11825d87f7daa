"""What is left of an episode after a kill, a power cut or a damaged disk."""

import dataclasses
import json
import logging
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader

from data_collection.commands import main
from data_collection.errors import EpisodeError, FormatVersionError, InUseError
from data_collection.locks import reserved
from data_collection.manifest import (
    LOG_NAME,
    MANIFEST_NAME,
    EpisodeQuality,
    label_episode,
    load_manifest,
    save_manifest,
)
from data_collection.mcap_log import McapLog
from data_collection.mcap_scan import McapDamage, RawMessage, scan
from data_collection.messages import schema_of
from data_collection.reader import iterate_messages, read_steps
from data_collection.recovery import Recovery, dead_episodes
from data_collection.repair import DAMAGED_NAME, RepairStatus, check_episode, repair_episode
from data_collection.writer import EpisodeWriter
from tests.unit.killed_writer import Killer, batches, digest

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


@pytest.mark.fault("F57", bound="only the write that was under way is lost")
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


@pytest.mark.fault("F60", bound="found, never read as something else")
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


@pytest.mark.fault("F57", bound="fsync every 0.5 s and at the end")
def test_what_is_written_reaches_the_disk_every_half_second(tmp_path, monkeypatch):
    synced, now = [], [0.0]
    real = os.fsync
    monkeypatch.setattr("data_collection.mcap_log.os.fsync", lambda f: synced.append(real(f)))
    log = McapLog(tmp_path / LOG_NAME, steady_s=lambda: now[0])
    message = next(batches(1))[0]
    for step in range(200):
        now[0] = 0.05 * step
        log.add(message.topic, schema_of(message.type_name), message.cdr, step)
        log.commit()
    assert len(synced) == pytest.approx(now[0] / 0.5, abs=1)
    before = len(synced)
    log.finish()
    log.close()
    assert len(synced) == before + 1


KILLS = 220


@pytest.mark.fault("F56", bound="0 acknowledged messages lost, earlier episodes bit-identical")
def test_kill_9_at_any_time_loses_nothing_that_was_acknowledged(tmp_path, measured):
    with Killer(tmp_path, seed=7) as killer:
        kills = [killer.kill() for _ in range(KILLS)]
        changed = killer.compare_all()
    assert [kill.faults for kill in kills if kill.faults] == []
    assert changed == []
    assert sum(kill.lost for kill in kills) == 0
    # The kills must have met every phase: before the first write, between writes, after the end.
    met = Counter((kill.acknowledged > 0, kill.was_finished) for kill in kills)
    assert min(met[False, False], met[True, False], met[True, True]) >= 10
    assert sum(kill.repair is RepairStatus.REPAIRED for kill in kills) >= 20
    acknowledged = sum(kill.acknowledged for kill in kills)
    measured(f"{KILLS} kills, 0 of {acknowledged} acknowledged messages lost")


def test_an_episode_that_is_being_recorded_is_left_to_its_recorder(episodes, capsys):
    writer = episodes.writer()
    writer.write_step(episodes.observation(0), None)
    before = (writer.folder / LOG_NAME).read_bytes()
    said = f"{writer.folder} is being recorded by another process"
    assert check_episode(writer.folder).problem == said
    assert repair_episode(writer.folder) == (RepairStatus.FAILED, said)
    with pytest.raises(InUseError, match="is being recorded by another process"):
        label_episode(writer.folder, success=True)
    assert main(["check", str(writer.folder)]) == 1
    assert list(dead_episodes(episodes.root)) == []
    assert (writer.folder / LOG_NAME).read_bytes() == before
    writer.finish(success=None)
    assert check_episode(writer.folder).problem == ""
    assert label_episode(writer.folder, success=True).success is True


def test_a_repair_keeps_others_from_repairing(victim):
    cut(victim, 9000)
    with reserved(victim / LOG_NAME):
        assert repair_episode(victim)[0] is RepairStatus.FAILED
    assert repair_episode(victim)[0] is RepairStatus.REPAIRED


def test_recovery_mends_what_is_dead_and_nothing_else(complete, tmp_path, caplog, episodes):
    root = tmp_path / "episodes"
    folders = {
        name: Path(shutil.copytree(complete, root / name))
        for name in ("whole", "dead", "headless", "empty", "foreign")
    }
    for name in ("dead", "empty", "foreign"):
        manifest = load_manifest(folders[name])
        recording = dataclasses.replace(manifest, quality=EpisodeQuality.RECORDING)
        save_manifest(folders[name], recording)
    cut(folders["dead"], 9000)
    (folders["headless"] / MANIFEST_NAME).unlink()
    cut(folders["empty"], 0)
    newer = json.loads((folders["foreign"] / MANIFEST_NAME).read_text())
    (folders["foreign"] / MANIFEST_NAME).write_text(json.dumps({**newer, "format_version": 99}))
    live = EpisodeWriter(root / "live", episodes.manifest(id="live"), episodes.roomy)
    live.write_step(episodes.observation(0), None)
    untouched = {name: digest(folders[name]) for name in ("whole", "empty", "foreign")}

    with caplog.at_level(logging.WARNING):
        recovery = Recovery(root)
        recovery.start()
        assert recovery.wait(10.0)

    live.finish(success=None)
    assert load_manifest(live.folder).quality is EpisodeQuality.GOOD
    for name in ("dead", "headless"):
        assert load_manifest(folders[name]).quality is EpisodeQuality.REPAIRED
        assert check_episode(folders[name]).problem == ""
    assert {name: digest(folders[name]) for name in untouched} == untouched
    said = {Path(record.message.split()[0]).name: record for record in caplog.records}
    assert {name: record.levelname for name, record in said.items()} == {
        "dead": "WARNING",
        "headless": "WARNING",
        "empty": "ERROR",
        "foreign": "ERROR",
    }
    assert "holds nothing to keep" in said["empty"].message
    assert "was not touched" in said["foreign"].message


def test_recovery_stops_between_two_repairs(victim):
    cut(victim, 9000)
    recovery = Recovery(victim.parent)
    recovery.stop(0.0)
    recovery.start()
    assert recovery.wait(10.0)
    assert check_episode(victim).problem


@pytest.mark.fault("F60", bound="another format is refused, nothing is changed")
@pytest.mark.parametrize("act", [check_episode, repair_episode, label_episode])
def test_an_episode_of_another_format_is_named_and_left_alone(victim, act):
    values = json.loads((victim / MANIFEST_NAME).read_text())
    (victim / MANIFEST_NAME).write_text(json.dumps({**values, "format_version": 3, "new": 1}))
    cut(victim, 9000)
    before = digest(victim)
    expected = "format_version must be 1 to 2, got 3; use the version of this software that wrote"
    if act is label_episode:
        with pytest.raises(FormatVersionError, match=expected):
            label_episode(victim, success=True)
    else:
        answer = act(victim)
        assert expected in (answer.problem if act is check_episode else answer[1])
    assert digest(victim) == before


def test_a_repair_notes_what_the_streams_lack(episodes):
    writer = episodes.writer()
    for step in range(30):
        observation = episodes.observation(step)
        writer.write_messages(writer._images_of(observation, step * 50_000_000 + 1))
    writer._log.close()
    assert repair_episode(writer.folder)[0] is RepairStatus.REPAIRED
    notes = load_manifest(writer.folder).quality_notes
    assert notes == (
        "nothing from /joint_states",
        "repaired: the recorder died between two messages",
    )


# A disk that is really full.

FILL_A_DISK = """
import json, os, sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from data_collection.disk import DiskGuard
from data_collection.manifest import load_manifest
from data_collection.repair import check_episode, repair_episode
from mail_recorder.recording import Recording
from tests.unit.killed_writer import digest, picture
spec = spec_from_file_location("fixtures", sys.argv[1])
fixtures = module_from_spec(spec)
spec.loader.exec_module(fixtures)
root = Path(sys.argv[2])
factory = fixtures.EpisodeFactory(root)
earlier = factory.record(3, id="earlier")
before = digest(earlier)
pictures = [picture(number, bytes(100_000)) for number in range(900)]
recording = Recording(factory.writer(id="full", cameras=("wrist",)), 1, pictures)
assert recording.end(60.0)
manifest = recording.manifest
health = check_episode(root / "full")
print(json.dumps({
    "fault": recording.fault, "quality": manifest.quality, "steps": manifest.steps,
    "notes": manifest.quality_notes, "problem": health.problem, "readable": health.messages,
    "earlier": digest(earlier) == before,
}))
"""


@pytest.fixture
def small_disk(tmp_path):
    """Return a command prefix in whose own view a folder is a disk of 64 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = f'mount -t tmpfs -o size=64m none {folder} && exec "$@"'
    prefix = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not let us mount a small disk")
    return prefix, folder


@pytest.mark.fault("F55", bound="the episode is whole up to there, earlier ones are untouched")
def test_a_disk_that_is_full_costs_nothing_that_was_written(small_disk, measured):
    prefix, folder = small_disk
    fixtures = Path(__file__).with_name("conftest.py")
    command = [*prefix, sys.executable, "-c", FILL_A_DISK, str(fixtures), str(folder)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert "no space left" in found["fault"]
    assert found["earlier"]
    assert found["readable"] > 400
    measured(f"{found['readable']} of 900 pictures fitted on 64 MiB and are readable")
    assert found["problem"] == "", found
    assert found["quality"] == "repaired"
    assert found["notes"][0] == found["fault"]
