"""Publishes pictures of cameras, and the states of an arm, at exact rates; counts what it sent.

Says "ready" once everything is heard, begins when it is told anything, then says its counts.
"""

import argparse
import array
import json
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable

import rclpy
from builtin_interfaces.msg import Time
from mail_msgs.msg import ArmState
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image, JointState

from tests.bench.recording.scenes import HEIGHT, WIDTH, frames

PICTURE_HZ, STATE_HZ = 30, 100
SECOND_NS = 1_000_000_000
# Behind the encapsulation of a serialized message.
STAMP_OFFSET = 4
# As the arm's node sends its state.
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# Sends the message of a number, with the stamp of its instant [ns].
Send = Callable[[int, int], None]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cameras", nargs="*", default=[])
    parser.add_argument("--states", action="store_true")
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    rclpy.init()
    node, sent = Node("source"), Counter()
    streams = [(PICTURE_HZ, camera(node, name, sent)) for name in options.cameras]
    if options.states:
        streams += [(STATE_HZ, states(node, sent))]
    print("ready", flush=True)
    sys.stdin.readline()
    publish(streams, options.seconds)
    print(json.dumps(sent), flush=True)
    # What lies in shared memory is gone with this process.
    sys.stdin.readline()
    rclpy.try_shutdown()


def camera(node: Node, name: str, sent: Counter[str]) -> Send:
    """Return what publishes the pictures of a camera."""
    topic = f"/camera/{name}/color/image_raw"
    publisher = node.create_publisher(Image, topic, qos_profile_sensor_data)
    wait_until_heard(publisher)
    messages = []
    for picture in frames(sum(map(ord, name))):
        image = Image(height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH)
        image.header.frame_id = f"{name}_color_optical_frame"
        image.data = array.array("B", picture.tobytes())
        messages.append(bytearray(serialize_message(image)))

    def send(number: int, stamp_ns: int) -> None:
        message = messages[number % len(messages)]
        struct.pack_into("<iI", message, STAMP_OFFSET, *divmod(stamp_ns, SECOND_NS))
        publisher.publish(bytes(message))
        sent[topic] += 1

    return send


def states(node: Node, sent: Counter[str]) -> Send:
    """Return what publishes the states of an arm."""
    joints = node.create_publisher(JointState, "/joint_states", qos_profile_sensor_data)
    arm = node.create_publisher(ArmState, "/arm/state", LATCHED)
    wait_until_heard(joints, arm)
    names = [f"fr3_joint{i}" for i in range(1, 10)]
    joint_state = JointState(name=names, position=[0.1] * 9)
    arm_state = ArmState(state="policy", lease_holder="policy", may_move=True)

    def send(number: int, stamp_ns: int) -> None:
        sec, nanosec = divmod(stamp_ns, SECOND_NS)
        joint_state.header.stamp = arm_state.header.stamp = Time(sec=sec, nanosec=nanosec)
        joints.publish(joint_state)
        arm.publish(arm_state)
        sent["/joint_states"] += 1
        sent["/arm/state"] += 1

    return send


def wait_until_heard(*publishers: Publisher) -> None:
    while not all(publisher.get_subscription_count() for publisher in publishers):
        time.sleep(0.01)


def publish(streams: list[tuple[int, Send]], seconds: float) -> None:
    """Send every message at its instant; one that is late is sent at once, none is left out.

    Stamps are those of the instants, as of a camera that is on time while its driver is late.
    """
    events = sorted(
        (number / rate_hz, index, number)
        for index, (rate_hz, _) in enumerate(streams)
        for number in range(round(rate_hz * seconds))
    )
    began_s, began_ns = time.monotonic(), time.time_ns()
    for at_s, index, number in events:
        time.sleep(max(0.0, began_s + at_s - time.monotonic()))
        streams[index][1](number, began_ns + round(at_s * SECOND_NS))


if __name__ == "__main__":
    main()
