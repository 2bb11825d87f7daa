"""Synthetic cameras of `mailctl bench camera`: what becomes of pictures whose truth is known.

Two software devices of the RealSense SDK take pictures at known instants, hand them over late,
and lose some; they go through the real driver, health and node. The listener compares the stamps
on the topic with the instants, and the losses in diagnostics with the pictures that never came.
"""

import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from mail_bringup.claims import claim_domain
from mail_cameras.camera_node import DIAGNOSTICS_PERIOD_S, CameraNode
from mail_cameras.config import CameraConfig
from mail_cameras.realsense_driver import RealSenseCamera
from mail_cameras.stamp_clock import DeviceClock
from mail_cameras.start_gate import StartGate
from tests.unit.camera_rig import GLOBAL_TIME, SoftwareSource, rs, scene

HEIGHT, WIDTH, RATE_HZ = 480, 640, 30.0
LEAST_DELAY_S = 0.02
DROP_SHARE = 0.04
CALIBRATION_S = 6.0
CAMERAS = f"""
cameras:
  - {{name: global_time, driver: realsense, serial: "1", frame_id: a,
      image_width: {WIDTH}, image_height: {HEIGHT}, rate_hz: {RATE_HZ}}}
  - {{name: own_clock, driver: realsense, serial: "2", frame_id: b,
      image_width: {WIDTH}, image_height: {HEIGHT}, rate_hz: {RATE_HZ},
      transport_latency_s: %s}}
"""


@dataclass
class Synthetic:
    """A device that takes pictures at known instants.

    Attributes:
        config: Of its camera.
        source: The software device.
        has_own_clock: It stamps with its own drifting clock instead of the computer's.
        captured_at_s: When each picture was taken [s], by number; also those that were lost.
        injected: Pictures that it lost on purpose.
    """

    config: CameraConfig
    source: SoftwareSource
    has_own_clock: bool
    captured_at_s: dict[int, float] = field(default_factory=dict)
    injected: int = 0

    def __post_init__(self) -> None:
        # Drawing takes longer than a camera has between two pictures.
        self._scenes = [scene(number, WIDTH, HEIGHT) for number in range(8)]

    def run(self, duration_s: float, seed: int) -> None:
        """Take pictures, hand them over after 20 ms and a varying delay, and lose some."""
        generator = np.random.default_rng((seed, self.has_own_clock))
        start_s, handed_s = time.time() + 0.1, 0.0
        for number in range(1, round(duration_s * RATE_HZ)):
            captured_s = start_s + number / RATE_HZ
            handed_s = max(handed_s, captured_s + LEAST_DELAY_S + generator.exponential(0.004))
            self.captured_at_s[number] = captured_s
            if generator.random() < DROP_SHARE:
                self.injected += 1
                continue
            stamp_s, domain = captured_s, GLOBAL_TIME
            if self.has_own_clock:
                stamp_s = 321.0 + (captured_s - start_s) * (1.0 + 3e-5)
                domain = rs.timestamp_domain.hardware_clock
            image = self._scenes[number % len(self._scenes)].copy()
            image[0, 0] = number >> 8, number & 255, 0
            time.sleep(max(0.0, handed_s - time.time()))
            self.source.device.push(number, stamp_s, domain, image)


