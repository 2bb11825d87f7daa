"""Bags: other readers of ROS bags find in them what an episode holds."""

import shutil

import numpy as np
import pytest
import simplejpeg
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Reader

from data_collection import topics
from data_collection.errors import EpisodeError
from data_collection.messages import stamp_to_ns
from data_collection.rosbag2_export import export_rosbag2
from data_collection.step_index import index_steps, pictures
from tests.unit import formats_rig as rig


@pytest.fixture
def bag(episodes):
    export_rosbag2([rig.record_driven(episodes, "driven")], episodes.root / "bags")
    return episodes.root / "bags" / "driven"


def test_rosbags_reads_stamps_and_pictures_of_a_bag(bag, episodes):
    index = index_steps(episodes.root / "driven")
    topic = topics.image_topic("wrist")
    with AnyReader([bag]) as reader:
        assert reader.message_count == sum(c.msgcount for c in reader.connections)
        connections = [c for c in reader.connections if c.topic == topic]
        seen = [reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages(connections)]
    np.testing.assert_array_equal([stamp_to_ns(m.header.stamp) for m in seen], index.stamps_ns)
    for message, image in zip(seen, pictures(index, "wrist"), strict=True):
        np.testing.assert_array_equal(simplejpeg.decode_jpeg(message.data), image)


def test_the_description_agrees_with_the_messages(bag):
    with Reader(bag) as reader:
        counts = {c.topic: c.msgcount for c in reader.connections}
        times_ns = [time_ns for _, time_ns, _ in reader.messages()]
        assert (reader.start_time, reader.message_count) == (min(times_ns), len(times_ns))
        assert reader.end_time == max(times_ns) + 1
        assert all(c.digest.startswith("RIHS01_") for c in reader.connections)
    assert counts[topics.JOINT_STATES] == 20
    assert counts[topics.ARM_STATE] == 110
    assert sum(counts.values()) == len(times_ns)


def test_our_messages_are_decoded_by_the_definitions_in_the_bag(bag):
    with AnyReader([bag]) as reader:
        connections = [c for c in reader.connections if c.topic == topics.ARM_STATE]
        _, _, raw = next(iter(reader.messages(connections)))
        state = reader.deserialize(raw, connections[0].msgtype)
    assert state.lease_holder == "policy"
    np.testing.assert_allclose(state.set_point, rig.set_point(rig.START_S), atol=1e-9)


def test_the_mcap_package_verifies_every_checksum(bag):
    with (bag / "episode.mcap").open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        counted = sum(1 for _ in reader.iter_messages())
        assert counted == reader.get_summary().statistics.message_count > 200


def test_a_damaged_episode_becomes_no_bag(episodes):
    good, bad = rig.record(episodes, "good"), rig.record(episodes, "bad")
    log = bad / "episode.mcap"
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    report = export_rosbag2([good, bad], episodes.root / "bags")
    assert report.done == ["good"]
    assert "episodes repair" in report.skipped[str(bad)]
    assert [path.name for path in (episodes.root / "bags").iterdir()] == ["good"]


def test_two_episodes_of_one_name_do_not_meet(episodes):
    first = rig.record(episodes, "a")
    shutil.copytree(first, episodes.root / "copy")
    report = export_rosbag2([first, episodes.root / "copy"], episodes.root / "bags")
    assert "another episode is called a, too" in report.skipped[str(episodes.root / "copy")]


def test_nothing_to_export_leaves_nothing(episodes):
    folder = rig.record(episodes, "a")
    (folder / "episode.mcap").write_bytes(b"")
    with pytest.raises(EpisodeError, match="no episode could be exported"):
        export_rosbag2([folder], episodes.root / "bags")
    assert not (episodes.root / "bags").exists()
