"""Ways from a camera's thread to the policy's callback, as processes of `mailctl bench camera`.

    python -m tests.bench.camera_transport ROLE DURATION_S RUN_ID BUSY

A sender has three cameras of 640x480, which take their pictures at the same instant, 30 times a
second: the hardest case. A receiver notes how long each picture took from the thread that had it
to the callback that can use it, and prints that as JSON when its standard input ends.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
import rclpy
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from mail_cameras.conversions import header, image_to_msg
from mail_policy.core.frame_ring import FrameRingLayout, FrameRingWriter
from mail_policy.core.frame_share import FrameOffer, NoOfferError, SharedCamera, SharedFrames
from mail_policy.core.types import CameraFrame
from mail_policy_ros.conversions import image_from_msg
from mail_ros.conversions import stamp_to_seconds

NAMES = ("agentview", "wrist", "side")
HEIGHT, WIDTH, RATE_HZ = 480, 640, 30.0
LIMIT_S = 20.0
# The first pictures pay for opening shared memory and filling caches.
WARM_UP_PICTURES = 45
Send = Callable[[str, CameraFrame], None]


class Receipts:
    """What a receiver got."""

    def __init__(self) -> None:
        self._latencies_ms: list[float] = []
        self._cpu_s = time.process_time()

    def note(self, captured_at_s: float, image: np.ndarray) -> None:
        """Note a picture that can be used now."""
        self._latencies_ms.append(1000.0 * (time.time() - captured_at_s))
        if image.shape != (HEIGHT, WIDTH, 3):
            raise ValueError(f"got a picture of shape {image.shape}")
        if len(self._latencies_ms) == 1:
            self._cpu_s = time.process_time()

    def print(self) -> None:
        """Print how many pictures came, and latencies and processor time."""
        said = {
            "received": len(self._latencies_ms),
            "latencies_ms": self._latencies_ms[WARM_UP_PICTURES:],
            "cpu_s": time.process_time() - self._cpu_s,
        }
        print(json.dumps(said), flush=True)


def take_pictures(duration_s: float, send: Send) -> None:
    """Let three cameras send, each from a thread of its own; print how many and at what cost."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (4, HEIGHT, WIDTH, 3), dtype=np.uint8)
    cpu_s, start_s = time.process_time(), time.monotonic() + 0.1
    count = round(duration_s * RATE_HZ)

    def run(name: str) -> None:
        for number in range(1, count + 1):
            time.sleep(max(0.0, start_s + number / RATE_HZ - time.monotonic()))
            now_s = time.time()
            send(name, CameraFrame(images[number % len(images)], now_s, now_s, number))

    threads = [threading.Thread(target=run, args=(name,)) for name in NAMES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"sent": 3 * count, "cpu_s": time.process_time() - cpu_s}), flush=True)


def think(stop: threading.Event) -> None:
    """Keep the processor as busy as a policy does: 50 ms of decision ten times a second."""
    weights = np.random.default_rng(0).normal(size=(384, 384)).astype(np.float32)
    while not stop.wait(0.05):
        end_s = time.monotonic() + 0.05
        while time.monotonic() < end_s:
            weights = np.tanh(weights @ weights)


def until_input_ends(busy: bool, wait: Callable[[threading.Event], None]) -> None:
    """Run a receiver, and a policy that thinks beside it, until the standard input ends."""
    stop = threading.Event()
    threads = [threading.Thread(target=lambda: (sys.stdin.read(), stop.set()))]
    if busy:
        threads.append(threading.Thread(target=think, args=(stop,)))
    for thread in threads:
        thread.start()
    wait(stop)
    for thread in threads:
        thread.join()


def spin(node: Node) -> Callable[[threading.Event], None]:
    """Return what serves a node until it is stopped."""

    def wait(stop: threading.Event) -> None:
        executor = EventsExecutor()
        executor.add_node(node)
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.2)

    return wait


def wait_for_listeners(publishers: list) -> None:
    """Wait until all publishers have a listener."""
    deadline_s = time.monotonic() + LIMIT_S
    while not all(publisher.get_subscription_count() for publisher in publishers):
        if time.monotonic() > deadline_s:
            raise TimeoutError("nobody listens")
        time.sleep(0.05)