class SyntheticNode(CameraNode):
    """The camera node over software devices."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.devices: dict[str, Synthetic] = {}

    def make_camera(self, config: CameraConfig, gate: StartGate) -> RealSenseCamera:
        """Make the camera of a device, which stays the same when the camera is opened again."""
        if config.name not in self.devices:
            has_own_clock = config.transport_latency_s is not None
            device = Synthetic(config, SoftwareSource(config), has_own_clock)
            self.devices[config.name] = device
        clock = DeviceClock(config.name, config.transport_latency_s)
        return RealSenseCamera(config, self._now_s, self.devices[config.name].source, clock)


class Listener:
    """Hears pictures and diagnostics."""

    def __init__(self, context: Context, names: Sequence[str]) -> None:
        self.node = Node("listener", context=context)
        self.stamps: dict[str, dict[int, float]] = {name: {} for name in names}
        self.values: dict[str, dict[str, str]] = {}
        for name in names:
            self.node.create_subscription(
                Image, f"camera/{name}/color/image_raw", self._noter(name), qos_profile_sensor_data
            )
        self.node.create_subscription(
            DiagnosticArray, "/diagnostics", self._on_diagnostics, qos_profile_sensor_data
        )

    def _noter(self, name: str) -> Callable[[Image], None]:
        def note(msg: Image) -> None:
            number = 256 * msg.data[0] + msg.data[1]
            stamp = msg.header.stamp
            self.stamps[name][number] = stamp.sec + 1e-9 * stamp.nanosec

        return note

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            name = status.name.removeprefix("camera ")
            self.values[name] = {value.key: value.value for value in status.values}


@dataclass
class Account:
    """What became of the pictures of a device.

    Attributes:
        case: How it stamps.
        pictures: Pictures that reached the listener.
        injected: Pictures that the device lost on purpose.
        missing: Pictures between the first and the last that never reached the listener.
        counted: Of these, those that diagnostics count.
        errors_ms: Stamp on the topic less capture [ms].
    """

    case: str
    pictures: int
    injected: int
    missing: int
    counted: int
    errors_ms: NDArray[np.float64]

    @property
    def error_ms_max(self) -> float:
        """Largest error of a stamp [ms]."""
        return float(np.abs(self.errors_ms).max())

    def row(self) -> dict[str, object]:
        """Return it for the table."""
        facts = {key: value for key, value in vars(self).items() if key != "errors_ms"}
        return {**facts, "error_ms_max": self.error_ms_max}


def observe_synthetic(duration_s: float, transport_latency_s: float, seed: int) -> list[Account]:
    """Run the camera node over two synthetic devices; return what became of their pictures."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        domain = stack.enter_context(claim_domain(folder)).value
        file = folder / "cameras.yaml"
        file.write_text(CAMERAS % transport_latency_s)
        context = Context()
        rclpy.init(context=context, domain_id=int(domain))
        stack.callback(context.try_shutdown)
        overrides = [Parameter("config_file", value=str(file))]
        node = SyntheticNode(context=context, parameter_overrides=overrides)
        stack.callback(node.close)
        node.trigger_configure()
        listener = Listener(context, list(node.devices))
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        executor.add_node(listener.node)
        stack.callback(executor.shutdown)
        threading.Thread(target=executor.spin, daemon=True).start()
        node.trigger_activate()
        # The listener is found.
        time.sleep(0.5)
        run_together([partial(device.run, duration_s, seed) for device in node.devices.values()])
        # The last pictures and the diagnostics that count them arrive.
        time.sleep(1.5 * DIAGNOSTICS_PERIOD_S)
        return [account(device, listener) for device in node.devices.values()]


def run_together(works: Sequence[Callable[[], None]]) -> None:
    """Run works in threads of their own until all have ended. Raises what one of them raised."""
    with ThreadPoolExecutor(len(works)) as pool:
        for future in [pool.submit(work) for work in works]:
            future.result()


def account(device: Synthetic, listener: Listener) -> Account:
    """Compare what a device did with what the listener heard."""
    stamps, values = listener.stamps[device.config.name], listener.values[device.config.name]
    errors_ms = [1000.0 * (stamps[number] - device.captured_at_s[number]) for number in stamps]
    dropped = int(values["received"]) - int(values["published"])
    return Account(
        case=f"stamps: {device.config.name}",
        pictures=len(stamps),
        injected=device.injected,
        missing=max(stamps) - min(stamps) + 1 - len(stamps),
        counted=int(values["lost"]) + dropped,
        errors_ms=np.array(errors_ms),
    )


def measured_latency_s() -> float:
    """Calibrate: return the least time from capture to arrival, as a user would measure it [s].

    The device needs 20 ms; what the SDK and the thread's waking add depends on the machine.
    """
    *_, own_clock = observe_synthetic(CALIBRATION_S, LEAST_DELAY_S, seed=1)
    return LEAST_DELAY_S + 1e-3 * float(np.median(own_clock.errors_ms))
