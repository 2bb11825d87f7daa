"""What a policy was trained on is what it sees: a recorded episode, replayed through the live node.

Cameras have a pace of their own, with jitter and an offset; the policy runs at 20 Hz and joint
states come at 100 Hz.
"""

import array
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rclpy
import simplejpeg
import torch
from builtin_interfaces.msg import Time
from mail_msgs.msg import ArmState
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from rich.console import Console
from sensor_msgs.msg import Image, JointState
from torch import Tensor

from data_collection import messages, topics
from data_collection.disk import DiskGuard
from data_collection.manifest import EpisodeManifest, EpisodeSource, episode_id
from data_collection.reader import iterate_messages
from data_collection.writer import EpisodeWriter, Recorded, compressed_picture
from mail_bringup.claims import claim_domain
from mail_bringup.places import state_folder
from mail_policy.data.batches import BatchMaker
from mail_policy.data.dataset import WindowRule, make_decisions
from mail_policy.data.episodes import PictureRequest, load_episodes
from mail_policy.data.windows import Window
from mail_policy.inference.manifest import CheckpointManifest
from mail_policy.training.train import prepare, train
from mail_policy_ros.policy_node import PolicyNode
from tests.unit.arm_messages import write_arm_state, write_gripper_state
from tests.unit.synthetic_episodes import SIZE, TASK, episodes, train_config

CAMERAS = ("agentview", "wrist")
DURATION_S = 2.0
START_S = 40.0
WRIST_OFFSET_S = 0.004
JITTER_S = 0.002
LIMIT_S = 20.0
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def stamp(seconds: float) -> Time:
    nanoseconds = round(seconds * 1e9)
    return Time(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)


def picture(camera: str, at_s: float, rng: np.random.Generator) -> Recorded:
    small = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    cdr = compressed_picture(small.repeat(8, 0).repeat(8, 1), camera, messages.seconds_to_ns(at_s))
    at_ns = messages.seconds_to_ns(at_s)
    return Recorded(topics.image_topic(camera), topics.COMPRESSED_IMAGE_TYPE, cdr, at_ns)


def joint_state(at_s: float) -> Recorded:
    at_ns = messages.seconds_to_ns(at_s)
    positions = np.append(0.3 * np.sin(at_s + np.arange(7.0)), [0.02, 0.02])
    message = messages.joint_state(at_ns, topics.joint_names("fr3"), positions)
    return Recorded(topics.JOINT_STATES, topics.JOINT_STATE_TYPE, messages.encode(message), at_ns)


