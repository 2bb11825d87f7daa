"""The recorder behind its node: queues, pictures, starting and ending episodes."""

import dataclasses
import errno
import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import cv2
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
from mail_recorder.config import RecorderConfig
from mail_recorder.episode_recorder import EpisodeRecorder
from mail_recorder.message_queue import MOST_AT_ONCE, MessageQueue
from mail_recorder.recorder_desk import RecorderDesk
from mail_recorder.recorder_view import ClockWatch, FreeTime
from mail_recorder.recording import Recording
from mail_recorder.stored import as_stored
from tests.unit.killed_writer import digest

AT = datetime(2026, 7, 5, 14, 22, 33, tzinfo=UTC)
IMAGE_TOPIC = "/camera/agentview/color/image_raw"
LIMIT_S = 10.0


def joint_message(step: int, topic: str = topics.JOINT_STATES) -> Recorded:
    message = messages.joint_state(step * 10**7, ["j"] * 9, np.full(9, float(step)))
    return Recorded(topic, topics.JOINT_STATE_TYPE, messages.encode(message), step * 10**7)


def image_message(step: int, encoding: str = "rgb8", shown_bytes: int = 24 * 36) -> Recorded:
    image = messages.message_type(topics.IMAGE_TYPE)(
        header=messages.header(step * 50_000_000 + 7, "agentview_color_optical_frame"),
        height=24,
        width=12,
        encoding=encoding,
        is_bigendian=0,
        step=36,
        data=np.full(shown_bytes, step, np.uint8),
    )
    return Recorded(IMAGE_TOPIC, topics.IMAGE_TYPE, messages.encode(image), step * 50_000_000 + 9)


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
        Recorded(IMAGE_TOPIC, topics.IMAGE_TYPE, b"\x00\x01\x00\x00nonsense", 1),
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


def depth_message(encoding: str = "16UC1", bigendian: bool = False) -> Recorded:
    values = np.arange(24 * 12).astype(">u2" if bigendian else "<u2")
    image = messages.message_type(topics.IMAGE_TYPE)(
        header=messages.header(7, "wrist_color_optical_frame"),
        height=24,
        width=12,
        encoding=encoding,
        is_bigendian=int(bigendian),
        step=24,
        data=values.view(np.uint8),
    )
    return Recorded(topics.depth_topic("wrist"), topics.IMAGE_TYPE, messages.encode(image), 9)


@pytest.mark.parametrize("bigendian", [False, True])
def test_depth_is_stored_exactly(bigendian):
    stored = as_stored(depth_message(bigendian=bigendian))
    assert stored.topic == "/camera/wrist/aligned_depth_to_color/image_raw/compressed"
    message = messages.decode(messages.schema_of(stored.type_name), stored.cdr)
    assert message.format == "16UC1; png compressed"
    assert messages.stamp_to_ns(message.header.stamp) == 7
    depth = cv2.imdecode(message.data, cv2.IMREAD_UNCHANGED)
    assert depth.dtype == np.uint16
    np.testing.assert_array_equal(depth.ravel(), np.arange(24 * 12))


def test_depth_of_another_kind_is_refused():
    with pytest.raises(EpisodeError, match="must be 16UC1 with a step of 2 x width, got '32FC1'"):
        as_stored(depth_message(encoding="32FC1"))


def test_optics_are_stored_when_they_change_only(recorder):
    folder = recorder.start("look", AT)
    kind = messages.message_type(topics.CAMERA_INFO_TYPE)
    roi = messages.message_type("sensor_msgs/msg/RegionOfInterest")(
        x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
    )
    for step, focal_px in enumerate([600.0, 600.0, 600.0, 601.0, 601.0, 600.0]):
        info = kind(
            header=messages.header(step * 50_000_000),
            height=24,
            width=12,
            distortion_model="plumb_bob",
            d=np.zeros(5),
            k=np.full(9, focal_px),
            r=np.zeros(9),
            p=np.zeros(12),
            binning_x=0,
            binning_y=0,
            roi=roi,
        )
        cdr = messages.encode(info)
        topic = topics.info_topic("agentview")
        recorder.put(Recorded(topic, topics.CAMERA_INFO_TYPE, cdr, step * 50_000_000))
        recorder.put(image_message(step))
        recorder.put(joint_message(5 * step))
    assert "good" in recorder.save()
    optics = [
        item.message.k[0] for item in iterate_messages(folder, (topics.info_topic("agentview"),))
    ]
    assert optics == [600.0, 601.0, 600.0]


