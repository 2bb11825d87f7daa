"""The recorder node with real messages, in its own ROS domain."""

import array
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rclpy
from builtin_interfaces.msg import Time
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from mail_msgs.msg import ActionChunk, Admission, ArmState, GripperState, PolicyStatus
from mail_msgs.srv import SetTask
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image, JointState
from std_srvs.srv import Trigger

from data_collection import topics
from data_collection.manifest import EpisodeQuality, load_manifest
from data_collection.reader import iterate_messages, read_steps
from data_collection.repair import check_episode
from data_collection.report import timing_summary
from mail_bringup.claims import claim_domain
from mail_recorder.recorder_node import RecorderNode
from tests.ros.discovery import wait_until_reachable

LIMIT_S = 15.0
CAMERAS = ("agentview", "wrist")
STEPS = 10


class Robot:
    """Publishes what a robot would."""

    def __init__(self, context: Context, namespace: str = "") -> None:
        self.node = Node("robot", context=context, namespace=namespace)
        self.cameras = {
            name: self._publisher(Image, f"camera/{name}/color/image_raw") for name in CAMERAS
        }
        self.joints = self._publisher(JointState, "joint_states")
        self.others = {
            kind: self.node.create_publisher(kind, topic, 10)
            for kind, topic in (
                (ArmState, "arm/state"),
                (Admission, "arm/admission"),
                (GripperState, "gripper/state"),
                (ActionChunk, "policy/action_chunk"),
                (PolicyStatus, "policy/status"),
            )
        }

    def _publisher(self, kind: type, topic: str) -> object:
        return self.node.create_publisher(kind, topic, qos_profile_sensor_data)

    @property
    def is_heard(self) -> bool:
        publishers = [*self.cameras.values(), self.joints, *self.others.values()]
        return all(publisher.get_subscription_count() for publisher in publishers)

    def publish_step(self, step: int) -> None:
        """Publish pictures and joints of one instant, joints last."""
        stamp = Time(sec=5, nanosec=50_000_000 * step)
        for publisher in self.cameras.values():
            image = Image(height=24, width=32, encoding="rgb8", step=96)
            image.header.stamp = stamp
            image.data = array.array("B", bytes([10 * step]) * (24 * 96))
            publisher.publish(image)
        joints = JointState(position=[0.1 * step] * 7 + [0.02, 0.02])
        joints.header.stamp = stamp
        self.joints.publish(joints)

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
        )
        for message in messages:
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
def graph(tmp_path: Path) -> Iterator[Graph]:
    with claim_domain(tmp_path / "claims") as claim:
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
    for step in range(STEPS):
        robot.publish_step(step)
        time.sleep(0.01)  # best effort: a burst may be lost on the way
    robot.publish_rest()
    offered = recorder._recorder._recording.queue.offered
    wait_for(lambda: offered.total() >= 3 * STEPS + 5, "all messages")


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


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_leaves_a_valid_episode(
    graph: Graph, tmp_path: Path, sent: signal.Signals
) -> None:
    robot = Robot(graph.context, namespace="left")
    graph.executor.add_node(robot.node)
    command = [
        *(sys.executable, "-m", "mail_recorder.recorder_node", "--ros-args"),
        *("-r", "__ns:=/left", "-p", f"episodes_dir:={tmp_path / 'episodes'}"),
    ]
    environment = {**os.environ, "ROS_DOMAIN_ID": str(graph.domain_id)}
    with subprocess.Popen(command, env=environment) as process:
        try:
            wait_until_reachable(robot.node, "recorder", LIMIT_S)
            for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
                request = ChangeState.Request(transition=Transition(id=transition))
                name = "recorder/change_state"
                assert graph.ask(robot.node, ChangeState, name, request).success
            folder = Path(start(graph, robot).resolved_task)
            log = folder / "episode.mcap"
            size = log.stat().st_size
            step = 0

            def grows() -> bool:
                nonlocal step
                robot.publish_step(step % 19)
                step += 1
                return log.stat().st_size > size + 20_000

            wait_for(grows, "messages on the disk")
            process.send_signal(sent)
            assert process.wait(LIMIT_S) == 0
        finally:
            process.kill()
    assert check_episode(folder).problem == ""
    manifest = load_manifest(folder)
    assert manifest.quality is EpisodeQuality.FLAGGED
    assert manifest.steps > 0