def send_topics(duration_s: float, run_id: str, busy: bool) -> None:
    """Publish pictures as the camera node does."""
    node = Node("sender")
    publishers = {
        name: node.create_publisher(Image, f"camera/{name}", qos_profile_sensor_data)
        for name in NAMES
    }
    wait_for_listeners(list(publishers.values()))

    def send(name: str, frame: CameraFrame) -> None:
        publishers[name].publish(image_to_msg(frame.image, header(frame, name)))

    take_pictures(duration_s, send)


def receive_topics(duration_s: float, run_id: str, busy: bool) -> None:
    """Subscribe as the policy node does."""
    node, receipts = Node("receiver"), Receipts()

    def on_image(msg: Image) -> None:
        receipts.note(stamp_to_seconds(msg.header.stamp), image_from_msg(msg))

    for name in NAMES:
        node.create_subscription(Image, f"camera/{name}", on_image, qos_profile_sensor_data)
    until_input_ends(busy, spin(node))
    receipts.print()


def send_ring(duration_s: float, run_id: str, busy: bool) -> None:
    """Write pictures into shared memory, and publish their stamps."""
    layout = FrameRingLayout(image_height=HEIGHT, image_width=WIDTH)
    shared = SharedCamera(layout=layout, focal_length_px=600.0, rate_hz=RATE_HZ)
    node = Node("sender")
    publisher = node.create_publisher(Header, "pictures", qos_profile_sensor_data)
    with ExitStack() as stack:
        rings = {name: stack.enter_context(FrameRingWriter(layout)) for name in NAMES}
        offered = {name: (shared, ring) for name, ring in rings.items()}
        stack.enter_context(FrameOffer(run_id, offered))
        wait_for_listeners([publisher])

        def send(name: str, frame: CameraFrame) -> None:
            rings[name].write(frame.image, frame.captured_at_s, frame.sequence)
            publisher.publish(header(frame, name))

        take_pictures(duration_s, send)


def receive_ring(duration_s: float, run_id: str, busy: bool) -> None:
    """Read the newest picture of a camera whenever its stamp arrives."""
    node, receipts = Node("receiver"), Receipts()
    with ExitStack() as stack:
        shares = {name: stack.enter_context(open_share(run_id, name)) for name in NAMES}

        def on_header(msg: Header) -> None:
            frame = shares[msg.frame_id].ring.read_newest()
            if frame is not None:
                receipts.note(frame.captured_at_s, frame.image)

        node.create_subscription(Header, "pictures", on_header, qos_profile_sensor_data)
        until_input_ends(busy, spin(node))
    receipts.print()


def open_share(run_id: str, name: str) -> SharedFrames:
    """Wait for a sender's offer."""
    deadline_s = time.monotonic() + LIMIT_S
    while True:
        try:
            with SharedFrames(run_id, name):
                return SharedFrames(run_id, name)
        except NoOfferError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.05)


def composed(duration_s: float, run_id: str, busy: bool) -> None:
    """Hand pictures to the policy's thread within one process, without a copy."""
    receipts, newest, changed = Receipts(), {}, threading.Condition()

    def send(name: str, frame: CameraFrame) -> None:
        with changed:
            newest[name] = frame
            changed.notify()

    def serve(stop: threading.Event) -> None:
        sender = threading.Thread(target=take_pictures, args=(duration_s, send))
        sender.start()
        while not stop.is_set():
            with changed:
                changed.wait_for(lambda: newest or stop.is_set(), timeout=0.2)
                frames = list(newest.values())
                newest.clear()
            for frame in frames:
                receipts.note(frame.captured_at_s, frame.image)
        sender.join()

    until_input_ends(busy, serve)
    receipts.print()


ROLES = {
    "send-topics": send_topics,
    "receive-topics": receive_topics,
    "send-ring": send_ring,
    "receive-ring": receive_ring,
    "composed": composed,
}


def main() -> None:
    """Play a role."""
    role, duration_s, run_id, busy = sys.argv[1:]
    rclpy.init()
    ROLES[role](float(duration_s), run_id, busy == "busy")
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