def test_an_episode_ends_with_its_outcome(recorder):
    folder = recorder.start("open the top drawer", AT)
    recorder.put(image_message(1))
    assert "saved" in recorder.end(success=False, failure_reason="the grasp slipped")
    manifest = load_manifest(folder)
    assert (manifest.success, manifest.failure_reason) == (False, "the grasp slipped")


def test_the_last_episode_is_labelled_when_none_is_running(recorder):
    with pytest.raises(EpisodeError, match="nothing is being recorded, and nothing was saved"):
        recorder.end(success=True)
    first = recorder.start("open the top drawer", AT)
    recorder.end(success=None)
    recorder.start("close the top drawer", AT)
    recorder.discard()
    assert recorder.end(success=True) == f"labelled {first}: success"
    assert load_manifest(first).success is True
    recorder.end(success=None)
    assert load_manifest(first).success is None


def test_a_success_has_no_reason_to_fail(recorder):
    folder = recorder.start("open the top drawer", AT)
    recorder.end(success=True, failure_reason="none")
    assert load_manifest(folder).failure_reason == ""


def test_recording_again_deletes_and_begins_the_same_task(recorder):
    with pytest.raises(EpisodeError, match="nothing is being recorded"):
        recorder.rerecord(AT)
    first = recorder.start("open the top drawer", AT)
    recorder.put(image_message(1))
    second = recorder.rerecord(AT.replace(second=40))
    assert not first.exists()
    recorder.put(image_message(2))
    recorder.save()
    manifest = load_manifest(second)
    assert (manifest.task, manifest.steps) == ("open the top drawer", 1)
    view = recorder.view(0)
    assert (view.saved, view.discarded) == (1, 1)


def test_two_recorders_may_share_a_folder(config, episodes, recorder):
    other = EpisodeRecorder(config, episodes.roomy)
    folders = [one.start("open the top drawer", AT) for one in (recorder, other)]
    assert [folder.name for folder in folders] == [
        "20260705-142233-000-open-the-top-drawer",
        "20260705-142233-000-open-the-top-drawer_2",
    ]
    for step, one in enumerate((recorder, other, recorder)):
        one.put(image_message(step))
    assert "1 steps" in other.save()
    third = other.start("open the top drawer", AT)
    assert third.name.endswith("_3")
    assert "2 steps" in recorder.save()
    other.discard()
    assert [load_manifest(folder).id for folder in folders] == [folder.name for folder in folders]
    assert all(check_episode(folder).problem == "" for folder in folders)


def test_an_operator_may_have_a_pre_roll_too(config, episodes):
    config = dataclasses.replace(config, operator_pre_roll_s=0.98)
    recorder = EpisodeRecorder(config, episodes.roomy)
    for step in range(60):
        recorder.put(image_message(step))
        recorder.put(joint_message(5 * step))
    folder = recorder.start("look", AT)
    recorder.put(image_message(60))
    recorder.save()
    manifest = load_manifest(folder)
    assert manifest.steps == 21
    assert manifest.pre_roll_s == pytest.approx(0.95, abs=0.01)


def test_a_pre_roll_is_not_limited_by_the_queue(config, episodes):
    config = dataclasses.replace(config, operator_pre_roll_s=60.0, queue_limit=1)
    recorder = EpisodeRecorder(config, episodes.roomy)
    for step in range(600):
        recorder.put(joint_message(step))
    folder = recorder.start("look", AT)
    recorder.save()
    assert len(list(iterate_messages(folder))) == 600
    assert load_manifest(folder).dropped_messages == {}


def test_a_stream_that_is_missing_is_told_at_the_start(config, episodes):
    desk = RecorderDesk(config, lambda: AT)
    desk.recorder._disk_guard = episodes.roomy
    desk.put(joint_message(1))
    _, sentence = desk.start("look", joint_message(1).log_time_ns + 5)
    # The node shows the state at once.
    assert desk.recorder.view(joint_message(1).log_time_ns + 5).progress.remarks == ()
    assert sentence.endswith("; nothing comes from camera agentview")
    desk.put(joint_message(2))
    remarks = desk.recorder.view(joint_message(301).log_time_ns).progress.remarks
    assert "nothing from camera agentview; re-record" in remarks
    desk.recorder.discard()
    desk.put(image_message(1))
    assert "nothing comes" not in desk.start("look", image_message(1).log_time_ns)[1]
    desk.close()


