"""The camera node over ROS, with cameras that need neither a device nor a twin."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image

from mail_bringup.claims import claim_domain
from mail_cameras.camera_node import CameraNode
from mail_policy.core.frame_ring import FrameRingLayout, FrameRingWriter
from mail_policy.core.frame_share import FrameOffer, SharedCamera

LIMIT_S = 10.0
NAMES = ("agentview", "wrist")


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s, "the condition did not come true in time"
        time.sleep(0.005)


def camera_file(folder: Path, driver: str, **changes: object) -> Path:
    lines = ["cameras:"]
    for name in NAMES:
        values = {
            "name": name,
            "driver": driver,
            "image_width": 32,
            "image_height": 24,
            "rate_hz": 50,
            "frame_id": f"{name}_color_optical_frame",
            **changes,
        }
        entries = [f"{key}: {value}" for key, value in values.items()]
        lines += [f"  - {entries[0]}", *(f"    {entry}" for entry in entries[1:])]
    file = folder / "cameras.yaml"
    file.write_text("\n".join(lines) + "\n")
    return file


class Bench:
    """The node under test and a node that listens."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.executor = SingleThreadedExecutor(context=context)
        self.listener = Node("listener", context=context)
        self.executor.add_node(self.listener)
        self.images: dict[str, list[Image]] = {name: [] for name in NAMES}
        self.infos: dict[str, list[CameraInfo]] = {name: [] for name in NAMES}
        self.diagnostics: list[DiagnosticArray] = []
        for name in NAMES:
            topic = f"camera/{name}/color"
            self._listen(Image, f"{topic}/image_raw", self.images[name].append)
            self._listen(CameraInfo, f"{topic}/camera_info", self.infos[name].append)
        self._listen(DiagnosticArray, "/diagnostics", self.diagnostics.append)
        self.nodes: list[CameraNode] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def _listen(self, kind: type, topic: str, callback: Callable[[object], None]) -> None:
        self.listener.create_subscription(kind, topic, callback, qos_profile_sensor_data)

    def _spin(self) -> None:
        while not self._stop.is_set():
            self.executor.spin_once(timeout_sec=0.05)

    def make_node(self, file: Path, run_id: str = "") -> CameraNode:
        node = CameraNode(
            context=self._context,
            parameter_overrides=[
                Parameter("config_file", value=str(file)),
                Parameter("run_id", value=run_id),
            ],
        )
        self.nodes.append(node)
        self.executor.add_node(node)
        return node

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        for node in (*self.nodes, self.listener):
            if isinstance(node, CameraNode):
                node.close()
            node.destroy_node()
        self.executor.shutdown()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with claim_domain(tmp_path) as claim:
        context = Context()
        rclpy.init(context=context, domain_id=int(claim.value))
        bench = Bench(context)
        yield bench
        bench.close()
        context.try_shutdown()


def stamp_s(msg: Image | CameraInfo) -> float:
    return msg.header.stamp.sec + 1e-9 * msg.header.stamp.nanosec


def test_active_cameras_publish_pictures_with_capture_stamps_and_optics(bench, tmp_path):
    node = bench.make_node(camera_file(tmp_path, "simulated"))
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert not bench.images["wrist"]
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    wait_until(lambda: all(len(bench.images[name]) > 5 for name in NAMES))
    wait_until(lambda: all(len(bench.infos[name]) > 5 for name in NAMES))
    image, info = bench.images["wrist"][0], bench.infos["wrist"][0]
    assert (image.width, image.height, image.step, image.encoding) == (32, 24, 96, "rgb8")
    assert len(image.data) == 24 * 96
    assert image.header.frame_id == info.header.frame_id == "wrist_color_optical_frame"
    assert (info.width, info.height) == (32, 24)
    assert info.k[0] > 0.0
    stamps = [stamp_s(msg) for msg in bench.images["wrist"]]
    assert np.allclose(np.diff(stamps) * 50, np.round(np.diff(stamps) * 50), atol=1e-3)
    assert {stamp_s(msg) for msg in bench.infos["wrist"]} & set(stamps)
    # Simulated cameras take their pictures at whole multiples of the period.
    assert stamps[0] * 50 == pytest.approx(round(stamps[0] * 50), abs=1e-3)


def test_an_inactive_node_is_silent_and_can_be_activated_again(bench, tmp_path):
    node = bench.make_node(camera_file(tmp_path, "simulated"))
    node.trigger_configure()
    node.trigger_activate()
    wait_until(lambda: bool(bench.images["wrist"]))
    node.trigger_deactivate()
    time.sleep(0.1)  # What is on its way arrives.
    count = len(bench.images["wrist"])
    time.sleep(0.2)
    assert len(bench.images["wrist"]) == count
    node.trigger_activate()
    wait_until(lambda: len(bench.images["wrist"]) > count)
    node.trigger_deactivate()
    assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS


def test_health_is_reported(bench, tmp_path):
    node = bench.make_node(camera_file(tmp_path, "simulated"))
    node.trigger_configure()
    node.trigger_activate()
    wait_until(lambda: bool(bench.diagnostics))
    statuses = {status.name: status for status in bench.diagnostics[-1].status}
    assert set(statuses) == {"camera agentview", "camera wrist"}
    values = {value.key: value.value for value in statuses["camera wrist"].values}
    assert int(values["received"]) > 0
    assert values["backward"] == "0"
    assert float(values["silent_for_s"]) < 1.0


def test_a_missing_device_is_refused_at_configure(bench, tmp_path, capfd):
    pytest.importorskip("pyrealsense2")
    file = camera_file(tmp_path, "realsense", serial="'000000000001'")
    file.write_text(file.read_text().replace("'000000000001'", "'000000000002'", 1))
    node = bench.make_node(file)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    wait_until(lambda: "serials found: none" in capfd.readouterr().err)


def test_a_wrong_file_is_refused_at_configure(bench, tmp_path, capfd):
    node = bench.make_node(camera_file(tmp_path, "webcam"))
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    wait_until(lambda: "webcam" in capfd.readouterr().err)


def test_pictures_of_a_twin_reach_the_topic_unchanged(bench, tmp_path):
    layout = FrameRingLayout(image_height=24, image_width=32)
    shared = SharedCamera(layout=layout, focal_length_px=20.0, rate_hz=20.0)
    run_id = f"test{secrets.token_hex(4)}"
    generator = np.random.default_rng(0)
    with FrameRingWriter(layout) as agentview, FrameRingWriter(layout) as wrist:
        cameras = {"agentview": (shared, agentview), "wrist": (shared, wrist)}
        with FrameOffer(run_id, cameras):
            node = bench.make_node(camera_file(tmp_path, "twin"), run_id)
            assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
            node.trigger_activate()
            picture = generator.integers(0, 256, (24, 32, 3), dtype=np.uint8)
            number = 0
            while not bench.images["wrist"]:
                number += 1
                wrist.write(picture, 0.05 * number, number)
                time.sleep(0.02)
                assert number < 500
            msg = bench.images["wrist"][0]
            wait_until(lambda: bool(bench.infos["wrist"]))
            assert bytes(msg.data) == picture.tobytes()
            assert stamp_s(msg) / 0.05 == pytest.approx(round(stamp_s(msg) / 0.05), abs=1e-6)
            assert bench.infos["wrist"][0].k[0] == 20.0
            node.trigger_deactivate()
            node.trigger_cleanup()