def record_episode(root: Path, camera_rate_hz: float) -> Path:
    """Write what a recorder would have written of a person's demonstration."""
    rng = np.random.default_rng(3)
    now = datetime.now(UTC)
    manifest = EpisodeManifest(
        id=episode_id(TASK, now),
        task=TASK,
        source=EpisodeSource.TELEOP,
        robot_type="fr3",
        cameras=CAMERAS,
        created_at=now.isoformat(),
    )
    stream = []
    for index in range(int(camera_rate_hz * DURATION_S)):
        at_s = START_S + index / camera_rate_hz + rng.uniform(-JITTER_S, JITTER_S)
        stream.append(picture("agentview", at_s, rng))
        stream.append(picture("wrist", at_s + WRIST_OFFSET_S, rng))
    times_s = START_S + np.arange(-5, int(100 * (DURATION_S + 0.2))) / 100.0
    stream += [joint_state(at_s) for at_s in times_s.tolist()]
    stream.sort(key=lambda message: message.log_time_ns)
    roomy = DiskGuard(free_bytes=lambda folder: 1 << 40)
    with EpisodeWriter(root / manifest.id, manifest, roomy) as writer:
        writer.write_messages(stream)
        for at_s in times_s.tolist():
            write_arm_state(writer, at_s)
            write_gripper_state(writer, at_s, 0.04, 0.04)
        writer.finish(success=True)
    return root / manifest.id


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy with the cameras of the episode; what it learned does not matter."""
    run = prepare(train_config(), episodes(4), "test")
    return train(run, tmp_path_factory.mktemp("run"), Console(quiet=True), tensorboard=False)


@dataclass
class Seen:
    """What the encoders got for one plan."""

    observed_at_s: float
    images: dict[str, Tensor]
    proprio: Tensor


class LiveNode:
    """The real policy node, a replayer beside it, and a note of what its encoders get."""

    def __init__(self, domain_id: int, checkpoint: Path) -> None:
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain_id)
        overrides = [
            Parameter("checkpoint", value=str(checkpoint)),
            Parameter("exec_horizon", value=1),
        ]
        self.node = PolicyNode(context=self._context, parameter_overrides=overrides)
        self.robot = Node("robot", context=self._context)
        self._images = {
            name: self.robot.create_publisher(
                Image, f"camera/{name}/color/image_raw", qos_profile_sensor_data
            )
            for name in CAMERAS
        }
        self._joints = self.robot.create_publisher(
            JointState, "joint_states", qos_profile_sensor_data
        )
        self._arm = self.robot.create_publisher(ArmState, "arm/state", LATCHED)
        self._executor = SingleThreadedExecutor(context=self._context)
        for node in (self.node, self.robot):
            self._executor.add_node(node)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._spin)
        self.seen: list[Seen] = []

    def __enter__(self) -> "LiveNode":
        assert self.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        self._note_what_is_encoded()
        assert self.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        self._thread.start()
        publishers = (*self._images.values(), self._joints)
        self.wait_for(lambda: all(p.get_subscription_count() for p in publishers), "discovery")
        return self

    def __exit__(self, *error: object) -> None:
        self.node.rest()
        self._ending.set()
        self._thread.join()
        self._executor.shutdown()
        rclpy.try_shutdown(context=self._context)

    def _spin(self) -> None:
        while not self._ending.is_set():
            self._executor.spin_once(timeout_sec=0.05)

    def wait_for(self, condition: object, what: str) -> None:
        ends_at = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < ends_at, f"waited {LIMIT_S} s for {what}"
            time.sleep(0.0005)

    def _note_what_is_encoded(self) -> None:
        predictor = self.node._predictor
        predict = predictor.predict

        def noting(window: Window) -> np.ndarray:
            images = {
                camera.name: predictor._images_of(camera, window.observations)
                for camera in predictor.manifest.cameras
            }
            proprio = predictor._proprio_of(window.observations)
            self.seen.append(Seen(window.newest.captured_at_s, images, proprio))
            return predict(window)

        predictor.predict = noting

    def start_task(self) -> None:
        state = ArmState(state=ArmState.POLICY, lease_holder="policy", lease_epoch=7, task=TASK)
        state.header.stamp = stamp(START_S - 1.0)
        self._arm.publish(state)
        worker = self.node._worker
        self.wait_for(lambda: worker.lease_epoch == 7, "the lease")

    def replay(self, folder: Path) -> None:
        """Publish pictures and joints as they were recorded, each once the last one was taken."""
        assembler = self.node._assembler
        wanted = (topics.JOINT_STATES, *map(topics.image_topic, CAMERAS))
        for item in iterate_messages(folder, wanted):
            header = item.message.header.stamp
            at_s = messages.stamp_to_seconds(header)
            camera = topics.camera_of(item.topic)
            if camera:
                self._images[camera].publish(raw_image(item.message.data, header))
                stamps_s = assembler._streams[camera].stamps_s
                self.wait_for(lambda s=stamps_s, t=at_s: s and s[-1] == t, item.topic)
            else:
                message = JointState(position=array.array("d", item.message.position))
                message.header.stamp = Time(sec=header.sec, nanosec=header.nanosec)
                self._joints.publish(message)
                joints = assembler._joints
                self.wait_for(lambda s=joints, t=at_s: s and s[-1].stamp_s == t, item.topic)
            # One observation may be planned on at a time: what waits longer is skipped by design.
            self.wait_for(lambda: not self.node._worker._observations, "the policy")


def raw_image(jpeg: np.ndarray, header: object) -> Image:
    pixels = simplejpeg.decode_jpeg(jpeg, colorspace="RGB")
    height, width, _ = pixels.shape
    image = Image(height=height, width=width, encoding="rgb8", step=3 * width)
    image.header.stamp = Time(sec=header.sec, nanosec=header.nanosec)
    image.data = array.array("B", pixels.tobytes())
    return image


@pytest.fixture
def live(checkpoint: Path) -> Iterator[LiveNode]:
    with claim_domain(state_folder()) as claim, LiveNode(int(claim.value), checkpoint) as node:
        yield node


def loaded(root: Path, manifest: CheckpointManifest) -> dict[float, Seen]:
    """Return the windows that training would draw, by the stamp of their newest observation."""
    (episode,) = load_episodes(root, PictureRequest(CAMERAS, SIZE, SIZE))
    rule = WindowRule(
        history=manifest.history,
        chunk=4,
        period_s=1.0 / manifest.rate_hz,
        action_schema=manifest.schema.name,
    )
    decisions = make_decisions([episode], rule, (TASK,))
    assert decisions.valid.all()
    maker = BatchMaker(decisions, CAMERAS, manifest.actions, manifest.proprio)
    (batch,) = maker.validation_batches(len(decisions))
    return {
        float(episode.times_s[step]): Seen(
            float(episode.times_s[step]),
            {name: batch.images[i][batch.windows[step]] for i, name in enumerate(CAMERAS)},
            batch.proprio[batch.windows[step]],
        )
        for step in range(len(decisions))
    }


@pytest.mark.parametrize("camera_rate_hz", [20.0, 30.0, 60.0])
def test_the_live_node_sees_the_windows_of_training(
    live: LiveNode, tmp_path: Path, camera_rate_hz: float
) -> None:
    folder = record_episode(tmp_path, camera_rate_hz)
    live.start_task()
    live.replay(folder)
    wanted = loaded(tmp_path, live.node._predictor.manifest)
    assert len(wanted) == int(DURATION_S * 20.0)
    live.wait_for(lambda: len(live.seen) >= len(wanted), "the last plan")
    assert [seen.observed_at_s for seen in live.seen] == list(wanted)
    for seen in live.seen:
        trained = wanted[seen.observed_at_s]
        torch.testing.assert_close(seen.proprio, trained.proprio, rtol=0, atol=0)
        for name in CAMERAS:
            # Training scales to [0, 1] first, serving inside its kernel: the pixels are compared.
            pixels = (255.0 * trained.images[name]).permute(0, 2, 3, 1)  # (T, rows, columns, 3)
            torch.testing.assert_close(pixels.round(), pixels, rtol=0, atol=1e-4)
            assert torch.equal(seen.images[name], pixels.round().to(torch.uint8))
