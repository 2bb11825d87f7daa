"""Calibration beside a stack: what it commands, what it remembers, and when it stops."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest
from franky_sim.mujoco_simulator import MujocoSimulator

from calibration.board import BoardConfig, BoardDetector
from calibration.latency_motions import Chirp
from calibration.view_quality import board_blur, view_problem
from calibration.views import ViewFolder, ViewSession
from mail_bringup import stack
from mail_bringup.arguments import resolve
from mail_bringup.calibration_collect import Collector
from mail_bringup.calibration_drive import ArmDrive, CalibrationStopError
from mail_bringup.calibration_motion import (
    ROW_PERIOD_S,
    TASK,
    ChirpWay,
    ChunkWriter,
    StraightWay,
)
from mail_bringup.calibration_records import Album, Picture, Track
from mail_bringup.stack_arguments import STACKS
from mail_cameras.config import CamerasConfig
from mail_policy.core.action_schema import GRIPPER_CLOSE_BELOW_M, GRIPPER_OPEN_ABOVE_M
from mail_policy.core.config import load_config
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS as HOME
from mail_policy.core.motion.admission import LeaseView, judge
from mail_policy.core.motion.config import AdmissionConfig
from mail_sim.twin import TwinConfig
from mail_sim.world.board_place import BoardPlace
from mail_sim.world.calibration_scene import set_up_board
from mail_sim.world.scene import PREFIX, furnish

EPOCH = 7
GOAL = HOME + np.array([0.3, 0.1, 0.0, 0.0, 0.0, -0.2, 0.5])


# Ways and chunks.


def test_a_straight_way_is_smooth_and_keeps_its_speed():
    way = StraightWay(HOME, GOAL, 0.4)
    times_s = np.arange(-0.5, way.duration_s + 0.5, 0.001)
    speeds = np.gradient(way.at(times_s), times_s, axis=0)
    assert way.at(times_s)[[0, -1]] == pytest.approx(np.array([HOME, GOAL]))
    assert np.abs(speeds).max() == pytest.approx(0.4, rel=0.01)
    assert np.abs(np.diff(speeds, axis=0)).max() < 0.002


def test_a_chirp_moves_one_joint_and_ends_where_it_began():
    way = ChirpWay(HOME, 2, Chirp(amplitude=0.04))
    moved = way.at(np.arange(0.0, way.duration_s, 0.01)) - HOME
    assert np.abs(moved).max(axis=0) == pytest.approx([0, 0, 0.04, 0, 0, 0, 0], abs=0.002)
    assert way.at(np.array([way.duration_s])) == pytest.approx(HOME[None])


@pytest.mark.parametrize(
    "way", [StraightWay(HOME, GOAL, 0.4), ChirpWay(HOME, 0, Chirp(amplitude=0.04))]
)
def test_every_chunk_passes_the_rules_of_admission(way):
    writer, last_s = ChunkWriter(EPOCH), 0.0
    writer.begin(way, 100.0)
    for now_s in np.arange(100.05, 103.0, 0.1):
        chunk = writer.write(now_s - 0.05)
        lease = LeaseView(True, EPOCH, TASK, 99.0, chunk.sequence - 1, last_s)
        assert judge(chunk, lease, now_s, AdmissionConfig()) is None
        last_s = chunk.observed_at_s


def test_rows_say_where_to_be_when_and_leave_the_hand_alone():
    writer = ChunkWriter(EPOCH)
    writer.begin(StraightWay(HOME, GOAL, 0.4), 100.0)
    chunk = writer.write(100.4)
    due_s = 100.4 + ROW_PERIOD_S * np.arange(1.0, len(chunk.values) + 1.0)
    assert chunk.values[:, :7] == pytest.approx(writer.commanded(due_s))
    assert (chunk.values[:, 7] > GRIPPER_CLOSE_BELOW_M).all()
    assert (chunk.values[:, 7] < GRIPPER_OPEN_ABOVE_M).all()


# Records.


def track_of(times_s: np.ndarray, joints: Callable[[float], np.ndarray]) -> Track:
    track = Track(7)
    for time_s in times_s:
        track.add(float(time_s), joints(time_s))
    return track


def test_joints_are_known_between_two_samples_and_nowhere_else():
    track = track_of(np.array([1.0, 2.0]), lambda t: np.full(7, t))
    assert track.at(1.25) == pytest.approx(np.full(7, 1.25))
    assert track.at(2.01) is None
    assert track.at(0.99) is None


def test_rest_is_told_from_motion_and_from_silence():
    times_s = np.arange(0.0, 2.0, 0.01)
    resting = track_of(times_s, lambda t: HOME)
    moving = track_of(times_s, lambda t: HOME + 0.05 * max(t - 1.0, 0.0))
    assert resting.is_at_rest(1.0, 1.5)
    assert not resting.is_at_rest(1.8, 2.3)
    assert moving.is_at_rest(0.4, 0.9)
    assert not moving.is_at_rest(1.2, 1.7)


def test_an_album_keeps_few_pictures_or_all_of_them_smaller():
    album, image = Album(), np.zeros((48, 64, 3), np.uint8)
    for time_s in range(20):
        album.add(Picture(float(time_s), image))
    assert len(album.pictures()) < 20
    album.keep_all(width_px=32)
    for time_s in range(20):
        album.add(Picture(float(time_s), image))
    assert [p.image.shape for p in album.pictures()] == [(24, 32, 3)] * 20
    album.keep_newest()
    assert len(album.pictures()) < 20


# The arm, imitated: it is where the newest chunk wants it, and time passes when someone waits.


class FakeStack:
    """An operator and a link whose arm follows perfectly."""

    def __init__(self, image: np.ndarray | None = None) -> None:
        self.now_s, self.writer, self.said = 100.0, None, []
        self.joints, self.album = Track(7), Album()
        self.positions, self.image, self.requests = HOME.copy(), image, []
        self.is_heard = lambda: True
        self.offers = True
        self.arm_state = SimpleNamespace(
            state="ready", cause="", lease_epoch=0, set_point=HOME.copy()
        )
        self.pass_time()

    def offer_chunks(self) -> bool:
        return self.offers

    def time_s(self) -> float:
        return self.now_s

    def start(self, task: str, max_duration_s: float) -> int:
        self.requests.append("start")
        self.arm_state.state, self.arm_state.lease_epoch = "policy", EPOCH
        return EPOCH

    def come_to_rest(self) -> None:
        self.requests.append("rest")
        self.arm_state.state = "ready"

    def pass_time(self) -> None:
        self.now_s += 0.01
        if self.writer is not None and self.arm_state.state == "policy":
            self.positions = self.writer.commanded(np.array([self.now_s]))[0]
            self.arm_state.set_point = self.positions
        self.joints.add(self.now_s, self.positions)
        if self.image is not None:
            self.album.add(Picture(self.now_s - 0.005, self.image))

    def wait_until(self, condition: Callable[[], bool], limit_s: float) -> bool:
        for _ in range(3000):
            if condition():
                return True
            self.pass_time()
        return False


def never() -> bool:
    return False


def test_the_arm_goes_to_the_end_of_a_way_and_is_brought_to_rest():
    fake = FakeStack()
    with ArmDrive(fake, fake, 60.0, never) as drive:
        drive.follow(StraightWay(HOME, GOAL, 0.4))
        assert fake.positions == pytest.approx(GOAL)
    assert fake.requests == ["start", "rest"]
    assert fake.writer is None


def test_an_arm_that_nobody_armed_is_not_moved():
    fake = FakeStack()
    fake.arm_state.state = "idle"
    with pytest.raises(CalibrationStopError, match=r"'idle'.*mailctl arm"):
        ArmDrive(fake, fake, 60.0, never).__enter__()
    assert fake.requests == []


def test_calibration_does_not_move_an_arm_that_has_a_policy():
    fake = FakeStack()
    fake.offers = False
    with pytest.raises(CalibrationStopError, match="mailctl up calibrate"):
        ArmDrive(fake, fake, 60.0, never).__enter__()
    assert fake.requests == []


def test_a_key_ends_the_motion_and_the_arm_comes_to_rest():
    fake = FakeStack()
    with (
        pytest.raises(CalibrationStopError, match="by a key"),
        ArmDrive(fake, fake, 60.0, lambda: fake.now_s > 101.0) as drive,
    ):
        drive.follow(StraightWay(HOME, GOAL, 0.1))
    assert fake.requests == ["start", "rest"]
    assert fake.now_s < 101.5


def test_who_stopped_the_arm_decides_when_it_goes_on():
    fake = FakeStack()

    def stop_later() -> bool:
        if fake.now_s > 101.0:
            fake.arm_state.state, fake.arm_state.cause = "stopped", "stop by the operator"
        return False

    with (
        pytest.raises(CalibrationStopError, match="'stopped', stop by the operator"),
        ArmDrive(fake, fake, 60.0, stop_later) as drive,
    ):
        drive.follow(StraightWay(HOME, GOAL, 0.1))
    assert fake.requests == ["start"]
    assert fake.writer is None


def test_an_arm_that_cannot_follow_is_given_up():
    fake = FakeStack()
    pass_time = fake.pass_time

    def shake() -> None:
        pass_time()
        fake.joints.add(fake.now_s + 0.001, HOME + 0.5 * np.sin(fake.now_s))

    fake.pass_time = shake
    with (
        pytest.raises(CalibrationStopError, match="something in its way"),
        ArmDrive(fake, fake, 60.0, never) as drive,
    ):
        drive.follow(StraightWay(HOME, GOAL, 0.4))


# Views.


def board_picture(blur_px: float = 0.0) -> np.ndarray:
    grey = BoardConfig().opencv_board().generateImage((720, 480), marginSize=20)
    if blur_px:
        grey = cv2.GaussianBlur(grey, (0, 0), blur_px)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)


def test_blur_grows_and_is_refused_before_the_board_is_lost():
    detector = BoardDetector(BoardConfig())
    blurs = []
    for blur_px in (0.5, 1.0, 2.0, 3.0):
        picture = board_picture(blur_px)
        blurs.append(board_blur(picture, detector.detect(picture)))
    assert blurs == sorted(blurs)
    assert view_problem(board_picture(0.5), detector) == ""
    assert "not sharp" in view_problem(board_picture(3.0), detector)
    assert "not seen" in view_problem(np.full((480, 640, 3), 200, np.uint8), detector)


def collector_of(fake: FakeStack, path: Path) -> tuple[Collector, ViewFolder]:
    session = ViewSession(
        robot="sim", camera="wrist", serial="", parent_frame="tcp", board=BoardConfig()
    )
    folder = ViewFolder.open_or_create(path, session)
    return Collector(fake, fake, folder, fake.said.append), folder


def test_views_hold_the_posture_at_the_instant_of_the_picture(tmp_path: Path):
    fake = FakeStack(board_picture())
    collector, folder = collector_of(fake, tmp_path / "views")
    collector.drive(np.array([GOAL, HOME]), never)
    assert [view.picture for view in folder.views] == ["0000.png", "0001.png"]
    assert folder.views[0].joint_positions == pytest.approx(GOAL, abs=1e-6)
    assert folder.views[1].joint_positions == pytest.approx(HOME, abs=1e-6)


def test_an_interrupted_collection_visits_only_what_is_left(tmp_path: Path):
    fake = FakeStack(board_picture())
    collector, _ = collector_of(fake, tmp_path / "views")
    with pytest.raises(CalibrationStopError):
        collector.drive(np.array([GOAL, HOME]), lambda: "1 of 2: view 0000.png" in fake.said)
    again, folder = collector_of(FakeStack(board_picture()), tmp_path / "views")
    assert [left.tolist() for left in again.untaken(np.array([GOAL, HOME]))] == [HOME.tolist()]
    assert len(folder.views) == 1


def test_a_view_without_a_board_or_of_a_moving_arm_is_refused(tmp_path: Path):
    fake = FakeStack(np.full((480, 640, 3), 200, np.uint8))
    collector, folder = collector_of(fake, tmp_path / "views")
    fake.wait_until(never, 1.0)
    assert "board is not seen" in collector.take()
    fake.image = board_picture()
    pass_time = fake.pass_time

    def drift() -> None:
        fake.positions = fake.positions + 0.001
        pass_time()

    fake.pass_time = drift
    fake.wait_until(never, 1.0)
    assert "not at rest" in collector.take()
    assert folder.views == ()


def test_a_guided_person_takes_views_by_key_until_the_end_key(tmp_path: Path):
    fake = FakeStack(board_picture())
    fake.wait_until(never, 1.0)
    collector, folder = collector_of(fake, tmp_path / "views")
    keys = iter(["", " ", "x", " ", "q", " "])

    class Console:
        keys = staticmethod(lambda: open("/dev/null"))  # noqa: PTH123, SIM115
        key = staticmethod(lambda: next(keys))

    collector.guide(Console())
    assert len(folder.views) == 2
    assert fake.requests == []


# The stack and the twin's scene.


def described(**given: str) -> dict[str, stack.processes.Process]:
    arguments = resolve(STACKS["calibrate"], {"robot_ip": "127.9.9.9", "run_id": "x", **given})
    return {process.name: process for process in stack.describe("calibrate", arguments)}


@pytest.mark.parametrize("board", ["table", "hand"])
def test_the_twin_shows_a_board_in_pictures_of_the_size_that_its_cameras_expect(board):
    processes = described(board=board)
    twin = load_config(TwinConfig, Path(processes["twin"].parameters["config_file"]))
    cameras = load_config(CamerasConfig, Path(processes["camera"].parameters["config_file"]))
    assert twin.board == board
    assert twin.cameras == tuple(camera.name for camera in cameras.cameras)
    sizes = {(camera.image_width, camera.image_height) for camera in cameras.cameras}
    assert sizes == {(twin.image_width, twin.image_height)}
    assert "policy" not in processes


def test_without_a_board_the_twin_is_as_ever_and_a_real_robot_has_its_own_cameras():
    assert described(board="none")["twin"].parameters["config_file"] == ""
    real = described(robot="panda", robot_ip="172.16.0.2")
    assert real["camera"].parameters["config_file"].endswith("cameras_panda.yaml")
    assert TwinConfig().board is BoardPlace.NONE


def test_boards_take_the_place_of_the_furniture_and_only_on_request():
    simulator = MujocoSimulator()
    simulator.add_robot(initial_q=tuple(HOME), initial_hand_width=0.08)
    furnish(simulator)
    plain = ET.tostring(simulator.scene)
    set_up_board(simulator.scene, BoardPlace.NONE, BoardConfig())
    assert ET.tostring(simulator.scene) == plain
    for place in (BoardPlace.TABLE, BoardPlace.HAND):
        scene = ET.fromstring(plain)
        set_up_board(scene, place, BoardConfig())
        world = scene.find("worldbody")
        hand = next(body for body in scene.iter("body") if body.get("name") == f"{PREFIX}hand")
        holder = world if place is BoardPlace.TABLE else hand
        assert [body.get("name") for body in holder.findall("body")].count("board") == 1
        cabinet = next(body for body in world if body.get("name") == "cabinet")
        assert float(cabinet.get("pos").split()[0]) < -1.0
