"""The recorder node with real messages, in its own ROS domain."""

import array
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from mail_msgs.msg import (
    ActionChunk,
    Admission,
    ArmState,
    GripperState,
    PolicyStatus,
    RecorderStatus,
    TeleopCommand,
)
from mail_msgs.srv import EndEpisode, SetTask
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_srvs.srv import Trigger

from data_collection import topics
from data_collection.manifest import EpisodeQuality, EpisodeSource, load_manifest
from data_collection.mcap_scan import McapDamage, RawMessage, scan
from data_collection.reader import iterate_messages, read_steps
from data_collection.repair import check_episode
from data_collection.report import timing_summary
from mail_bringup.claims import claim_domain
from mail_recorder.recorder_node import RecorderNode
from tests.conftest import Measured
from tests.ros.discovery import wait_until_reachable
from tests.unit.killed_writer import digest

LIMIT_S = 15.0
CAMERAS = ("agentview", "wrist")
STEPS = 10
PERIOD_S = 0.05


class Robot:
    """Publishes what a robot would."""

    def __init__(self, context: Context, namespace: str = "") -> None:
        self.node = Node("robot", context=context, namespace=namespace)
        self.cameras = {
            name: self._publisher(Image, f"camera/{name}/color/image_raw") for name in CAMERAS
        }
        self.optics = {
            name: self._publisher(CameraInfo, f"camera/{name}/color/camera_info")
            for name in CAMERAS
        }
        self.depth = self._publisher(Image, "camera/wrist/aligned_depth_to_color/image_raw")
        self.joints = self._publisher(JointState, "joint_states")
        self.began_s = time.time()
        self.others = {
            kind: self.node.create_publisher(kind, topic, 10)
            for kind, topic in (
                (ArmState, "arm/state"),
                (Admission, "arm/admission"),
                (GripperState, "gripper/state"),
                (ActionChunk, "policy/action_chunk"),
                (PolicyStatus, "policy/status"),
                (TeleopCommand, "teleop/command"),
            )
        }

    def _publisher(self, kind: type, topic: str) -> object:
        return self.node.create_publisher(kind, topic, qos_profile_sensor_data)

    @property
    def is_heard(self) -> bool:
        publishers = [*self.cameras.values(), self.joints, *self.others.values()]
        return all(publisher.get_subscription_count() for publisher in publishers)

    def begin(self) -> None:
        """Count the instants of `publish_step` from now on."""
        self.began_s = time.time()

    def publish_step(self, step: int, cameras: tuple[str, ...] = CAMERAS) -> None:
        """Wait for an instant of the grid, then publish its pictures and joints, joints last."""
        stamp_s = self.began_s + PERIOD_S * step
        time.sleep(max(0.0, stamp_s - time.time()))
        stamp = Time(sec=int(stamp_s), nanosec=int(1e9 * (stamp_s % 1.0)))
        for name in cameras:
            image = Image(height=24, width=32, encoding="rgb8", step=96)
            image.header.stamp = stamp
            image.data = array.array("B", bytes([10 * (step % 20)]) * (24 * 96))
            self.cameras[name].publish(image)
            self.optics[name].publish(CameraInfo(height=24, width=32))
        joints = JointState(position=[0.1 * step] * 7 + [0.02, 0.02])
        joints.header.stamp = stamp
        self.joints.publish(joints)

    def publish_arm(self, holder: str, state: str, task: str = "") -> None:
        """Publish who has the arm."""
        msg = ArmState(state=state, lease_holder=holder, task=task)
        msg.header.stamp = self.node.get_clock().now().to_msg()
        self.others[ArmState].publish(msg)

    def publish_depth(self) -> None:
        """Publish one picture of distances, 1 mm more per pixel."""
        image = Image(height=24, width=32, encoding="16UC1", step=64)
        image.header.stamp = self.node.get_clock().now().to_msg()
        image.data = array.array("B", np.arange(24 * 32, dtype="<u2").tobytes())
        self.depth.publish(image)

    def publish_rest(self) -> None:
        """Publish one message on every other topic."""
        chunk = ActionChunk(schema="ee_delta", action_size=7, inference_duration=0.025)
        chunk.values = array.array("d", [0.5] * 14)
        messages = (
            ArmState(state=ArmState.POLICY, may_move=True, control_success_rate=0.97),
            Admission(accepted=True, camera_to_command=0.09, join_jump=0.002),
            GripperState(width=0.04),
            chunk,
            PolicyStatus(ready=True),
            TeleopCommand(source="test"),
        )
        now = self.node.get_clock().now().to_msg()
        for message in messages:
            message.header.stamp = now
            self.others[type(message)].publish(message)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    ends_at = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < ends_at, f"waited {LIMIT_S} s for {what}"
        time.sleep(0.01)


