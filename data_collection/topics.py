"""Topics and message types of an episode. Names are absolute: an episode is of one robot."""

JOINT_STATES = "/joint_states"
ARM_STATE = "/arm/state"
ADMISSION = "/arm/admission"
GRIPPER_STATE = "/gripper/state"
ACTION_CHUNK = "/policy/action_chunk"
POLICY_STATUS = "/policy/status"
DEMONSTRATION_ACTION = "/demonstration/action"
TELEOP_COMMAND = "/teleop/command"
CLOCK = "/clock"

IMAGE_TYPE = "sensor_msgs/msg/Image"
CAMERA_INFO_TYPE = "sensor_msgs/msg/CameraInfo"
ARM_STATE_TYPE = "mail_msgs/msg/ArmState"
COMPRESSED_IMAGE_TYPE = "sensor_msgs/msg/CompressedImage"
JOINT_STATE_TYPE = "sensor_msgs/msg/JointState"
ACTION_CHUNK_TYPE = "mail_msgs/msg/ActionChunk"

# How the joints are called on the two arms that we know (franka_ros2's names).
JOINT_PREFIXES = {"fer": "panda", "fr3": "fr3"}

_CAMERA_PREFIX = "/camera/"
_CAMERA_SUFFIX = "/color/image_raw/compressed"
_DEPTH_SUFFIX = "/aligned_depth_to_color/image_raw"
_INFO_SUFFIX = "/color/camera_info"


def image_topic(camera: str) -> str:
    """Return the topic of a camera's JPEG pictures."""
    return f"{_CAMERA_PREFIX}{camera}{_CAMERA_SUFFIX}"


def raw_topic(camera: str) -> str:
    """Return the topic on which a camera sends its pictures."""
    return image_topic(camera).removesuffix("/compressed")


def camera_of(topic: str) -> str:
    """Return the camera whose pictures a topic carries, "" if it carries something else."""
    if topic.startswith(_CAMERA_PREFIX) and topic.endswith(_CAMERA_SUFFIX):
        return topic[len(_CAMERA_PREFIX) : -len(_CAMERA_SUFFIX)]
    return ""


def depth_topic(camera: str) -> str:
    """Return the topic of a camera's depth, in the pixels of its colour picture."""
    return f"{_CAMERA_PREFIX}{camera}{_DEPTH_SUFFIX}"


def info_topic(camera: str) -> str:
    """Return the topic that describes a camera's optics."""
    return f"{_CAMERA_PREFIX}{camera}{_INFO_SUFFIX}"


def is_info(topic: str) -> bool:
    """Whether a topic describes optics: it is stored when it changes, so it has no rate."""
    return topic.endswith(_INFO_SUFFIX)


def spoken(topic: str) -> str:
    """Name a topic as an operator would."""
    camera = camera_of(topic)
    return f"camera {camera}" if camera else topic


def joint_names(robot_type: str) -> list[str]:
    """Name the seven joints and the two fingers of an arm, in the order of `joint_states`."""
    prefix = JOINT_PREFIXES[robot_type]
    joints = [f"{prefix}_joint{number}" for number in range(1, 8)]
    return [*joints, f"{prefix}_finger_joint1", f"{prefix}_finger_joint2"]
