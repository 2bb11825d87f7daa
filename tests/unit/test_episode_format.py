"""Writing an episode and reading it back, by our reader and by those of others."""

import dataclasses
import json
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader

from data_collection import messages, topics
from data_collection.disk import DiskGuard
from data_collection.errors import DiskFullError, EpisodeError, FormatVersionError
from data_collection.manifest import (
    MANIFEST_NAME,
    EpisodeManifest,
    EpisodeQuality,
    episode_id,
    label_episode,
    load_manifest,
    save_manifest,
)
from data_collection.reader import iterate_messages, list_episodes, read_steps
from data_collection.writer import EpisodeWriter, compressed_picture

STEPS = 30
JPEG_ERROR = 4


def test_what_was_written_is_read_back(episodes):
    folder = episodes.record(STEPS)
    steps = read_steps(folder, episodes.cameras, 32, 48)
    # The last observation has no action, so it is no step to train on.
    assert len(steps.times_s) == STEPS - 1
    for step in range(STEPS - 1):
        observation = episodes.observation(step)
        assert steps.times_s[step] == pytest.approx(observation.captured_at_s, abs=1e-9)
        np.testing.assert_array_equal(steps.joint_positions[step], observation.joint_positions)
        assert steps.gripper_widths_m[step] == pytest.approx(observation.gripper_width_m)
        np.testing.assert_array_equal(steps.actions[step], episodes.action(step))
        for camera in episodes.cameras:
            difference = steps.images[camera][step].astype(int) - observation.images[camera]
            assert np.abs(difference).max() <= JPEG_ERROR


def test_the_manifest_says_how_it_ended(episodes):
    folder = episodes.record(STEPS, success=False)
    manifest = load_manifest(folder)
    assert manifest.success is False
    assert manifest.steps == STEPS
    assert manifest.duration_s == pytest.approx(0.05 * (STEPS - 1))
    assert manifest.quality is EpisodeQuality.GOOD


def test_pictures_are_resized_for_training(episodes):
    steps = read_steps(episodes.record(3), ("wrist",), 16, 24)
    assert steps.images["wrist"].shape == (2, 16, 24, 3)
    assert list(steps.images) == ["wrist"]


def test_the_last_observation_is_kept_for_replay(episodes):
    steps = read_steps(episodes.record(3), episodes.cameras, 32, 48, require_actions=False)
    assert len(steps.times_s) == 3
    assert np.isnan(steps.actions[-1]).all()
    assert np.isfinite(steps.actions[:-1]).all()


def test_other_readers_of_ros_bags_understand_the_file(episodes):
    log = episodes.record(STEPS) / "episode.mcap"
    with AnyReader([log]) as reader:
        counts = {connection.topic: connection.msgcount for connection in reader.connections}
        connection = next(c for c in reader.connections if c.topic == topics.DEMONSTRATION_ACTION)
        chunks = [reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages([connection])]
    assert counts == {
        topics.JOINT_STATES: STEPS,
        topics.image_topic("agentview"): STEPS,
        topics.image_topic("wrist"): STEPS,
        topics.DEMONSTRATION_ACTION: STEPS - 1,
    }
    np.testing.assert_array_equal(chunks[4].values, episodes.action(4))
    with log.open("rb") as file:
        assert make_reader(file, validate_crcs=True).get_summary().statistics.message_count == (
            4 * STEPS - 1
        )


def test_an_older_definition_of_a_message_is_still_decoded():
    old = messages.MessageSchema("mail_msgs/msg/GripperState", "float64 width\nbool is_grasped\n")
    cdr = b"\x00\x01\x00\x00" + np.float64(0.04).tobytes() + b"\x01"
    assert messages.decode(old, cdr).width == 0.04


@given(st.binary(max_size=60))
def test_bytes_that_are_no_message_are_refused(cdr):
    # The fixed part of an arm state alone is longer than this.
    schema = messages.schema_of("mail_msgs/msg/ArmState")
    with pytest.raises(EpisodeError, match="mail_msgs/msg/ArmState"):
        messages.decode(schema, cdr)


