"""The camera node over ROS, with cameras that need neither a device nor a twin."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rclpy
import simplejpeg
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from mail_bringup.claims import claim_domain
from mail_cameras import conversions
from mail_cameras.camera_node import CameraNode
from mail_cameras.config import CameraConfig
from mail_policy.core.frame_ring import FrameRingLayout, FrameRingWriter
from mail_policy.core.frame_share import FrameOffer, SharedCamera
from tests.conftest import Measured

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
            self.listen(Image, f"{topic}/image_raw", self.images[name].append)
            self.listen(CameraInfo, f"{topic}/camera_info", self.infos[name].append)
        self.listen(DiagnosticArray, "/diagnostics", self.diagnostics.append)
        self.nodes: list[CameraNode] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def listen(self, kind: type, topic: str, callback: Callable[[object], None]) -> object:
        return self.listener.create_subscription(kind, topic, callback, qos_profile_sensor_data)

    def status(self, name: str) -> DiagnosticStatus:
        """Wait for the next diagnostics; return those of a camera."""
        count = len(self.diagnostics)
        wait_until(lambda: len(self.diagnostics) > count)
        (status,) = (s for s in self.diagnostics[-1].status if s.name == f"camera {name}")
        return status

    def _spin(self) -> None:
        while not self._stop.is_set():
            self.executor.spin_once(timeout_sec=0.05)

    def make_node(
        self, file: Path, run_id: str = "", kind: type = CameraNode, **parameters: object
    ) -> CameraNode:
        parameters |= {"config_file": str(file), "run_id": run_id}
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        node = kind(context=self._context, parameter_overrides=overrides)
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


def values_of(status: DiagnosticStatus) -> dict[str, str]:
    return {value.key: value.value for value in status.values}


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
    topic = "/camera/wrist/color/image_raw"
    wait_until(lambda: len(node.get_publishers_info_by_topic(topic)) == 1)


def test_pictures_are_offered_with_the_quality_of_sensor_data(bench, tmp_path):
    node = bench.make_node(camera_file(tmp_path, "simulated"))
    node.trigger_configure()
    for name in ("image_raw", "image_raw/compressed", "camera_info"):
        topic = f"/camera/wrist/color/{name}"
        wait_until(lambda topic=topic: bool(node.get_publishers_info_by_topic(topic)))
        (offer,) = node.get_publishers_info_by_topic(topic)
        assert offer.qos_profile.reliability is ReliabilityPolicy.BEST_EFFORT


def test_jpeg_is_made_only_while_somebody_listens(bench, tmp_path, monkeypatch):
    made = []
    convert = conversions.image_to_compressed_msg

    def count(*arguments: object) -> CompressedImage:
        made.append(1)
        return convert(*arguments)

    monkeypatch.setattr(conversions, "image_to_compressed_msg", count)
    node = bench.make_node(camera_file(tmp_path, "simulated"))
    node.trigger_configure()
    node.trigger_activate()
    wait_until(lambda: len(bench.images["wrist"]) > 5)
    assert not made
    packed: list[CompressedImage] = []
    topic = "camera/wrist/color/image_raw/compressed"
    subscription = bench.listen(CompressedImage, topic, packed.append)
    wait_until(lambda: len(packed) > 3)
    bench.listener.destroy_subscription(subscription)
    raw = {stamp_s(msg): msg for msg in bench.images["wrist"]}
    msg = next(msg for msg in packed if stamp_s(msg) in raw)
    assert msg.format == "rgb8; jpeg compressed bgr8"
    assert msg.header.frame_id == "wrist_color_optical_frame"
    image = simplejpeg.decode_jpeg(bytes(msg.data), colorspace="RGB")
    original = np.frombuffer(bytes(raw[stamp_s(msg)].data), np.uint8).reshape(image.shape)
    assert np.abs(image.astype(int) - original).mean() < 8.0

    def has_stopped() -> bool:
        count = len(made)
        time.sleep(0.1)
        return len(made) == count

    wait_until(has_stopped)


def test_health_is_reported(bench, tmp_path):
    node = bench.make_node(camera_file(tmp_path, "simulated"))
    node.trigger_configure()
    node.trigger_activate()
    wait_until(lambda: bool(bench.diagnostics))
    assert [s.name for s in bench.diagnostics[-1].status] == ["camera agentview", "camera wrist"]
    values = values_of(bench.status("wrist"))
    assert int(values["received"]) > 0
    assert values["backward"] == "0"
    assert float(values["silent_for_s"]) < 1.0


def device_file(folder: Path, **changes: object) -> Path:
    """Two devices, numbered from 2 to 1."""
    pytest.importorskip("pyrealsense2")
    values = {"rate_hz": 30, "serial": "'000000000001'", **changes}
    file = camera_file(folder, "realsense", **values)
    file.write_text(file.read_text().replace("'000000000001'", "'000000000002'", 1))
    return file


@pytest.mark.fault("F69", bound="refused, and names all that is missing")
def test_missing_devices_are_refused_at_configure_by_name(bench, tmp_path, capfd):
    node = bench.make_node(device_file(tmp_path))
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    said = ""

    def names_both() -> bool:
        nonlocal said
        said += capfd.readouterr().err
        return all(f"camera '{name}': no RealSense with serial" in said for name in NAMES)

    wait_until(names_both)
    assert "serials found: none" in said


def test_a_node_that_may_start_without_its_devices_says_what_is_missing(bench, tmp_path):
    node = bench.make_node(device_file(tmp_path), require_all=False)
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    node.trigger_activate()
    status = bench.status("wrist")
    assert status.level == DiagnosticStatus.ERROR
    assert "no RealSense with serial '000000000001'" in status.message
    assert status.hardware_id == "000000000001"


@pytest.mark.fault("F11", bound="refused at configure")
def test_devices_under_simulated_time_are_refused(bench, tmp_path, capfd):
    node = bench.make_node(device_file(tmp_path), use_sim_time=True, require_all=False)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    wait_until(lambda: "agentview, wrist are real cameras" in capfd.readouterr().err)


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
            stamps: list[float] = []
            while not bench.images["wrist"]:
                stamps.append(time.time())
                wrist.write(picture, stamps[-1], len(stamps))
                time.sleep(0.02)
                assert len(stamps) < 500
            msg = bench.images["wrist"][0]
            wait_until(lambda: bool(bench.infos["wrist"]))
            assert bytes(msg.data) == picture.tobytes()
            assert min(abs(stamp_s(msg) - stamp) for stamp in stamps) < 1e-6
            assert bench.infos["wrist"][0].k[0] == 20.0
            node.trigger_deactivate()
            node.trigger_cleanup()


# Devices of the SDK.


class Table:
    """The software devices that the node under test opens, by name."""

    def __init__(self) -> None:
        pytest.importorskip("pyrealsense2")
        from tests.unit.camera_rig import RunningDevice, SoftwareDevice, SoftwareSource

        self._make = (SoftwareSource, RunningDevice)
        # On a busy machine, a late reader would lose pictures that the test did not mean to lose.
        self._make_device = partial(SoftwareDevice, queue_size=100)
        self.sources: dict[str, SoftwareSource] = {}
        self.devices: dict[str, RunningDevice] = {}

    def make_camera(self, config: CameraConfig, now: Callable[[], float]) -> object:
        from mail_cameras.realsense_driver import RealSenseCamera
        from mail_cameras.stamp_clock import DeviceClock

        if config.name not in self.sources:
            source = self._make[0](config, partial(self._make_device, config))
            self.sources[config.name] = source
            self.devices[config.name] = self._make[1](source).__enter__()
        clock = DeviceClock(config.name, None)
        return RealSenseCamera(config, now, self.sources[config.name], clock)

    def close(self) -> None:
        for device in self.devices.values():
            device.__exit__(None, None, None)


@pytest.fixture
def table() -> Iterator[Table]:
    table = Table()
    yield table
    table.close()


@pytest.fixture
def software_node(bench, table) -> Callable[[Path], CameraNode]:
    class SoftwareCameraNode(CameraNode):
        def make_camera(self, config: CameraConfig, gate: object) -> object:
            return table.make_camera(config, self._now_s)

    def make(file: Path) -> CameraNode:
        node = bench.make_node(file, kind=SoftwareCameraNode)
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        wait_until(lambda: all(len(bench.images[name]) > 3 for name in NAMES))
        return node

    return make


@pytest.mark.fault("F1", bound="no picture while it is gone; back within 10 s; the other goes on")
def test_an_unplugged_camera_is_named_and_comes_back(
    bench, table, software_node, tmp_path, measured: Measured
) -> None:
    software_node(device_file(tmp_path))
    table.sources["wrist"].is_plugged = False
    wait_until(lambda: bench.status("wrist").level == DiagnosticStatus.ERROR)
    status = bench.status("wrist")
    assert status.level == DiagnosticStatus.ERROR
    assert "no RealSense" in status.message or "was unplugged" in status.message
    assert bench.status("agentview").level == DiagnosticStatus.OK
    counts = {name: len(bench.images[name]) for name in NAMES}
    wait_until(lambda: len(bench.images["agentview"]) > counts["agentview"] + 5)
    assert len(bench.images["wrist"]) == counts["wrist"]
    table.sources["wrist"].is_plugged = True
    returned_s = time.monotonic()
    wait_until(lambda: len(bench.images["wrist"]) > counts["wrist"])
    measured(f"{time.monotonic() - returned_s:.1f} s from plugging in to the next picture")


@pytest.mark.fault("F2", bound="not published, named within one report")
@pytest.mark.fault("F4", bound="not published, named within one report")
@pytest.mark.parametrize(("shade", "reason"), [(0, "black"), (90, "frozen")])
def test_pictures_that_are_worth_nothing_are_not_published(
    bench, table, software_node, tmp_path, shade, reason
) -> None:
    software_node(device_file(tmp_path))
    image = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    table.devices["wrist"].image = image if shade else np.zeros_like(image)
    wait_until(lambda: reason in bench.status("wrist").message)
    before, after = (bench.status("wrist") for _ in range(2))
    assert after.level == DiagnosticStatus.ERROR
    assert values_of(after)["published"] == values_of(before)["published"]
    assert int(values_of(after)["received"]) > int(values_of(before)["received"])
    count = len(bench.images["wrist"])
    same = [msg for msg in bench.images["wrist"] if bytes(msg.data) == image.tobytes()]
    assert len(same) <= 4
    table.devices["wrist"].image = None
    wait_until(lambda: len(bench.images["wrist"]) > count)


def test_every_lost_picture_is_counted(bench, table, software_node, tmp_path):
    software_node(device_file(tmp_path))
    for skip in (1, 3, 2):
        table.devices["wrist"].skip = skip
        count = len(bench.images["wrist"])
        wait_until(lambda count=count: len(bench.images["wrist"]) > count + 3)
    lost = {name: values_of(bench.status(name))["lost"] for name in NAMES}
    assert lost == {"wrist": "6", "agentview": "0"}


def test_depth_goes_with_the_picture_under_the_names_of_realsense_ros(
    bench, table, software_node, tmp_path
) -> None:
    depths: list[Image] = []
    infos: list[CameraInfo] = []
    topic = "camera/wrist/aligned_depth_to_color"
    bench.listen(Image, f"{topic}/image_raw", depths.append)
    bench.listen(CameraInfo, f"{topic}/camera_info", infos.append)
    software_node(device_file(tmp_path, depth="aligned"))
    table.devices["wrist"].depth = np.full((24, 32), 1234, np.uint16)
    wait_until(lambda: len(depths) > 3 and len(infos) > 3)
    depth = depths[-1]
    assert (depth.encoding, depth.step, depth.is_bigendian) == ("16UC1", 64, 0)
    assert depth.header.frame_id == "wrist_color_optical_frame"
    assert np.median(np.frombuffer(bytes(depth.data), np.uint16)) == 1234
    wait_until(lambda: stamp_s(depth) in {stamp_s(msg) for msg in bench.images["wrist"]})
    wait_until(lambda: stamp_s(depth) in {stamp_s(msg) for msg in infos})
    assert infos[-1].k.tolist() == bench.infos["wrist"][-1].k.tolist()