class Graph:
    """A ROS context with an executor that turns in the background."""

    def __init__(self, domain_id: int) -> None:
        self.domain_id = domain_id
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain_id)
        self.executor = SingleThreadedExecutor(context=self.context)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def _spin(self) -> None:
        while not self._ending.is_set():
            self.executor.spin_once(timeout_sec=0.05)

    def ask(self, node: Node, kind: type, name: str, request: object) -> object:
        client = node.create_client(kind, name)
        assert client.wait_for_service(LIMIT_S), f"{name} is not offered"
        future = client.call_async(request)
        wait_for(future.done, name)
        return future.result()

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        self.executor.shutdown()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    # One folder for all tests, so that each gets a domain in which no node of another one lingers.
    with claim_domain(tmp_path_factory.getbasetemp() / "claims") as claim:
        graph = Graph(int(claim.value))
        yield graph
        graph.close()


@pytest.fixture
def recorder(graph: Graph, tmp_path: Path) -> RecorderNode:
    parameters = [
        Parameter("episodes_dir", value=str(tmp_path / "episodes")),
        Parameter("cameras", value=list(CAMERAS)),
        Parameter("robot_type", value="fr3"),
    ]
    node = RecorderNode(context=graph.context, parameter_overrides=parameters)
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    graph.executor.add_node(node)
    return node


@pytest.fixture
def robot(graph: Graph) -> Robot:
    robot = Robot(graph.context)
    graph.executor.add_node(robot.node)
    return robot


def start(graph: Graph, robot: Robot, task: str = "open the top drawer") -> SetTask.Response:
    wait_for(lambda: robot.is_heard, "subscriptions")
    return graph.ask(robot.node, SetTask, "recorder/start", SetTask.Request(task=task))


