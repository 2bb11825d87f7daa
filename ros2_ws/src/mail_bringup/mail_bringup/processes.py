"""The processes that stacks are made of, each a pure function of the stack's arguments."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from calibration.results import RESULTS
from mail_bringup.places import config_folder
from mail_cameras.config import CameraConfig, CamerasConfig, DepthKind
from mail_policy.core.config import ConfigError, load_config

Value = str | bool | int | float | tuple[str, ...]
Arguments = Mapping[str, str]

# ROS cannot tell the type of an empty list.
_NO_NAMES = ("",)
# Type of the arm by the robot of the stack.
ROBOT_TYPES = {"sim": "fr3", "panda": "fer", "fr3": "fr3"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """One process of the stack.

    Attributes:
        name: Node name; also the prefix of its output.
        package: ROS package of the executable.
        executable: Name of the executable.
        parameters: ROS parameters.
        words: Words of the command line before ROS's own.
        namespace: ROS namespace, "" for none.
        lifecycle: The supervisor configures and activates it.
        required: When it ends, the whole stack is stopped.
        outlives_others: Stopped only after the others have ended. The twin is: an arm must be
            able to brake before its robot vanishes.
    """

    name: str
    package: str
    executable: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    namespace: str = ""
    lifecycle: bool = False
    required: bool = True
    outlives_others: bool = False


def twin(arguments: Arguments) -> Process:
    """The simulated robot, its scene and its cameras."""
    twin_file = config_folder() / f"twin_board_{arguments.get('board')}.yaml"
    return Process(
        name="twin",
        package="mail_sim",
        executable="sim_node",
        namespace=arguments["namespace"],
        # The twin makes the simulated time that all others follow.
        parameters={
            "robot_ip": arguments["robot_ip"],
            "run_id": arguments["run_id"],
            "config_file": str(twin_file) if has_board(arguments) else "",
        },
        outlives_others=True,
    )


def camera(arguments: Arguments) -> Process:
    """All cameras, in one process."""
    return Process(
        name="camera",
        package="mail_cameras",
        executable="camera_node",
        namespace=arguments["namespace"],
        parameters={
            **_clock(arguments),
            "config_file": str(cameras_file(arguments)),
            "run_id": arguments["run_id"],
        },
        lifecycle=True,
    )


def arm(arguments: Arguments) -> Process:
    """The arm and its gripper."""
    return Process(
        name="arm",
        package="mail_franka",
        executable="arm_process",
        namespace=arguments["namespace"],
        parameters={
            **_clock(arguments),
            "config_file": str(arm_file(arguments)),
            "robot_ip": arguments["robot_ip"],
            "robot_type": robot_type(arguments),
            "black_box_folder": str(Path("runs/black_box").resolve()),
        },
        lifecycle=True,
    )


def policy(arguments: Arguments) -> Process:
    """The policy."""
    return Process(
        name="policy",
        package="mail_policy_ros",
        executable="policy_node",
        namespace=arguments["namespace"],
        parameters={
            **_clock(arguments),
            "checkpoint": arguments["checkpoint"],
            "threads": int(arguments["policy_threads"]),
            "precision": arguments["policy_precision"],
        },
        lifecycle=True,
        # Without it the arm holds, under the operator's control; taking the arm's node away too
        # would leave nobody to talk to.
        required=False,
    )


def recorder(arguments: Arguments, source: str) -> Process:
    """The recorder of episodes, in which the arm is moved by a source."""
    on_takeover = arguments.get("record_on") == "takeover"
    return Process(
        name="recorder",
        package="mail_recorder",
        executable="recorder_node",
        namespace=arguments["namespace"],
        parameters={
            **_clock(arguments),
            "episodes_dir": str(Path(arguments["episodes_dir"]).resolve()),
            "cameras": camera_names(cameras_file(arguments)),
            "depth_cameras": depth_camera_names(cameras_file(arguments)),
            "robot_type": robot_type(arguments),
            "source": source,
            "operator": arguments["operator"],
            "start_on": "takeover" if on_takeover else "operator",
            "pre_roll_s": float(arguments.get("pre_roll_s", 0.0)),
        },
        lifecycle=True,
        # A lost recording is a pity; stopping a task in the middle of a motion over it is worse.
        required=False,
    )


def teleop(arguments: Arguments) -> Process:
    """The device with which a person moves the arm."""
    return Process(
        name="teleop",
        package="mail_teleop",
        executable="teleop_node",
        namespace=arguments["namespace"],
        parameters={
            **_clock(arguments),
            "config_file": str(teleop_file(arguments)),
            "task": arguments["task"],
            "terminal": "" if arguments["terminal"] == "auto" else arguments["terminal"],
        },
        lifecycle=True,
        # Its silence stops the arm; the rest of the stack must stay to say so.
        required=False,
    )


def description(arguments: Arguments) -> Process:
    """What the robot looks like and where its frames are; nobody needs it to move."""
    cameras = _cameras(cameras_file(arguments))
    return Process(
        name="description",
        package="mail_description",
        executable="description_node",
        namespace=arguments["namespace"],
        parameters={
            **_clock(arguments),
            "robot_type": robot_type(arguments),
            "calibration_dir": str(calibration_dir(arguments)),
            "cameras": tuple(camera.name for camera in cameras) or _NO_NAMES,
            "camera_frames": tuple(camera.frame_id for camera in cameras) or _NO_NAMES,
            "camera_serials": tuple(camera.serial for camera in cameras) or _NO_NAMES,
        },
        required=False,
    )


def rviz(arguments: Arguments) -> Process:
    """The viewer, from the ROS installation of the machine; the stack never depends on it."""
    return Process(
        name="rviz",
        package="rviz2",
        executable="rviz2",
        namespace=arguments["namespace"],
        parameters=_clock(arguments),
        words=("-d", str(config_folder().parent / "rviz" / "mail.rviz")),
        required=False,
    )


def monitor(arguments: Arguments) -> Process:
    """What RViz shows beside robot and cameras; nobody depends on it."""
    return Process(
        name="monitor",
        package="mail_monitor",
        executable="monitor_node",
        namespace=arguments["namespace"],
        parameters={
            **_clock(arguments),
            "arm_file": str(arm_file(arguments)),
            "robot_type": robot_type(arguments),
            "cameras": camera_names(cameras_file(arguments)),
        },
        required=False,
    )


def supervisor(
    arguments: Arguments, nodes: tuple[Process, ...], *, starts_by_itself: bool
) -> Process:
    """The process that brings the others up in order."""
    return Process(
        name="supervisor",
        package="mail_bringup",
        executable="supervisor_node",
        namespace=arguments["namespace"],
        parameters={
            **_clock(arguments),
            "nodes": tuple(node.name for node in nodes if node.lifecycle),
            "task": arguments["task"],
            "auto_start": starts_by_itself,
            "record": any(node.name == "recorder" for node in nodes)
            and arguments.get("record_on") == "start",
            "max_duration_s": float(arguments.get("max_duration_s", 0.0)),
        },
    )


def _clock(arguments: Arguments) -> dict[str, Value]:
    return {"use_sim_time": arguments["robot"] == "sim"}


def camera_names(file: Path) -> tuple[str, ...]:
    """Return the names of the configured cameras, in order; none if the file is wrong."""
    return tuple(camera.name for camera in _cameras(file))


def depth_camera_names(file: Path) -> tuple[str, ...]:
    """Return the names of the cameras that see depth; none if the file is wrong."""
    return tuple(camera.name for camera in _cameras(file) if camera.depth is not DepthKind.NONE)


def _cameras(file: Path) -> tuple[CameraConfig, ...]:
    # Preflight reports a wrong file; a description must not fail over it.
    try:
        return load_config(CamerasConfig, file).cameras
    except ConfigError:
        return ()


def has_board(arguments: Mapping[str, str]) -> bool:
    """Whether the twin shows a calibration board."""
    return arguments["robot"] == "sim" and arguments.get("board", "none") != "none"


def cameras_file(arguments: Mapping[str, str]) -> Path:
    """Return the camera configuration that the arguments mean."""
    if arguments["cameras_file"] != "auto":
        return Path(arguments["cameras_file"]).resolve()
    if has_board(arguments):
        return config_folder() / "cameras_sim_board.yaml"
    return config_folder() / f"cameras_{arguments['robot']}.yaml"


def arm_file(arguments: Mapping[str, str]) -> Path:
    """Return the arm configuration that the arguments mean."""
    if arguments["arm_file"] != "auto":
        return Path(arguments["arm_file"]).resolve()
    return config_folder() / "arm.yaml"


def calibration_dir(arguments: Mapping[str, str]) -> Path:
    """Return the folder of the calibration results that the arguments mean."""
    if arguments["calibration_dir"] != "auto":
        return Path(arguments["calibration_dir"]).resolve()
    return RESULTS / arguments["robot"]


def teleop_file(arguments: Mapping[str, str]) -> Path:
    """Return the configuration of the teleoperation device that the arguments mean."""
    if arguments["teleop_file"] != "auto":
        return Path(arguments["teleop_file"]).resolve()
    return config_folder() / f"teleop_{arguments['device']}.yaml"


def robot_type(arguments: Mapping[str, str]) -> str:
    """Return "fer" or "fr3"."""
    return ROBOT_TYPES[arguments["robot"]]


def environment() -> dict[str, str]:
    """Return the environment variables that every process of a stack gets.

    The malloc settings keep glibc from mapping and unmapping memory for every picture; the
    profile gives Fast DDS a shared-memory segment that is larger than one picture.
    """
    variables = {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "OMP_NUM_THREADS": "1",
        "MALLOC_MMAP_THRESHOLD_": "67108864",
        "MALLOC_TRIM_THRESHOLD_": "1073741824",
        "MALLOC_TOP_PAD_": "33554432",
        "PYTHONUNBUFFERED": "1",
    }
    profile = config_folder() / "fastdds_shm.xml"
    if profile.exists():
        variables["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(profile)
    return variables


def parameter_text(value: Value) -> str:
    """Return a parameter as the YAML that ROS parses after `-p name:=`; strings stay strings."""
    return json.dumps(list(value) if isinstance(value, tuple) else value)
