"""A person takes over from the policy: counted, recorded with what came before."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from data_collection import messages, topics
from data_collection.disk import DiskGuard
from data_collection.interventions import PersonCount, TakeoverWatch, Turn
from data_collection.manifest import EpisodeSource, load_manifest
from data_collection.reader import iterate_messages, list_episodes
from data_collection.writer import Recorded
from mail_recorder.config import RecorderConfig, StartOn
from mail_recorder.episode_recorder import EpisodeRecorder
from mail_recorder.intervention_starter import InterventionStarter
from mail_recorder.pre_roll import PreRoll

AT = datetime(2026, 7, 5, 14, 22, 33, tzinfo=UTC)
SECOND_NS = 1_000_000_000
TASK = "open the top drawer"


def arm_message(holder: str, at_s: float, state: str = "policy", task: str = "") -> Recorded:
    stamp_ns = round(at_s * SECOND_NS)
    kind = messages.message_type("mail_msgs/msg/ArmState")
    zero, pose_type = np.zeros(7), messages.message_type("geometry_msgs/msg/Pose")
    point = messages.message_type("geometry_msgs/msg/Point")(x=0.0, y=0.0, z=0.0)
    turn = messages.message_type("geometry_msgs/msg/Quaternion")(x=0.0, y=0.0, z=0.0, w=1.0)
    pose = pose_type(position=point, orientation=turn)
    message = kind(
        header=messages.header(stamp_ns),
        state=state,
        cause="",
        may_move=True,
        lease_holder=holder,
        lease_epoch=1,
        task=task,
        robot_type="fr3",
        robot_mode="",
        errors="",
        robot_time=at_s,
        joint_positions=zero,
        joint_velocities=zero,
        set_point=zero,
        external_torques=zero,
        tcp_pose=pose,
        tcp_target=pose,
        control_success_rate=1.0,
        accepted_chunks=0,
        rejected_chunks=0,
    )
    return Recorded(topics.ARM_STATE, topics.ARM_STATE_TYPE, messages.encode(message), stamp_ns)


def test_takeovers_and_the_time_of_a_person_are_counted():
    count = PersonCount()
    holders = ["policy"] * 10 + ["teleop"] * 5 + ["policy"] * 10 + ["teleop"] * 20 + [""] * 5
    for tick, holder in enumerate(holders):
        count.add(holder, tick * SECOND_NS // 10)
    assert count.takeovers == 2
    assert count.person_s == pytest.approx(2.5)


def test_a_demonstration_is_no_takeover():
    count = PersonCount()
    for tick, holder in enumerate(["", "teleop", "teleop", "", "teleop", "policy"]):
        count.add(holder, tick * SECOND_NS // 10)
    assert count.takeovers == 0
    assert count.person_s == pytest.approx(0.3)


def test_a_silent_arm_does_not_count_as_a_person():
    count = PersonCount()
    count.add("teleop", 0)
    count.add("teleop", 3600 * SECOND_NS)
    assert count.person_s == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("after", "ends"),
    [
        (("policy", "hold"), True),
        (("", "ready"), False),
        (("teleop", "teleop"), False),
        (("", "fault"), True),
        (("", "estop"), True),
        (("", "stopped"), True),
        (("homing", "homing"), True),
    ],
)
def test_an_intervention_ends_when_the_policy_has_the_arm_or_cannot_get_it(after, ends):
    watch = TakeoverWatch()
    assert watch.update("policy", "policy", TASK, 0) is Turn.NOTHING
    assert watch.update("teleop", "teleop", "", 1) is Turn.TAKEN_OVER
    assert watch.update("teleop", "teleop", "", 2) is Turn.NOTHING
    assert watch.update(*after, "", 3) is (Turn.HANDED_BACK if ends else Turn.NOTHING)
    assert watch.task == TASK


def test_letting_go_and_pressing_again_is_one_intervention():
    watch = TakeoverWatch()
    turns = [
        watch.update(holder, "hold", "", tick)
        for tick, holder in enumerate(["policy", "teleop", "", "teleop", "", "policy"])
    ]
    assert [turn for turn in turns if turn is not Turn.NOTHING] == [
        Turn.TAKEN_OVER,
        Turn.HANDED_BACK,
    ]


def test_an_arm_that_is_forgotten_or_gone_ends_the_intervention():
    watch = TakeoverWatch(pause_limit_s=30.0)
    watch.update("policy", "policy", TASK, 0)
    watch.update("teleop", "teleop", "", 1)
    assert watch.update("", "ready", "", 29 * SECOND_NS) is Turn.NOTHING
    assert watch.update("", "ready", "", 31 * SECOND_NS) is Turn.HANDED_BACK
    watch.update("policy", "policy", TASK, 40 * SECOND_NS)
    watch.update("teleop", "teleop", "", 41 * SECOND_NS)
    assert watch.end_if_silent(42 * SECOND_NS) is Turn.NOTHING
    assert watch.end_if_silent(44 * SECOND_NS) is Turn.HANDED_BACK
    assert watch.end_if_silent(45 * SECOND_NS) is Turn.NOTHING


def tiny(tick: int, size: int = 0) -> Recorded:
    return Recorded("/x", "y", bytes(size), tick * SECOND_NS // 10)


def test_the_pre_roll_is_bounded_in_time_and_bytes():
    ring = PreRoll(1.0, 1000)
    for tick in range(100):
        ring.add(tiny(tick, 10))
    assert [m.log_time_ns * 10 // SECOND_NS for m in ring.newest(1.0)] == list(range(90, 100))
    assert len(ring.newest(0.25)) == 3
    for tick in range(100, 105):
        ring.add(tiny(tick, 300))
    assert [m.log_time_ns * 10 // SECOND_NS for m in ring.newest(1.0)] == [102, 103, 104]
    ring.add(tiny(105, 2000))
    assert ring.newest(1.0) == []


def test_no_pre_roll_costs_nothing_and_a_clock_that_is_set_back_empties_it():
    none, ring = PreRoll(0.0, 1000), PreRoll(1.0, 1000)
    for pre_roll in (none, ring):
        for tick in (5, 6, 7, 2):
            pre_roll.add(tiny(tick))
    assert none.newest(1.0) == []
    assert [m.log_time_ns * 10 // SECOND_NS for m in ring.newest(1.0)] == [2]


class Session:
    """A recorder that starts by itself, and the messages of an arm at 100 Hz."""

    def __init__(self, root: Path, guard: DiskGuard, **changes: object) -> None:
        self.config = RecorderConfig(
            episodes_dir=root,
            cameras=("wrist",),
            robot_type="fr3",
            start_on=StartOn.TAKEOVER,
            **changes,
        )
        self.recorder = EpisodeRecorder(self.config, guard)
        self.starter = InterventionStarter(self.recorder, lambda: AT)
        self.at_s = 100.0

    def run(self, holder: str, seconds: float, state: str = "hold", task: str = "") -> None:
        for _ in range(round(100 * seconds)):
            message = arm_message(holder, self.at_s, state, task)
            self.recorder.put(message)
            self.starter.see(message)
            self.at_s += 0.01


def test_a_takeover_is_recorded_with_what_the_policy_did_before(episodes):
    session = Session(episodes.root, episodes.roomy, pre_roll_s=0.5)
    session.run("policy", 2.0, task=TASK)
    assert not session.recorder.is_recording
    session.run("teleop", 1.0)
    assert session.recorder.is_recording
    session.run("policy", 1.0, task=TASK)
    assert not session.recorder.is_recording
    (folder,) = list_episodes(episodes.root)
    manifest = load_manifest(folder)
    assert (manifest.task, manifest.source) == (TASK, EpisodeSource.INTERVENTION)
    assert manifest.interventions == 1
    assert manifest.person_s == pytest.approx(1.0, abs=0.02)
    assert manifest.pre_roll_s == pytest.approx(0.5, abs=0.02)
    holders = [item.message.lease_holder for item in iterate_messages(folder)]
    # Every sample says who had the arm; the one that gave it back is the last one.
    assert holders == ["policy"] * 49 + ["teleop"] * 100 + ["policy"]


def test_every_takeover_is_an_episode_of_its_own(episodes):
    session = Session(episodes.root, episodes.roomy, pre_roll_s=0.5)
    for _ in range(3):
        session.run("policy", 0.6, task=TASK)
        session.run("teleop", 0.2)
    session.run("", 0.1, state="fault")
    manifests = [load_manifest(folder) for folder in list_episodes(episodes.root)]
    assert [manifest.interventions for manifest in manifests] == [1, 1, 1]
    assert len({manifest.id for manifest in manifests}) == 3


def test_an_episode_of_the_operator_goes_on_through_a_takeover(episodes):
    session = Session(episodes.root, episodes.roomy)
    folder = session.recorder.start(TASK, AT)
    session.run("policy", 0.3, task=TASK)
    session.run("teleop", 0.2)
    session.run("policy", 0.3, task=TASK)
    assert session.recorder.folder == folder
    session.recorder.save()
    manifest = load_manifest(folder)
    assert (manifest.source, manifest.interventions) == (EpisodeSource.POLICY, 1)


def test_an_intervention_that_the_operator_ended_is_not_ended_again(episodes):
    session = Session(episodes.root, episodes.roomy)
    session.run("policy", 0.3, task=TASK)
    session.run("teleop", 0.2)
    session.recorder.end(success=True)
    folder = session.recorder.start("another task", AT)
    session.run("policy", 0.3, task=TASK)
    assert session.recorder.folder == folder
    session.recorder.save()


def test_an_intervention_that_cannot_be_recorded_is_complained_about(episodes):
    free = [0]
    session = Session(episodes.root, DiskGuard(free_bytes=lambda folder: free[0]))
    session.run("policy", 0.3, task=TASK)
    session.run("teleop", 0.2)
    (remark,) = session.recorder.view(0).progress.remarks
    assert "the intervention is not recorded" in remark
    assert "GiB are free" in remark
    free[0] = 1 << 40
    session.recorder.start(TASK, AT)
    assert "the intervention" not in str(session.recorder.view(0).progress.remarks)
    session.recorder.discard()


def test_nonsense_of_an_arm_starts_nothing(episodes):
    session = Session(episodes.root, episodes.roomy)
    session.starter.see(Recorded(topics.ARM_STATE, topics.ARM_STATE_TYPE, b"\0\1\0\0junk", 5))
    assert not session.recorder.is_recording
