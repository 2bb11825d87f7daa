"""What exporters read: steps with actions, pictures one by one, interventions."""

import numpy as np
import pytest
import simplejpeg

from data_collection import topics
from data_collection.demonstration import expressed_in, read_demonstration, thinned
from data_collection.errors import EpisodeError
from data_collection.reader import read_steps
from data_collection.step_index import index_steps, pictures
from data_collection.writer import EpisodeWriter
from mail_policy.core.action_schema import EE_DELTA, EE_RELATIVE, targets_from_rows
from mail_policy.core.kinematics import forward_kinematics
from tests.unit import formats_rig as rig


def test_an_index_decodes_no_picture_and_pictures_come_one_at_a_time(episodes, monkeypatch):
    folder = rig.record(episodes, "a")
    decoded = []
    original = simplejpeg.decode_jpeg
    monkeypatch.setattr(
        simplejpeg, "decode_jpeg", lambda *a, **k: decoded.append(1) or original(*a, **k)
    )
    index = index_steps(folder)
    assert len(index) == 20
    assert not decoded
    stream = pictures(index, "wrist")
    for step in range(3):
        image = next(stream).astype(int)
        assert len(decoded) == step + 1
        assert np.abs(image - rig.picture("wrist", step)).mean() < rig.JPEG_ERROR
    stream.close()


def test_pictures_belong_to_their_steps_also_when_some_are_left_out(episodes):
    index = index_steps(rig.record(episodes, "a")).at(np.array([3, 4, 11]))
    shown = list(pictures(index, "agentview"))
    assert len(shown) == 3
    for step, image in zip((3, 4, 11), shown, strict=True):
        likeness_db = [rig.psnr_db(image, rig.picture("agentview", other)) for other in range(20)]
        assert int(np.argmax(likeness_db)) == step
        assert likeness_db[step] > 35.0


def test_a_slow_camera_shows_one_picture_in_several_steps(episodes):
    writer = EpisodeWriter(episodes.root / "slow", rig.manifest("slow"), episodes.roomy)
    with writer:
        for step in range(8):
            seen = rig.observation(step)
            stamp_ns = round(1e9 * seen.captured_at_s)
            writer.write_messages([writer._joints_of(seen, stamp_ns)])
            for camera, message in zip(rig.CAMERAS, writer._images_of(seen, stamp_ns), strict=True):
                # The second camera is a little late, so two steps may share a picture.
                if camera == "agentview" or step % 2 == 0:
                    writer.write_messages([message])
        writer.finish(success=True)
    index = index_steps(writer.folder, ("wrist", "agentview"), allow_gaps=True)
    assert len(list(pictures(index, "wrist"))) == len(index) == 4


def test_stamps_are_kept_to_the_nanosecond(episodes):
    index = index_steps(rig.record(episodes, "a"))
    expected = [round(1e6 * rig.observation(step).captured_at_s) * 1000 for step in range(20)]
    assert np.abs(index.stamps_ns - expected).max() <= 250  # a float's grain at this time


def test_interventions_are_the_steps_in_which_a_person_held_the_arm(episodes):
    folder = rig.record_driven(episodes, "relieved")
    expected = np.zeros(20, dtype=bool)
    # A picture that is early by its jitter still belongs to who held the arm before.
    stamps_s = np.array([rig.observation(step).captured_at_s for step in range(20)])
    first_s, last_s = (rig.START_S + rig.PERIOD_S * step for step in (8, 13))
    expected[(stamps_s >= first_s) & (stamps_s < last_s)] = True
    steps = read_steps(folder, rig.CAMERAS, 16, 16, require_actions=False)
    np.testing.assert_array_equal(steps.interventions, expected)
    assert 4 <= expected.sum() <= 6


@pytest.mark.parametrize("source", ["teleop", "scripted"])
def test_a_demonstration_has_no_interventions(episodes, source):
    folder = rig.record_driven(episodes, "driven", source=source)
    assert not index_steps(folder).interventions.any()