def test_the_view_tells_what_the_operator_needs(recorder, config):
    view = recorder.view(0)
    assert (view.is_recording, view.task, view.folder, view.progress.steps) == (False, "", None, 0)
    folder = recorder.start("open the top drawer", AT)
    for step in range(5):
        recorder.put(image_message(step))
        recorder.put(joint_message(5 * step))
    recorder.put(image_message(5, encoding="bgr8"))
    tally = recorder._recording.writer.tally
    wait_until(lambda: recorder.view(250_000_000).progress.remarks and tally.messages == 10)
    view = recorder.view(250_000_000)
    assert (view.is_recording, view.task, view.folder) == (True, "open the top drawer", folder)
    assert view.progress.steps == 5
    assert view.progress.remarks == (f"1 lost on {IMAGE_TOPIC}",)
    assert view.free_s > 600.0
    recorder.save()
    view = recorder.view(0)
    assert (view.is_recording, view.saved, view.progress.steps) == (False, 1, 5)
    assert view.progress.remarks == (f"1 lost on {IMAGE_TOPIC}",)


def wait_until(condition) -> None:
    ends_at = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.002)


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
    view = recorder.view(10**18)
    assert not view.is_recording
    assert "GiB are free" in view.progress.remarks[0]
    assert not any("lost for the last" in remark for remark in view.progress.remarks)
    assert "GiB are free" in recorder.end(success=True)
    assert load_manifest(folder).success is True
    assert check_episode(folder).problem == ""


class FullDisk:
    """Lets so many bytes be written, then the disk is full: the last write is a part only."""

    def __init__(self, room_bytes: int) -> None:
        self.room_bytes = room_bytes
        self._write = os.write

    def write(self, descriptor: int, data: memoryview) -> int:
        if not self.room_bytes:
            raise OSError(errno.ENOSPC, "No space left on device")
        part = data[: self.room_bytes]
        self.room_bytes -= len(part)
        return self._write(descriptor, part)


@pytest.mark.fault("F55", bound="the episode is whole up to there, earlier ones are untouched")
@pytest.mark.parametrize("room_bytes", [60_000, 60_001, 99_999, 133_333])
def test_a_write_that_fails_costs_no_message_before_it(recorder, monkeypatch, room_bytes):
    earlier = recorder.start("look", AT)
    recorder.put(joint_message(1))
    recorder.save()
    before = digest(earlier)
    folder = recorder.start("open the top drawer", AT.replace(second=50))
    disk = FullDisk(room_bytes)
    monkeypatch.setattr("data_collection.mcap_log.os.write", disk.write)
    step = 0
    while recorder.is_recording:
        step += 1
        recorder.put(joint_message(step))
        time.sleep(0.0005)
    assert "no space left" in recorder.fault
    monkeypatch.undo()
    said = recorder.end(success=False, failure_reason="full")
    assert "no space left" in said
    manifest = load_manifest(folder)
    assert manifest.quality is EpisodeQuality.REPAIRED
    assert (manifest.success, manifest.failure_reason) == (False, "full")
    assert "no space left" in manifest.quality_notes[0]
    assert check_episode(folder).problem == ""
    joints = [item.message.position[0] for item in iterate_messages(folder)]
    assert joints == [float(number) for number in range(1, len(joints) + 1)]
    assert len(joints) > 10
    assert digest(earlier) == before
    # The next recording is not kept from starting by the one that failed.
    recorder.start("look again", AT.replace(second=55))
    recorder.discard()


@pytest.mark.fault("F55", bound="refused, nothing is left behind")
@pytest.mark.parametrize("room_bytes", [0, 5, 300, 800])
def test_an_episode_that_cannot_even_begin_leaves_nothing(
    recorder, config, monkeypatch, room_bytes
):
    monkeypatch.setattr("data_collection.mcap_log.os.write", FullDisk(room_bytes).write)
    with pytest.raises(DiskFullError, match="no space left"):
        recorder.start("open the top drawer", AT)
    assert list(config.episodes_dir.iterdir()) == []
    monkeypatch.undo()
    assert recorder.start("open the top drawer", AT).name.endswith("open-the-top-drawer")
    recorder.discard()


def test_an_episode_whose_end_does_not_fit_is_mended(recorder, monkeypatch):
    folder = recorder.start("open the top drawer", AT)
    recorder.put(joint_message(1))
    wait_until(lambda: recorder._recording.writer.tally.messages == 1)
    monkeypatch.setattr("data_collection.mcap_log.os.write", FullDisk(100).write)
    said = recorder.save()
    assert "no space left" in said
    assert load_manifest(folder).quality is EpisodeQuality.REPAIRED
    assert check_episode(folder).problem == ""
    assert len(list(iterate_messages(folder))) == 1


