"""What arm and gripper say while a person moves them, as messages of an episode."""

import numpy as np

from data_collection import messages, topics
from data_collection.writer import EpisodeWriter


def write_arm_state(writer: EpisodeWriter, at_s: float) -> None:
    """Write an arm that a person commands to turn all joints with 1 rad/s."""
    point, turn = (
        messages.message_type(f"geometry_msgs/msg/{name}") for name in ("Point", "Quaternion")
    )
    pose = messages.message_type("geometry_msgs/msg/Pose")(
        position=point(x=0.0, y=0.0, z=0.0), orientation=turn(x=0.0, y=0.0, z=0.0, w=1.0)
    )
    state = messages.message_type("mail_msgs/msg/ArmState")
    fields = dict.fromkeys(("cause", "task", "robot_mode", "errors"), "")
    numbers = dict.fromkeys(
        ("robot_time", "control_success_rate", "lease_epoch", "accepted_chunks", "rejected_chunks"),
        0,
    )
    still = np.zeros(7)
    message = state(
        header=messages.header(messages.seconds_to_ns(at_s)),
        state="teleop",
        lease_holder="teleop",
        may_move=True,
        robot_type="fr3",
        joint_positions=still,
        joint_velocities=still,
        set_point=np.full(7, at_s),
        external_torques=still,
        tcp_pose=pose,
        tcp_target=pose,
        **fields,
        **numbers,
    )
    writer.write_raw(
        topics.ARM_STATE, "mail_msgs/msg/ArmState", messages.encode(message), round(at_s * 1e9)
    )


def write_gripper_state(
    writer: EpisodeWriter, at_s: float, width_m: float, target_m: float
) -> None:
    kind = "mail_msgs/msg/GripperState"
    known = {
        "header": messages.header(messages.seconds_to_ns(at_s)),
        "width": width_m,
        "target_width": target_m,
    }
    defaults = {"max_width": 0.08, "fault": ""}
    others = {
        field: defaults.get(field, False)
        for field in messages.message_type(kind).__dataclass_fields__
        if field not in known and not field.startswith("_")
    }
    message = messages.message_type(kind)(**known, **others)
    writer.write_raw(topics.GRIPPER_STATE, kind, messages.encode(message), round(at_s * 1e9))
