"""First contact with a node in another process."""

import time

import pytest
from rcl_interfaces.srv import GetParameters
from rclpy.node import Node

PING_LIMIT_S = 1.0


def wait_until_reachable(node: Node, name: str, limit_s: float) -> None:
    """Wait until a node answers us; the caller's executor must be turning.

    Discovery is not symmetric: we may see a service whose node does not see us yet, and DDS drops
    its answer. A state transition must not be asked for twice; this question may be.
    """
    client = node.create_client(GetParameters, f"{name}/get_parameters")
    assert client.wait_for_service(limit_s), f"{name} is not there"
    deadline_s = time.monotonic() + limit_s
    while time.monotonic() < deadline_s:
        future = client.call_async(GetParameters.Request())
        retry_s = time.monotonic() + PING_LIMIT_S
        while not future.done() and time.monotonic() < retry_s:
            time.sleep(0.01)
        if future.done():
            return
    pytest.fail(f"{name} did not answer within {limit_s} s")
