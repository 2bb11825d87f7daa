"""The recorder behind its node: queues, pictures, starting and ending episodes."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_collection import messages, topics
from data_collection.disk import DiskGuard
from data_collection.errors import DiskFullError, EpisodeError
from data_collection.manifest import EpisodeQuality, load_manifest
from data_collection.reader import iterate_messages
from data_collection.repair import check_episode
from data_collection.writer import EpisodeWriter, Recorded
from mail_recorder.episode_recorder import EpisodeRecorder, RecorderConfig
from mail_recorder.message_queue import MessageQueue
from mail_recorder.recording import IMAGE_TYPE, Recording

AT = datetime(2026, 7, 5, 14, 22, 33, tzinfo=UTC)
IMAGE_TOPIC = "/camera/agentview/color/image_raw"
LIMIT_S = 10.0


def joint_message(step: int, topic: str = topics.JOINT_STATES) -> Recorded:
    message = messages.joint_state(step * 10**7, ["j"] * 9, np.full(9, float(step)))
    return Recorded(topic, topics.JOINT_STATE_TYPE, messages.encode(message), step * 10**7)


def image_message(step: int, encoding: str = "rgb8", shown_bytes: int = 24 * 36) -> Recorded:
    image = messages.message_type(IMAGE_TYPE)(
        header=messages.header(step * 50_000_000 + 7, "agentview_color_optical_frame"),
        height=24,
        width=12,
        encoding=encoding,
        is_bigendian=0,
        step=36,
        data=np.full(shown_bytes, step, np.uint8),
    )
    return Recorded(IMAGE_TOPIC, IMAGE_TYPE, messages.encode(image), step * 50_000_000 + 9)


@pytest.fixture
def config(tmp_path) -> RecorderConfig:
    return RecorderConfig(episodes_dir=tmp_path, cameras=("agentview",), robot_type="fr3")


@pytest.fixture
def recorder(config, episodes):
    recorder = EpisodeRecorder(config, episodes.roomy)
    yield recorder
    recorder.close()


def test_an_episode_holds_what_came_while_it_was_recorded(recorder):
    recorder.put(joint_message(0))
    folder = recorder.start("open the top drawer", AT)
    for step in range(1, 6):
        recorder.put(joint_message(step))
        recorder.put(image_message(step))
    assert "5 steps" in recorder.save()
    recorder.put(joint_message(6))

    found = list(iterate_messages(folder))
    joints = [item.message.position[0] for item in found if item.topic == topics.JOINT_STATES]
    assert joints == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert load_manifest(folder).quality is EpisodeQuality.GOOD
    assert check_episode(folder).problem == ""


def test_pictures_become_jpeg_with_the_stamp_of_their_capture(recorder):
    folder = recorder.start("look", AT)
    recorder.put(image_message(3))
    recorder.save()
    (item,) = iterate_messages(folder)
    assert item.topic == topics.image_topic("agentview")
    assert messages.stamp_to_ns(item.message.header.stamp) == 3 * 50_000_000 + 7
    assert item.message.header.frame_id == "agentview_color_optical_frame"
    assert bytes(item.message.data[:2]) == b"\xff\xd8"


@pytest.mark.parametrize(
    "bad",
    [
        image_message(1, encoding="bgr8"),
        image_message(1, shown_bytes=100),
        Recorded(IMAGE_TOPIC, IMAGE_TYPE, b"\x00\x01\x00\x00nonsense", 1),
        Recorded("/unknown", "unknown_msgs/msg/Nothing", b"\x00\x01\x00\x00", 1),
    ],
    ids=["encoding", "size", "bytes", "type"],
)
def test_a_message_that_cannot_be_stored_flags_the_episode(recorder, bad):
    folder = recorder.start("look", AT)
    recorder.put(bad)
    recorder.put(image_message(2))
    assert f"1 lost on {bad.topic}" in recorder.save()
    manifest = load_manifest(folder)
    assert manifest.quality is EpisodeQuality.FLAGGED
    assert manifest.dropped_messages == {bad.topic: 1}
    assert manifest.steps == 1


def test_only_one_episode_is_recorded_at_a_time(recorder):
    recorder.start("open the top drawer", AT)
    with pytest.raises(EpisodeError, match="is being recorded; save or discard it first"):
        recorder.start("close the top drawer", AT)


def test_without_an_episode_there_is_nothing_to_save(recorder):
    with pytest.raises(EpisodeError, match="nothing is being recorded"):
        recorder.save()
    with pytest.raises(EpisodeError, match="nothing is being recorded"):
        recorder.discard()


def test_an_empty_task_is_refused(recorder):
    with pytest.raises(EpisodeError, match="the task is empty"):
        recorder.start("  ", AT)


def test_a_task_that_looks_like_a_path_stays_in_the_folder(recorder, config):
    folder = recorder.start("../../etc/passwd\0", AT)
    assert folder.parent == config.episodes_dir
    assert folder.name == "20260705-142233-000-etc-passwd"


def test_a_discarded_episode_is_gone(recorder, config):
    folder = recorder.start("open the top drawer", AT)
    recorder.put(joint_message(1))
    assert str(folder) in recorder.discard()
    assert list(config.episodes_dir.iterdir()) == []
    recorder.start("open the top drawer", AT)


def test_stopping_the_recorder_saves_the_running_episode(recorder):
    folder = recorder.start("open the top drawer", AT)
    recorder.put(joint_message(1))
    assert "was stopped before" in recorder.close()
    assert check_episode(folder).problem == ""
    assert load_manifest(folder).quality is EpisodeQuality.FLAGGED
    assert recorder.close() == ""


def test_no_episode_starts_on_a_full_disk(config):
    recorder = EpisodeRecorder(config, DiskGuard(free_bytes=lambda folder: 0))
    with pytest.raises(DiskFullError):
        recorder.start("open the top drawer", AT)


def test_a_disk_that_runs_full_ends_the_episode_and_says_so(config):
    free = [100 << 30]
    recorder = EpisodeRecorder(config, DiskGuard(free_bytes=lambda folder: free[0]))
    folder = recorder.start("open the top drawer", AT)
    free[0] = 0
    recorder.put(joint_message(1))
    recorder._recording._thread.join(LIMIT_S)
    assert "GiB are free" in recorder.fault
    assert "GiB are free" in recorder.save()
    assert check_episode(folder).problem == ""


def test_a_bad_configuration_is_refused_before_the_first_recording(tmp_path):
    with pytest.raises(ValueError, match="robot_type must be one of fer, fr3"):
        RecorderConfig(episodes_dir=tmp_path, cameras=("wrist",), robot_type="ur5")
    with pytest.raises(ValueError, match="cameras must be"):
        RecorderConfig(episodes_dir=tmp_path, cameras=("../wrist",), robot_type="fr3")
    with pytest.raises(ValueError, match="at most 170 characters"):
        RecorderConfig(episodes_dir=Path("x" * 171), cameras=("wrist",), robot_type="fr3")


@given(st.lists(st.sampled_from("abc"), max_size=40), st.integers(1, 5))
def test_a_full_queue_drops_only_what_is_too_much_and_keeps_the_order(names, limit):
    queue = MessageQueue(limit)
    accepted = [
        message
        for number, name in enumerate(names)
        if queue.put(message := joint_message(number, f"/{name}"))
    ]
    assert queue.take(0.0) == accepted
    for name in set(names):
        assert sum(m.topic == f"/{name}" for m in accepted) == min(limit, names.count(name))
        assert queue.dropped[f"/{name}"] == max(0, names.count(name) - limit)
    assert queue.put(joint_message(0, "/a"))


def test_large_messages_are_limited_by_their_size():
    size = len(joint_message(0).cdr)
    queue = MessageQueue(100, limit_bytes_per_topic=3 * size)
    assert [queue.put(joint_message(step)) for step in range(4)] == [True, True, True, False]
    assert len(queue.take(0.0)) == 3
    assert queue.put(joint_message(4))


def test_a_closed_queue_takes_nothing_more_but_gives_what_it_has():
    queue = MessageQueue(5)
    queue.put(joint_message(1))
    queue.close()
    assert not queue.put(joint_message(2))
    assert not queue.is_drained
    assert len(queue.take(0.0)) == 1
    assert queue.is_drained


class BlockedWriter(EpisodeWriter):
    """A writer on a disk that has stalled."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.entered = threading.Event()
        self.released = threading.Event()

    def write_messages(self, recorded):
        self.entered.set()
        assert self.released.wait(LIMIT_S)
        super().write_messages(recorded)


def test_a_stalled_disk_loses_messages_visibly_and_ends_the_recording(episodes):
    writer = BlockedWriter(episodes.root / "slow", episodes.manifest(), episodes.roomy)
    recording = Recording(writer, queue_limit=8)
    recording.queue.put(joint_message(0))
    assert writer.entered.wait(LIMIT_S)
    taken = sum(recording.queue.put(joint_message(step)) for step in range(1, 1500))
    assert taken == 8
    writer.released.set()
    assert recording.end(LIMIT_S)
    assert "were lost, the limit is 1%" in recording.fault
    assert load_manifest(writer.folder).dropped_messages == {topics.JOINT_STATES: 1499 - 8}


def test_ending_does_not_wait_for_a_stalled_disk(episodes):
    writer = BlockedWriter(episodes.root / "slow", episodes.manifest(), episodes.roomy)
    recording = Recording(writer, queue_limit=8)
    recording.queue.put(joint_message(0))
    assert writer.entered.wait(LIMIT_S)
    assert not recording.end(0.0)
    writer.released.set()
    assert recording.end(LIMIT_S)