def recorded_counts(folder: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    for item in iterate_messages(folder):
        counts[item.topic] = counts.get(item.topic, 0) + 1
    return counts


def publish_run(recorder: RecorderNode, robot: Robot) -> None:
    """Publish a short run, and wait until the recorder has all of it."""
    robot.begin()
    for step in range(STEPS):
        robot.publish_step(step)
    robot.publish_rest()
    offered = recorder._desk.recorder._recording.queue.offered
    wait_for(lambda: offered.total() >= 5 * STEPS + 6, "all messages")


def test_a_run_is_recorded_as_it_was_sent(
    graph: Graph, recorder: RecorderNode, robot: Robot
) -> None:
    answer = start(graph, robot)
    assert answer.success, answer.message
    publish_run(recorder, robot)
    saved = graph.ask(robot.node, Trigger, "recorder/save", Trigger.Request())
    assert saved.success, saved.message

    folder = Path(answer.resolved_task)
    manifest = load_manifest(folder)
    assert (manifest.quality, manifest.steps) == (EpisodeQuality.GOOD, STEPS)
    assert recorded_counts(folder) == {
        **{topics.image_topic(camera): STEPS for camera in CAMERAS},
        topics.JOINT_STATES: STEPS,
        topics.ARM_STATE: 1,
        topics.ADMISSION: 1,
        topics.GRIPPER_STATE: 1,
        topics.ACTION_CHUNK: 1,
        topics.POLICY_STATUS: 1,
        topics.TELEOP_COMMAND: 1,
        # Every picture comes with its optics, which are stored once.
        **{topics.info_topic(camera): 1 for camera in CAMERAS},
    }
    steps = read_steps(folder, CAMERAS, 24, 32, require_actions=False)
    assert steps.joint_positions[:, 0] == pytest.approx([0.1 * step for step in range(STEPS)])
    assert steps.images["wrist"][4].mean() == pytest.approx(40.0, abs=2.0)
    timing = timing_summary(folder)["timing"]
    assert timing["inference_ms"]["p50"] == pytest.approx(25.0)
    assert timing["camera_to_command_ms"]["p50"] == pytest.approx(90.0)
    assert timing["control_success_rate"]["min"] == pytest.approx(0.97)


def test_refusals_say_why(graph: Graph, recorder: RecorderNode, robot: Robot) -> None:
    nothing = graph.ask(robot.node, Trigger, "recorder/save", Trigger.Request())
    assert (nothing.success, nothing.message[:25]) == (False, "nothing is being recorded")
    assert not start(graph, robot, task=" ").success
    assert start(graph, robot).success
    again = start(graph, robot)
    assert not again.success
    assert "is being recorded; save or discard it first" in again.message


def test_a_discarded_run_leaves_nothing(graph: Graph, recorder: RecorderNode, robot: Robot) -> None:
    folder = Path(start(graph, robot).resolved_task)
    assert folder.exists()
    assert graph.ask(robot.node, Trigger, "recorder/discard", Trigger.Request()).success
    assert not folder.exists()


def test_deactivating_saves_the_running_episode(
    graph: Graph, recorder: RecorderNode, robot: Robot
) -> None:
    folder = Path(start(graph, robot).resolved_task)
    publish_run(recorder, robot)
    graph.executor.remove_node(recorder)
    assert recorder.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    assert check_episode(folder).problem == ""
    assert load_manifest(folder).steps == STEPS
    assert recorder.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    assert recorder.trigger_configure() == TransitionCallbackReturn.SUCCESS


def test_a_bad_parameter_keeps_the_node_unconfigured(graph: Graph, tmp_path: Path) -> None:
    node = RecorderNode(
        context=graph.context, parameter_overrides=[Parameter("robot_type", value="ur5")]
    )
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE


def end(graph: Graph, robot: Robot, outcome: int, reason: str = "") -> EndEpisode.Response:
    request = EndEpisode.Request(outcome=outcome, reason=reason)
    return graph.ask(robot.node, EndEpisode, "recorder/end", request)


def test_an_episode_ends_with_an_outcome_and_is_labelled_again(
    graph: Graph, recorder: RecorderNode, robot: Robot
) -> None:
    assert not end(graph, robot, EndEpisode.Request.SUCCESS).success
    folder = Path(start(graph, robot).resolved_task)
    publish_run(recorder, robot)
    wrong = end(graph, robot, 7)
    assert (wrong.success, wrong.message[:20]) == (False, "outcome must be 0 (u")
    ended = end(graph, robot, EndEpisode.Request.FAILURE, "slipped")
    assert ended.success, ended.message
    manifest = load_manifest(folder)
    assert (manifest.success, manifest.failure_reason) == (False, "slipped")
    assert end(graph, robot, EndEpisode.Request.SUCCESS).message == f"labelled {folder}: success"
    assert load_manifest(folder).success is True


def test_an_episode_is_recorded_again(
    graph: Graph, recorder: RecorderNode, robot: Robot, tmp_path: Path
) -> None:
    assert not graph.ask(robot.node, Trigger, "recorder/rerecord", Trigger.Request()).success
    first = Path(start(graph, robot).resolved_task)
    again = graph.ask(robot.node, Trigger, "recorder/rerecord", Trigger.Request())
    assert again.success, again.message
    assert not first.exists()
    publish_run(recorder, robot)
    assert end(graph, robot, EndEpisode.Request.SUCCESS).success
    (folder,) = (tmp_path / "episodes").iterdir()
    manifest = load_manifest(folder)
    assert (manifest.task, manifest.steps) == ("open the top drawer", STEPS)


class Listener:
    """Hears what the recorder tells."""

    def __init__(self, node: Node) -> None:
        self.statuses: list[RecorderStatus] = []
        self.diagnostics: list[DiagnosticArray] = []
        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._subscriptions = [
            node.create_subscription(
                RecorderStatus, "recorder/status", self.statuses.append, latched
            ),
            node.create_subscription(DiagnosticArray, "/diagnostics", self.diagnostics.append, 10),
        ]

    def wait_for(self, condition: Callable[[RecorderStatus], bool], what: str) -> RecorderStatus:
        wait_for(lambda: bool(self.statuses) and condition(self.statuses[-1]), what)
        return self.statuses[-1]


def test_the_status_tells_how_it_is_going(
    graph: Graph, recorder: RecorderNode, robot: Robot
) -> None:
    listener = Listener(robot.node)
    idle = listener.wait_for(lambda s: not s.recording, "a latched status")
    assert (idle.good, idle.saved, idle.episode) == (True, 0, "")
    assert idle.free_time > 0.0
    folder = start(graph, robot).resolved_task
    publish_run(recorder, robot)
    running = listener.wait_for(lambda s: s.steps == STEPS, "all steps")
    assert (running.recording, running.task) == (True, "open the top drawer")
    assert running.episode == folder
    assert running.duration > 0.0
    lines = {line.name: line for line in listener.diagnostics[-1].status}
    wrist = {value.key: value.value for value in lines["recorder: camera wrist"].values}
    assert float(wrist["rate_hz"]) == pytest.approx(20.0, rel=0.05)
    assert {"messages", "largest_gap_s", "drops"} <= set(wrist)
    # It goes on telling while it records, although nothing changes.
    count = len(listener.statuses)
    wait_for(lambda: len(listener.statuses) >= count + 3, "more statuses")
    graph.ask(robot.node, Trigger, "recorder/discard", Trigger.Request())
    last = listener.wait_for(lambda s: s.discarded == 1, "the discarded episode")
    assert not last.recording


@pytest.mark.fault("F1", bound="told at once, given up after 2 s, flagged")
def test_a_camera_that_is_missing_is_told_at_once_and_flagged(
    graph: Graph, recorder: RecorderNode, robot: Robot
) -> None:
    listener = Listener(robot.node)
    wait_for(lambda: robot.is_heard, "subscriptions")
    robot.begin()
    for step in range(2):
        robot.publish_step(step, cameras=("agentview",))
    silent = recorder._desk.recorder.silent_streams
    wait_for(lambda: silent(time.time_ns()) == ["camera wrist"], "the first messages")
    answer = start(graph, robot)
    assert answer.success
    assert answer.message.endswith("; nothing comes from camera wrist")
    robot.begin()
    steps = itertools.count()

    def goes_on(text: str) -> Callable[[], bool]:
        def is_told() -> bool:
            robot.publish_step(next(steps), cameras=("agentview",))
            last = listener.statuses[-1]
            return not last.good and text in last.remarks

        return is_told

    wait_for(goes_on("nothing from camera wrist"), "the live verdict")
    wait_for(goes_on("nothing from camera wrist; re-record"), "the advice to record again")
    saved = graph.ask(robot.node, Trigger, "recorder/save", Trigger.Request())
    assert "flagged: nothing from camera wrist; re-record" in saved.message
    manifest = load_manifest(Path(answer.resolved_task))
    assert manifest.quality is EpisodeQuality.FLAGGED


@pytest.mark.fault("F1", bound="told after 1 s, flagged, the others are kept")
def test_a_camera_that_is_lost_in_the_middle_is_told_and_flagged(
    graph: Graph, recorder: RecorderNode, robot: Robot
) -> None:
    listener = Listener(robot.node)
    folder = Path(start(graph, robot).resolved_task)
    robot.begin()
    steps = itertools.count()

    def is_told() -> bool:
        step = next(steps)
        robot.publish_step(step, cameras=CAMERAS if step < 10 else ("agentview",))
        return "camera wrist lost for the last" in listener.statuses[-1].remarks

    wait_for(is_told, "the lost camera")
    assert end(graph, robot, EndEpisode.Request.UNKNOWN).success
    assert "camera wrist lost for the last" in str(load_manifest(folder).quality_notes)
    assert check_episode(folder).problem == ""


def started(graph: Graph, tmp_path: Path, **parameters: object) -> RecorderNode:
    """Return an active recorder with other parameters."""
    parameters["episodes_dir"] = str(tmp_path / "episodes")
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    node = RecorderNode(context=graph.context, parameter_overrides=overrides)
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    graph.executor.add_node(node)
    return node


def test_depth_is_recorded_where_it_is_asked_for(
    graph: Graph, robot: Robot, tmp_path: Path
) -> None:
    recorder = started(graph, tmp_path, depth_cameras=["wrist"])
    folder = Path(start(graph, robot).resolved_task)
    wait_for(lambda: robot.depth.get_subscription_count() == 1, "the subscription")
    robot.publish_depth()
    offered = recorder._desk.recorder._recording.queue.offered
    wait_for(lambda: offered.total() == 1, "the picture")
    assert end(graph, robot, EndEpisode.Request.UNKNOWN).success
    (item,) = iterate_messages(folder)
    assert item.topic == f"{topics.depth_topic('wrist')}/compressed"
    depth_mm = cv2.imdecode(item.message.data, cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(depth_mm, np.arange(24 * 32).reshape(24, 32))


def test_a_takeover_starts_and_ends_an_episode_by_itself(
    graph: Graph, robot: Robot, tmp_path: Path
) -> None:
    started(graph, tmp_path, start_on="takeover", pre_roll_s=0.3)
    listener = Listener(robot.node)
    wait_for(lambda: robot.is_heard, "subscriptions")
    robot.begin()
    holders = ["policy"] * 12 + ["teleop"] * 10 + ["policy"]
    for step, holder in enumerate(holders):
        robot.publish_step(step)
        robot.publish_arm(holder, holder, "open the top drawer" if holder == "policy" else "")
    listener.wait_for(lambda s: s.saved == 1, "the saved intervention")
    (folder,) = (tmp_path / "episodes").iterdir()
    manifest = load_manifest(folder)
    assert (manifest.source, manifest.task) == (EpisodeSource.INTERVENTION, "open the top drawer")
    assert manifest.interventions == 1
    arm = list(iterate_messages(folder, (topics.ARM_STATE,)))
    holders = [item.message.lease_holder for item in arm]
    before = holders.index("teleop")
    assert holders == ["policy"] * before + ["teleop"] * 10 + ["policy"]
    # Whatever the machine was busy with: the times are those at which the messages came.
    assert manifest.person_s == pytest.approx(arm[-1].stamp_s - arm[before].stamp_s, abs=0.001)
    assert 0 < before < 12
    assert 0.0 < manifest.pre_roll_s <= 0.3
    assert manifest.steps >= 10


class Process:
    """A recorder in a process of its own, in the namespace of a robot."""

    def __init__(self, graph: Graph, robot: Robot, episodes_dir: Path) -> None:
        self._graph, self._robot = graph, robot
        command = [
            *(sys.executable, "-m", "mail_recorder.recorder_node", "--ros-args"),
            *("-r", f"__ns:={robot.node.get_namespace()}"),
            *("-p", f"episodes_dir:={episodes_dir}"),
        ]
        environment = {**os.environ, "ROS_DOMAIN_ID": str(graph.domain_id)}
        self.popen = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    def activate(self) -> None:
        wait_until_reachable(self._robot.node, "recorder", LIMIT_S)
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            request = ChangeState.Request(transition=Transition(id=transition))
            name = "recorder/change_state"
            assert self._graph.ask(self._robot.node, ChangeState, name, request).success

    def record(self) -> Path:
        """Begin an episode, and return once a part of it is on the disk."""
        folder = Path(start(self._graph, self._robot).resolved_task)
        log = folder / "episode.mcap"
        size = log.stat().st_size
        self._robot.begin()
        steps = itertools.count()

        def grows() -> bool:
            self._robot.publish_step(next(steps))
            return log.stat().st_size > size + 40_000

        wait_for(grows, "messages on the disk")
        return folder


def whole_messages(log: Path) -> int:
    """Count what was written before a kill."""
    count = 0
    try:
        for item in scan(log):
            count += isinstance(item, RawMessage)
    except McapDamage:
        pass
    return count


@pytest.mark.fault("F56", bound="0 acknowledged messages lost, repaired at the next start")
def test_what_a_killed_recorder_left_is_mended_by_the_next_one(
    graph: Graph, tmp_path: Path, measured: Measured
) -> None:
    robot = Robot(graph.context, namespace="left")
    graph.executor.add_node(robot.node)
    first = Process(graph, robot, tmp_path / "episodes")
    try:
        first.activate()
        earlier = first.record()
        assert end(graph, robot, EndEpisode.Request.SUCCESS).success
        before = digest(earlier)
        folder = first.record()
    finally:
        first.popen.kill()
        first.popen.communicate()
    written = whole_messages(folder / "episode.mcap")
    assert load_manifest(folder).quality is EpisodeQuality.RECORDING
    # For many seconds, others take a killed participant for alive.
    robot = Robot(graph.context, namespace="right")
    graph.executor.add_node(robot.node)
    second = Process(graph, robot, tmp_path / "episodes")
    try:
        second.activate()
        repaired, began_s = EpisodeQuality.REPAIRED, time.monotonic()
        wait_for(lambda: load_manifest(folder).quality is repaired, "the repair")
        measured(f"repaired {time.monotonic() - began_s:.2f} s after the start")
        assert start(graph, robot).success
        assert end(graph, robot, EndEpisode.Request.UNKNOWN).success
    finally:
        second.popen.send_signal(signal.SIGTERM)
        said = second.popen.communicate(timeout=LIMIT_S)[1]
    assert f"WARNING: {folder} repaired: kept {written} messages" in said
    assert check_episode(folder).problem == ""
    assert sum(1 for _ in iterate_messages(folder)) == written
    assert digest(earlier) == before


@pytest.mark.fault("F58", bound="valid episode <= 2 s")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_leaves_a_valid_episode(
    graph: Graph, tmp_path: Path, sent: signal.Signals, measured: Measured
) -> None:
    robot = Robot(graph.context, namespace="left")
    graph.executor.add_node(robot.node)
    process = Process(graph, robot, tmp_path / "episodes")
    try:
        process.activate()
        folder = process.record()
        began_s = time.monotonic()
        process.popen.send_signal(sent)
        # A second, impatient one must not interrupt saving.
        process.popen.send_signal(sent)
        recording = EpisodeQuality.RECORDING
        wait_for(lambda: load_manifest(folder).quality is not recording, "the saved episode")
        measured(f"saved {time.monotonic() - began_s:.2f} s after {sent.name}")
        process.popen.communicate(timeout=LIMIT_S)
        assert process.popen.returncode == 0
    finally:
        process.popen.kill()
        process.popen.communicate()
    assert check_episode(folder).problem == ""
    manifest = load_manifest(folder)
    assert manifest.quality is EpisodeQuality.FLAGGED
    assert manifest.steps > 0
