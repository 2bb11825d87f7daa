"""Who can reach a process of a stack over a network: nobody. Read from the kernel, not from DDS."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mail_bringup.claims import claim_domain
from mail_bringup.places import DOMAIN_VARIABLE, state_folder
from mail_bringup.processes import environment

LOOPBACK = ("127.", "::1")
FIRST_CHOSEN_PORT = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
# Two nodes in processes of their own: each says where it listens, then they must meet.
_NODE = """
import sys, time
import psutil, rclpy
from std_msgs.msg import Bool
rclpy.init()
node = rclpy.create_node(sys.argv[1])
heard = []
node.create_subscription(Bool, sys.argv[2], heard.append, 1)
publisher = node.create_publisher(Bool, sys.argv[1], 1)
for found in psutil.Process().net_connections("inet"):
    print("socket", found.laddr.ip, found.laddr.port, flush=True)
until = time.monotonic() + 30.0
while time.monotonic() < until and not (heard and publisher.get_subscription_count()):
    publisher.publish(Bool())
    rclpy.spin_once(node, timeout_sec=0.05)
for _ in range(20):
    publisher.publish(Bool())
    time.sleep(0.05)
print("heard" if heard else "alone", flush=True)
node.destroy_node()
rclpy.shutdown()
"""


def run_pair(variables: dict[str, str]) -> list[str]:
    """Run two nodes that listen to each other; return the lines that they print."""
    pair = [
        subprocess.Popen(
            [sys.executable, "-c", _NODE, *names], env=variables, stdout=subprocess.PIPE, text=True
        )
        for names in (("a", "b"), ("b", "a"))
    ]
    return [line for process in pair for line in process.communicate(timeout=90)[0].splitlines()]


@pytest.fixture
def variables() -> Iterator[dict[str, str]]:
    with claim_domain(state_folder()) as claim:
        yield {**os.environ, **environment(), DOMAIN_VARIABLE: claim.value}


def listening(lines: list[str]) -> list[str]:
    """Return the addresses at which DDS takes packets.

    It sends from sockets with ports that the kernel chose, and never reads those.
    """
    found = [line.split()[1:] for line in lines if line.startswith("socket")]
    return [address for address, port in found if int(port) < FIRST_CHOSEN_PORT]


def test_a_stack_listens_on_loopback_only_and_its_nodes_still_meet(variables) -> None:
    lines = run_pair(variables)
    addresses = listening(lines)
    assert len(addresses) >= 4, lines
    assert [a for a in addresses if not a.startswith(LOOPBACK)] == []
    assert lines.count("heard") == 2


def test_without_our_profile_it_would_listen_everywhere(variables) -> None:
    """The reason for the profile: the discovery range alone does not close a socket."""
    del variables["FASTRTPS_DEFAULT_PROFILES_FILE"]
    lines = run_pair(variables)
    assert "0.0.0.0" in listening(lines), "the white list can go"


def test_every_way_to_start_something_of_ours_stays_on_this_machine() -> None:
    root = Path(__file__).parents[2]
    assert environment()["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert environment()["FASTRTPS_DEFAULT_PROFILES_FILE"].endswith("fastdds_shm.xml")
    for name in ("Makefile", "docker/compose.yaml"):
        text = (root / name).read_text()
        assert "ROS_AUTOMATIC_DISCOVERY_RANGE" in text, name
    bringup = root / "ros2_ws/src/mail_bringup/mail_bringup"
    # Whoever opens a context outside a stack says so itself.
    for name in ("commands.py", "session.py", "launch_adapter.py"):
        text = (bringup / name).read_text()
        assert "environment()" in text or "ROS_AUTOMATIC_DISCOVERY_RANGE" in text, name