def test_a_missing_instant_is_not_skipped_silently(episodes):
    with episodes.writer() as writer:
        for step in (0, 1, 2, 5, 6):
            writer.write_step(episodes.observation(step), episodes.action(step))
    with pytest.raises(EpisodeError, match=r"2 of 7 instants are missing, the first 0\.15 s"):
        read_steps(writer.folder, episodes.cameras, 32, 48)
    assert len(read_steps(writer.folder, episodes.cameras, 32, 48, allow_gaps=True).times_s) == 5


def test_a_camera_that_was_not_recorded_is_named(episodes):
    with pytest.raises(EpisodeError, match="no camera overhead; it has agentview, wrist"):
        read_steps(episodes.record(3), ("overhead",), 32, 48)


def test_an_episode_without_actions_cannot_be_trained_on(episodes):
    with episodes.writer() as writer:
        writer.write_step(episodes.observation(0), None)
    with pytest.raises(EpisodeError, match="holds no actions"):
        read_steps(writer.folder, episodes.cameras, 32, 48)


def test_joint_states_between_pictures_are_interpolated(episodes):
    with episodes.writer(cameras=("agentview",)) as writer:
        for step in range(4):
            observation = episodes.observation(step)
            for offset_s in (-0.02, 0.02):
                stamp_ns = messages.seconds_to_ns(1.0 + observation.captured_at_s + offset_s)
                positions = np.full(9, observation.captured_at_s + offset_s)
                cdr = messages.encode(messages.joint_state(stamp_ns, ["j"] * 9, positions))
                writer.write_raw(topics.JOINT_STATES, topics.JOINT_STATE_TYPE, cdr, stamp_ns)
            stamp_ns = messages.seconds_to_ns(1.0 + observation.captured_at_s)
            cdr = compressed_picture(observation.images["agentview"], "agentview", stamp_ns)
            topic = topics.image_topic("agentview")
            writer.write_raw(topic, topics.COMPRESSED_IMAGE_TYPE, cdr, stamp_ns)
    steps = read_steps(writer.folder, ("agentview",), 32, 48, require_actions=False)
    np.testing.assert_allclose(steps.joint_positions[:, 0], steps.times_s - 1.0, atol=1e-9)


def test_messages_come_in_the_order_of_recording(episodes):
    stamps_s = [item.stamp_s for item in iterate_messages(episodes.record(5))]
    assert stamps_s == sorted(stamps_s)
    assert len(stamps_s) == 4 * 5 - 1


def test_episodes_are_found_below_a_folder(episodes):
    folders = [episodes.record(2, id=f"episode-{number}") for number in (2, 1)]
    assert list_episodes(episodes.root) == sorted(folders)


def test_an_episode_can_be_judged_afterwards(episodes):
    folder = episodes.record(2, success=None)
    label_episode(folder, success=False, failure_reason="the drawer stayed shut")
    assert load_manifest(folder).failure_reason == "the drawer stayed shut"


@pytest.mark.parametrize(
    "name", ["../escape", "a/b", "", ".hidden", "a\0b", "x" * 300, "a b", "-a"]
)
def test_an_id_that_is_no_plain_name_is_refused(episodes, name):
    with pytest.raises(ValueError, match="id must be"):
        episodes.manifest(id=name)


@pytest.mark.parametrize("name", ["../wrist", "a/b", "", "1st", "x" * 65, "a-b"])
def test_a_camera_that_is_no_plain_name_is_refused(episodes, name):
    with pytest.raises(ValueError, match="cameras must be"):
        episodes.manifest(cameras=(name,))


@given(st.text(max_size=400))
def test_any_sentence_makes_a_plain_id(task):
    name = episode_id(task, datetime(2026, 7, 5, tzinfo=UTC))
    assert EpisodeManifest(
        id=name, task=task, source="policy", robot_type="fer", cameras=("wrist",), created_at=""
    )
    assert "/" not in name
    assert len(name) <= 80


def test_a_misspelt_key_in_a_manifest_is_named(episodes):
    folder = episodes.record(2)
    values = json.loads((folder / MANIFEST_NAME).read_text())
    values["sucess"] = values.pop("success")
    (folder / MANIFEST_NAME).write_text(json.dumps(values))
    with pytest.raises(EpisodeError, match="did you mean 'success'"):
        load_manifest(folder)


