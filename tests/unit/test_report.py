"""The numbers and pictures of a recorded run."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from data_collection import messages, topics
from data_collection.commands import main
from data_collection.errors import EpisodeError
from data_collection.manifest import load_manifest
from data_collection.pictures import write_film_strip, write_video
from data_collection.plots import write_plots
from data_collection.report import count_dropped_frames, spread, timing_summary

ACTION_CHUNK = ("mail_msgs/msg/ActionChunk", topics.ACTION_CHUNK)
ADMISSION = ("mail_msgs/msg/Admission", topics.ADMISSION)
ARM_STATE = ("mail_msgs/msg/ArmState", topics.ARM_STATE)
NOTHING = np.zeros(7)


def write(writer, kind, at_s, **fields):
    """Record a message with the given fields."""
    type_name, topic = kind
    stamp_ns = messages.seconds_to_ns(at_s)
    message = messages.message_type(type_name)(header=messages.header(stamp_ns), **fields)
    writer.write_raw(topic, type_name, messages.encode(message), stamp_ns)


def write_admission(writer, at_s, *, accepted=True, rule="", latency_s=0.08, jump_rad=0.001):
    write(
        writer,
        ADMISSION,
        at_s,
        lease_epoch=1,
        sequence=0,
        accepted=accepted,
        rule=rule,
        detail="",
        observation_age=0.06,
        camera_to_command=latency_s,
        skipped_steps=1,
        disagreement=0.01,
        join_jump=jump_rad,
    )


def write_arm_state(writer, at_s, state, *, cause="", success_rate=1.0):
    point = messages.message_type("geometry_msgs/msg/Point")(x=0.0, y=0.0, z=0.0)
    turn = messages.message_type("geometry_msgs/msg/Quaternion")(x=0.0, y=0.0, z=0.0, w=1.0)
    pose = messages.message_type("geometry_msgs/msg/Pose")(position=point, orientation=turn)
    write(
        writer,
        ARM_STATE,
        at_s,
        state=state,
        cause=cause,
        may_move=state == "policy",
        lease_holder="policy",
        lease_epoch=1,
        task="",
        robot_type="fr3",
        robot_mode="move",
        errors="",
        robot_time=at_s,
        joint_positions=NOTHING,
        joint_velocities=NOTHING,
        set_point=NOTHING,
        external_torques=NOTHING,
        tcp_pose=pose,
        tcp_target=pose,
        control_success_rate=success_rate,
        accepted_chunks=0,
        rejected_chunks=0,
    )


def write_chunk(writer, at_s, inference_s):
    write(
        writer,
        ACTION_CHUNK,
        at_s,
        observed_at=messages.header(0).stamp,
        step_period=0.05,
        schema="ee_delta",
        action_size=7,
        values=np.zeros(14),
        lease_epoch=1,
        sequence=0,
        task="",
        inference_duration=inference_s,
    )


@pytest.fixture
def run(episodes) -> Path:
    """A policy episode: two lost frames, three chunks, a stop and a fault."""
    with episodes.writer(source="policy", id="run") as writer:
        write_arm_state(writer, 0.0, "ready", success_rate=0.0)
        for step in range(20):
            if step not in (7, 8):
                writer.write_step(episodes.observation(step), None)
        for at_s, inference_s in ((0.1, 0.010), (0.2, 0.020), (0.3, 0.090)):
            write_chunk(writer, at_s, inference_s)
            write_admission(writer, at_s, latency_s=0.08 + at_s / 10, jump_rad=at_s / 100)
        write_admission(writer, 0.4, accepted=False, rule="observation_age", latency_s=9.0)
        write_arm_state(writer, 0.1, "policy", success_rate=1.0)
        write_arm_state(writer, 0.5, "policy", success_rate=0.9)
        write_arm_state(writer, 0.6, "stopped", cause="operator", success_rate=0.0)
        write_arm_state(writer, 0.7, "stopped", cause="operator")
        write_arm_state(writer, 0.8, "fault", cause="reflex")
        writer.finish(success=False, failure_reason="reflex")
    return writer.folder


def test_latencies_are_those_of_accepted_chunks(run):
    timing = timing_summary(run)["timing"]
    assert timing["camera_to_command_ms"]["count"] == 3
    assert timing["camera_to_command_ms"]["p50"] == pytest.approx(100.0)
    assert timing["camera_to_command_ms"]["max"] == pytest.approx(110.0)
    assert timing["chunk_join_jump_rad"]["max"] == pytest.approx(0.003)


def test_inference_times_are_those_of_the_chunks(run):
    inference = timing_summary(run)["timing"]["inference_ms"]
    assert inference["p50"] == pytest.approx(20.0)
    assert inference["p99"] == pytest.approx(20.0 + 0.98 * 70.0)


def test_the_success_rate_counts_only_while_the_arm_may_move(run):
    rate = timing_summary(run)["timing"]["control_success_rate"]
    assert (rate["count"], rate["min"], rate["max"]) == (2, 0.9, 1.0)


def test_missing_frames_are_counted_per_camera(run):
    assert timing_summary(run)["dropped_frames"] == {"agentview": 2, "wrist": 2}


def test_rejected_chunks_are_counted_by_rule(run):
    chunks = timing_summary(run)["chunks"]
    assert chunks == {"accepted": 3, "rejected": {"observation_age": 1}}


def test_each_change_into_a_fault_state_is_listed_once(run):
    assert timing_summary(run)["faults"] == [
        {"time_s": 0.6, "state": "stopped", "cause": "operator"},
        {"time_s": 0.8, "state": "fault", "cause": "reflex"},
    ]


def test_an_episode_without_a_policy_has_no_timing(episodes):
    timing = timing_summary(episodes.record(3))["timing"]
    assert timing["inference_ms"] == {
        "count": 0,
        "min": None,
        "p50": None,
        "p99": None,
        "max": None,
    }


def test_a_spread_tells_the_tail_from_the_middle():
    numbers = spread(np.arange(101.0))
    assert (numbers["p50"], numbers["p99"], numbers["max"]) == (50.0, 99.0, 100.0)


@pytest.mark.parametrize(
    ("stamps_s", "lost"),
    [([], 0), ([3.0], 0), ([3.0, 3.05, 3.1], 0), ([3.0, 3.2], 3), ([3.1, 3.0, 3.052], 0)],
)
def test_frames_are_lost_where_the_grid_has_none(stamps_s, lost):
    assert count_dropped_frames(stamps_s, 20.0) == lost


def test_the_film_strip_shows_all_cameras_over_time(run, tmp_path):
    write_film_strip(run, tmp_path / "out" / "strip.png", caption="drawer 12 mm")
    picture = cv2.imread(str(tmp_path / "out" / "strip.png"))
    height, width = picture.shape[:2]
    assert width > 2 * height
    # The green channel tells the step: it must grow from the left to the right cell.
    row = picture[int(0.35 * height), :, 1].astype(int)
    cells = [int(np.median(row[int(width * (k + 0.75) / 8.4)])) for k in range(8)]
    assert cells == sorted(cells)
    assert cells[-1] > cells[0] + 30


def test_the_video_lasts_as_long_as_the_episode(run, tmp_path):
    write_video(run, tmp_path / "video.mp4")
    video = cv2.VideoCapture(str(tmp_path / "video.mp4"))
    try:
        assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(20.0)
        frames = []
        while True:
            is_read, frame = video.read()
            if not is_read:
                break
            frames.append(frame)
    finally:
        video.release()
    # 20 instants, two of which were lost: the picture stays, the time does not.
    assert len(frames) == 20
    assert frames[0].shape == (32, 96, 3)
    greens = [float(frame[:, 20:40, 1].mean()) for frame in frames]
    assert greens[8] == pytest.approx(greens[6], abs=2.0)
    assert greens[19] > greens[0] + 40.0


def test_an_episode_without_pictures_cannot_be_shown(episodes, tmp_path):
    with episodes.writer() as writer:
        write_chunk(writer, 0.0, 0.01)
    with pytest.raises(EpisodeError, match="no pictures of agentview, wrist"):
        write_film_strip(writer.folder, tmp_path / "strip.png")


def test_plots_are_drawn_of_what_there_is(run, episodes, tmp_path):
    with episodes.writer() as writer:
        write_chunk(writer, 0.0, 0.01)
    heights = {}
    for name, folder in (("run", run), ("chunk", writer.folder)):
        write_plots(folder, tmp_path / f"{name}.png")
        heights[name] = cv2.imread(str(tmp_path / f"{name}.png")).shape[0]
    # Joints, gripper and latency below each other, against latency alone.
    assert heights["run"] > 2.5 * heights["chunk"]


def test_the_command_line_lists_shows_and_labels(run, capsys):
    assert main(["list", str(run.parent)]) == 0
    assert "open the top drawer" in capsys.readouterr().out
    assert main(["show", str(run)]) == 0
    assert (run / "film_strip.png").exists()
    assert (run / "plots.png").exists()
    assert main(["label", str(run), "unknown"]) == 0
    assert load_manifest(run).success is None
    assert main(["label", str(run), "success"]) == 0
    assert main(["list", str(run)]) == 0
    assert "success" in capsys.readouterr().out