def test_a_recording_that_has_ended_by_itself_does_not_keep_the_next_one(config):
    free = [100 << 30]
    recorder = EpisodeRecorder(config, DiskGuard(free_bytes=lambda folder: free[0]))
    first = recorder.start("open the top drawer", AT)
    free[0] = 0
    recorder.put(joint_message(1))
    wait_until(lambda: not recorder.is_recording)
    free[0] = 100 << 30
    second = recorder.start("open the top drawer", AT)
    assert "GiB are free" in str(load_manifest(first).quality_notes)
    recorder.put(joint_message(2))
    assert "saved" in recorder.save()
    assert check_episode(second).problem == ""


@pytest.mark.fault("F55", bound="10 minutes at the rate of the last recording")
def test_free_space_is_counted_in_minutes_of_what_was_recorded(tmp_path, episodes):
    guard = DiskGuard(reserve_bytes=100, start_margin_bytes=600, free_bytes=lambda folder: 700)
    free_time = FreeTime(guard, tmp_path / "not" / "yet")
    assert free_time.left_s() == pytest.approx(600.0)
    writer = episodes.writer()
    for step in range(80):
        writer.write_step(episodes.observation(step), None)
    writer.finish(success=None)
    free_time.learn(writer)
    per_s = writer.size_bytes / (79 * 0.05)
    assert free_time.left_s() == pytest.approx(600.0 / per_s)
    assert free_time.guard_for_ten_minutes().start_margin_bytes == round(600.0 * per_s)


def test_a_clock_that_is_set_is_noticed(recorder):
    watch = ClockWatch()
    looks = [(100.0, 5.0), (100.5, 5.5), (100.95, 6.0), (4000.0, 6.5), (4000.5, 7.0), (99.0, 7.5)]
    jumps_s = [watch.jump_s(*look) for look in looks]
    assert jumps_s == pytest.approx([0.0, 0.0, 0.0, 3898.55, 0.0, -3902.0])


def test_a_clock_that_is_set_flags_the_episode(config, episodes):
    desk = RecorderDesk(config, lambda: AT)
    desk.recorder._disk_guard = episodes.roomy
    folder = Path(desk.start("look", 0)[0])
    for step in range(1, 6):
        desk.put(joint_message(5 * step))
        desk.put(image_message(step))
        desk.look(step * 50_000_000, 10.0 + 0.05 * step)
    desk.look(6 * 50_000_000, None)
    desk.look(3_600_000_000_000, 10.3)
    desk.close()
    notes = load_manifest(folder).quality_notes
    assert any(note.startswith("the clock of this computer was set by +3599.7") for note in notes)


def test_a_bad_configuration_is_refused_before_the_first_recording(tmp_path):
    with pytest.raises(ValueError, match="robot_type must be one of fer, fr3"):
        RecorderConfig(episodes_dir=tmp_path, cameras=("wrist",), robot_type="ur5")
    with pytest.raises(ValueError, match="cameras must be"):
        RecorderConfig(episodes_dir=tmp_path, cameras=("../wrist",), robot_type="fr3")
    with pytest.raises(ValueError, match="depth_cameras must be among cameras, got overhead"):
        RecorderConfig(
            episodes_dir=tmp_path,
            cameras=("wrist",),
            depth_cameras=("overhead",),
            robot_type="fr3",
        )
    with pytest.raises(ValueError, match="pre_roll_s must be 0 to 60, got -1"):
        RecorderConfig(episodes_dir=tmp_path, cameras=("wrist",), robot_type="fr3", pre_roll_s=-1.0)
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
    assert all(not count for count in queue._waiting.values())
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


def test_what_comes_ahead_is_taken_first_and_in_portions():
    ahead = [joint_message(step) for step in range(MOST_AT_ONCE + 5)]
    queue = MessageQueue(5, ahead=ahead)
    queue.put(joint_message(999))
    queue.close()
    assert queue.take(0.0) == ahead[:MOST_AT_ONCE]
    assert queue.take(0.0) == ahead[MOST_AT_ONCE:]
    assert not queue.is_drained
    assert queue.take(0.0) == [joint_message(999)]
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


@pytest.mark.fault("F59", bound="bounded queues, drops counted by topic, > 1 % ends it")
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