def test_a_picture_that_is_no_jpeg_is_named(episodes):
    folder = rig.record(episodes, "bad", broken_picture=4)
    stream = pictures(index_steps(folder), "wrist")
    for _ in range(4):
        next(stream)
    with pytest.raises(EpisodeError, match="a picture of wrist is no JPEG"):
        next(stream)


def test_an_episode_without_actions_teaches_its_set_points(episodes):
    read = read_demonstration(rig.record_driven(episodes, "driven"))
    assert read.schema.name == "joint_position"
    expected = [rig.set_point(time_s + rig.PERIOD_S) for time_s in read.index.times_s]
    np.testing.assert_allclose(read.actions[:, :7], expected, atol=1e-6)


def test_set_points_as_steps_lead_from_one_commanded_pose_to_the_next(episodes):
    read = read_demonstration(rig.record_driven(episodes, "driven"))
    steps = expressed_in(read, EE_DELTA)
    for step in (0, 7, 18):
        time_s = float(read.index.times_s[step])
        now = forward_kinematics(rig.set_point(time_s))
        reached = targets_from_rows(EE_DELTA, now, steps.actions[step : step + 1])[0]
        wanted = forward_kinematics(rig.set_point(time_s + rig.PERIOD_S))
        np.testing.assert_allclose(reached, wanted, atol=1e-6)


def test_fewer_steps_say_what_several_did_together(episodes):
    read = read_demonstration(rig.record(episodes, "a", steps=21))
    half = thinned(read, 10.0)
    assert len(half) == 10
    np.testing.assert_array_equal(half.index.stamps_ns, read.index.stamps_ns[::2])
    anchor = forward_kinematics(read.index.joint_positions[0])
    fine = targets_from_rows(EE_DELTA, anchor, read.actions)[1::2]
    coarse = targets_from_rows(EE_DELTA, anchor, half.actions)
    np.testing.assert_allclose(coarse, fine, atol=1e-9)
    np.testing.assert_array_equal(half.actions[:, 6], read.actions[1::2, 6])


def test_fewer_steps_of_set_points_are_later_set_points(episodes):
    read = read_demonstration(rig.record_driven(episodes, "driven"))
    half = thinned(read, 10.0)
    np.testing.assert_array_equal(half.actions, read.actions[1::2])


def test_a_rate_that_does_not_divide_is_refused(episodes):
    read = read_demonstration(rig.record(episodes, "a"))
    with pytest.raises(EpisodeError, match="20 steps per second, which is no multiple of 15"):
        thinned(read, 15.0)


def test_a_missing_instant_or_action_is_a_verdict(episodes):
    with pytest.raises(EpisodeError, match="1 of 20 instants are missing"):
        read_demonstration(rig.record(episodes, "gap", without=(6,)))
    writer = EpisodeWriter(episodes.root / "lazy", rig.manifest("lazy"), episodes.roomy)
    with writer:
        for step in range(6):
            writer.write_step(rig.observation(step), None if step == 3 else rig.delta(step))
        writer.finish(success=True)
    with pytest.raises(EpisodeError, match="1 steps between others have no action"):
        read_demonstration(writer.folder)


def test_an_episode_that_commands_nothing_is_refused(episodes):
    writer = EpisodeWriter(episodes.root / "mute", rig.manifest("mute"), episodes.roomy)
    with writer:
        writer.write_step(rig.observation(0), None)
        writer.finish(success=True)
    with pytest.raises(EpisodeError, match=f"neither actions on {topics.DEMONSTRATION_ACTION}"):
        read_demonstration(writer.folder)


def test_relative_poses_are_thinned_to_the_last_of_each(episodes):
    read = expressed_in(read_demonstration(rig.record_driven(episodes, "driven")), EE_RELATIVE)
    half = thinned(read, 10.0)
    for step in range(len(half)):
        now = forward_kinematics(rig.set_point(float(half.index.times_s[step])))
        reached = targets_from_rows(EE_RELATIVE, now, half.actions[step : step + 1])[0]
        later_s = float(read.index.times_s[2 * step + 1]) + rig.PERIOD_S
        np.testing.assert_allclose(reached, forward_kinematics(rig.set_point(later_s)), atol=1e-5)