def test_a_manifest_of_a_newer_format_is_refused(episodes):
    folder = episodes.record(2)
    values = json.loads((folder / MANIFEST_NAME).read_text())
    (folder / MANIFEST_NAME).write_text(json.dumps({**values, "format_version": 3}))
    with pytest.raises(FormatVersionError, match="format_version must be 1 to 2, got 3"):
        load_manifest(folder)


def test_an_episode_of_the_first_format_is_read_labelled_and_brought_to_this_one(episodes):
    folder = episodes.record(3)
    values = json.loads((folder / MANIFEST_NAME).read_text())
    for added in ("interventions", "person_s", "pre_roll_s"):
        del values[added]
    (folder / MANIFEST_NAME).write_text(json.dumps({**values, "format_version": 1}))
    manifest = load_manifest(folder)
    assert (manifest.interventions, manifest.person_s, manifest.pre_roll_s) == (0, 0.0, 0.0)
    assert len(read_steps(folder, episodes.cameras, 32, 48).times_s) == 2
    label_episode(folder, success=False, failure_reason="late")
    assert json.loads((folder / MANIFEST_NAME).read_text())["format_version"] == 2
    assert load_manifest(folder).failure_reason == "late"


@pytest.mark.parametrize("version", [0, "2", None, 2.5, True, []])
def test_a_version_that_is_none_is_refused(episodes, version):
    folder = episodes.record(2)
    values = json.loads((folder / MANIFEST_NAME).read_text())
    (folder / MANIFEST_NAME).write_text(json.dumps({**values, "format_version": version}))
    with pytest.raises(EpisodeError, match="format_version"):
        load_manifest(folder)


def test_saving_a_manifest_leaves_no_temporary_file(episodes):
    folder = episodes.record(2)
    save_manifest(folder, load_manifest(folder))
    assert {path.name for path in folder.iterdir()} == {"episode.json", "episode.mcap"}


def test_an_episode_never_overwrites_another(episodes):
    episodes.record(2)
    with pytest.raises(EpisodeError, match="exists already"):
        episodes.writer()


def test_an_exception_ends_the_episode_and_is_not_hidden(episodes):
    writer = episodes.writer()

    def run() -> None:
        with writer:
            writer.write_step(episodes.observation(0), None)
            raise KeyError("arm")

    with pytest.raises(KeyError):
        run()
    manifest = load_manifest(writer.folder)
    assert manifest.quality is EpisodeQuality.FLAGGED
    assert "KeyError" in manifest.quality_notes[0]


def test_values_that_cannot_be_played_are_refused(episodes):
    with episodes.writer() as writer:
        for action in (np.zeros(6), np.full(7, np.nan)):
            with pytest.raises(EpisodeError, match="7 finite numbers"):
                writer.write_step(episodes.observation(0), action)
        lacking = dataclasses.replace(episodes.observation(0), images={})
        with pytest.raises(EpisodeError, match="pictures of agentview, wrist, got none"):
            writer.write_step(lacking, None)
    assert load_manifest(writer.folder).steps == 0


def test_a_recording_does_not_start_on_a_full_disk(episodes):
    full = DiskGuard(free_bytes=lambda folder: 4 << 30)
    with pytest.raises(DiskFullError, match=r"4\.00 GiB are free .* 5\.00 GiB are needed"):
        EpisodeWriter(episodes.root / "new", episodes.manifest(), full)
    assert not (episodes.root / "new").exists()


def test_a_recording_ends_properly_when_the_disk_runs_full(episodes):
    free = [100 << 30]
    guard = DiskGuard(free_bytes=lambda folder: free[0])
    writer = EpisodeWriter(episodes.root / "new", episodes.manifest(), guard)
    writer.write_step(episodes.observation(0), episodes.action(0))
    free[0] = 1 << 30
    with pytest.raises(DiskFullError):
        writer.write_step(episodes.observation(1), episodes.action(1))
    assert not writer.is_open
    manifest = load_manifest(writer.folder)
    assert manifest.quality is EpisodeQuality.FLAGGED
    assert manifest.steps == 2
    assert len(read_steps(writer.folder, episodes.cameras, 32, 48).times_s) == 2
