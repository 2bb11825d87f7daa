"""What any program on the ROS graph may try on our nodes, and is refused."""

from pathlib import Path

import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image, JointState

from mail_bringup.claims import claim_domain
from mail_policy_ros.conversions import LARGEST_SIDE_PX, image_from_msg, joints_from_msg
from mail_ros.parameters import freeze_parameters
from tests.ros.interface_nodes import MAKERS

# rclpy changes this one by itself while it declares things; it says nothing about our nodes.
_OF_RCLPY = {"start_type_description_service"}


@pytest.fixture
def context(tmp_path: Path):
    with claim_domain(tmp_path) as claim:
        made = Context()
        rclpy.init(context=made, domain_id=int(claim.value))
        yield made
        made.try_shutdown()


def changed(node: Node, name: str) -> Parameter:
    """Return another value of the same type."""
    value = node.get_parameter(name).value
    if isinstance(value, bool):
        return Parameter(name, value=not value)
    if isinstance(value, int | float):
        return Parameter(name, value=value + 1)
    if isinstance(value, str):
        return Parameter(name, value=f"{value}x")
    return Parameter(name, value=[*value, *value, "x"])


@pytest.mark.fault("F33", bound="no parameter of any node can be changed while it runs")
@pytest.mark.parametrize("make", MAKERS.values(), ids=[name for _, name in MAKERS])
def test_no_parameter_can_be_changed_while_a_node_runs(make, context, tmp_path) -> None:
    with make(context, tmp_path) as described:
        for node, *_ in described:
            names = set(node._parameters) - _OF_RCLPY
            assert "use_sim_time" in names
            before = {name: node.get_parameter(name).value for name in names}
            for name in sorted(names):
                (answer,) = node.set_parameters([changed(node, name)])
                assert not answer.successful, f"{node.get_name()} lets {name} be changed"
                assert "read-only" in answer.reason
            assert {name: node.get_parameter(name).value for name in names} == before


def test_without_the_guard_the_clock_of_a_node_could_be_taken_over(context) -> None:
    node = Node("plain", context=context)
    change = [Parameter("use_sim_time", value=True)]
    freeze_parameters(node)
    assert not node.set_parameters(change)[0].successful
    node._on_set_parameters_callbacks.pop(0)
    assert node.set_parameters(change)[0].successful, (
        "rclpy guards it now: freeze_parameters can go"
    )
    node.destroy_node()


def picture(height: int, width: int, **changes: object) -> Image:
    msg = Image(height=height, width=width, step=3 * width, encoding="rgb8")
    for name, value in changes.items():
        setattr(msg, name, value)
    return msg


@pytest.mark.fault("F63", bound="an oversized or lying picture is refused before it is copied")
@pytest.mark.parametrize(
    "msg",
    [
        picture(LARGEST_SIDE_PX + 1, 1, data=bytes(3 * (LARGEST_SIDE_PX + 1))),
        picture(1, LARGEST_SIDE_PX + 1, data=bytes(3 * (LARGEST_SIDE_PX + 1))),
        picture(2**32 - 1, 2**30),
        picture(2**32 - 1, 0),
        picture(4, 4, data=bytes(47)),
        picture(4, 4, data=bytes(49)),
        picture(4, 4, step=2**32 - 1, data=bytes(48)),
        picture(0, 0),
        picture(4, 4, encoding="bgr8", data=bytes(48)),
        picture(4, 4, encoding="\u202ergb8", data=bytes(48)),
    ],
    ids=lambda msg: f"{msg.width}x{msg.height} {msg.encoding!r} {len(msg.data)}",
)
def test_a_picture_that_lies_or_is_too_large_is_refused(msg: Image) -> None:
    with pytest.raises(ValueError, match="image"):
        image_from_msg(msg)


def test_a_sound_picture_is_not_copied() -> None:
    msg = picture(4, 4, data=bytes(range(48)))
    image = image_from_msg(msg)
    assert image.shape == (4, 4, 3)
    assert np.shares_memory(image, np.frombuffer(msg.data, dtype=np.uint8))


@pytest.mark.parametrize("count", [0, 8, 10, 100_000])
def test_joint_states_of_another_length_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="7 joints and 2 fingers"):
        joints_from_msg(JointState(position=[0.0] * count))
