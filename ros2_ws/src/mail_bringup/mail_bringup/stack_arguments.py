"""The arguments of every stack, as `--show-args` lists them."""

from collections.abc import Mapping

from mail_bringup.arguments import Argument

ROBOTS = ("sim", "panda", "fr3")
NO_DEVICE = "none"
DEVICES = (NO_DEVICE, "keyboard", "gamepad", "spacemouse", "gello", "leader_arm", "keys")

_ROBOT_HELP = "the simulated twin, or the arm on the desk"
_COMMON = (
    Argument(
        name="robot_ip",
        default="",
        help="address of the arm; on the twin empty means a free 127.0.0.x",
    ),
    Argument(
        name="run_id",
        default="",
        help="prefix of shared memory, so that twins side by side do not meet; empty: made up",
    ),
    Argument(name="namespace", default="", help="ROS namespace of all nodes and topics"),
)
_ROBOT = (
    Argument(name="robot", default="sim", help=_ROBOT_HELP, choices=ROBOTS),
    *_COMMON,
    Argument(
        name="robot_type",
        default="auto",
        help="arm model; auto follows robot (the twin is an FR3)",
        choices=("auto", "fer", "fr3"),
    ),
    Argument(
        name="cameras_file",
        default="auto",
        help="YAML of the cameras; auto is launch/config/cameras_<robot>.yaml",
    ),
    Argument(
        name="arm_file",
        default="auto",
        help="YAML of the arm's limits and watchdogs; auto is launch/config/arm.yaml",
    ),
    Argument(
        name="calibration_dir",
        default="auto",
        help="folder of calibration results; auto is calibration/results/<robot>",
    ),
    Argument(
        name="use_description",
        default="true",
        help="publish the robot's URDF and where its frames are",
        choices=("true", "false"),
    ),
    Argument(
        name="use_rviz",
        default="false",
        help="show the robot's topics in RViz, where a ROS installation brings it",
        choices=("true", "false"),
    ),
    Argument(
        name="auto_start",
        default="auto",
        help="arm, home and start at once; auto does so on the twin only",
        choices=("auto", "true", "false"),
    ),
    Argument(
        name="start_despite",
        default="",
        help="for experts: failures of mailctl doctor, with commas between, to start a real arm in "
        "spite of; those about safety are refused in any case",
    ),
)
_RECORDER = (
    Argument(name="episodes_dir", default="runs/episodes", help="folder for recorded episodes"),
    Argument(name="operator", default="", help="who is responsible for the recordings"),
)
_TELEOP_FILE = Argument(
    name="teleop_file",
    default="auto",
    help="YAML of the device's settings; auto is launch/config/teleop_<device>.yaml",
)
_TERMINAL = Argument(
    name="terminal",
    default="auto",
    help="terminal whose keys are read; auto is the one in which the stack was started",
)


def _device(default: str, text: str) -> Argument:
    return Argument(name="device", default=default, help=text, choices=DEVICES)


_POLICY = (
    Argument(name="task", default="open drawer", help="what the policy shall do, in words"),
    Argument(
        name="checkpoint",
        default="open_top_drawer",
        help="name of a shipped checkpoint, or path of a checkpoint folder",
    ),
    *_ROBOT,
    Argument(
        name="record",
        default="true",
        help="record the run",
        choices=("true", "false"),
    ),
    Argument(
        name="record_on",
        default="start",
        help="record from the start of the policy on, or whenever a person has taken over from it",
        choices=("start", "takeover"),
    ),
    Argument(
        name="pre_roll_s",
        default="2",
        help="how much from before a takeover its episode begins with [s]",
    ),
    *_RECORDER,
    _device(NO_DEVICE, "with which a person may take over from the policy"),
    _TELEOP_FILE,
    _TERMINAL,
    Argument(
        name="max_duration_s",
        default="60",
        help="the arm stops a task that runs longer [s, on the clock of the robot]",
    ),
    Argument(name="policy_threads", default="1", help="threads that the policy may use"),
    Argument(
        name="policy_precision",
        default="exact",
        choices=("exact", "fast"),
        help="fast keeps weights of the image encoders in half precision",
    ),
)
_TELEOP = (
    Argument(name="task", default="", help="what the person is going to do, in words"),
    *_ROBOT,
    _device("keyboard", "with which a person moves the arm; keys alone leave it to other hands"),
    _TELEOP_FILE,
    _TERMINAL,
)
_CALIBRATE = (
    Argument(name="task", default="", help="not used; calibration is its own task"),
    *_ROBOT,
    Argument(
        name="board",
        default="table",
        help="where the twin's calibration board is: on the table, in the hand, or nowhere",
        choices=("table", "hand", "none"),
    ),
    _device(NO_DEVICE, "with which a person guides the arm from view to view"),
    _TELEOP_FILE,
    _TERMINAL,
)
_TWIN = (Argument(name="robot", default="sim", help=_ROBOT_HELP, choices=("sim",)), *_COMMON)
_CAMERAS_FILE, _ARM_FILE, _USE_RVIZ = (
    argument for argument in _ROBOT if argument.name in ("cameras_file", "arm_file", "use_rviz")
)
_MONITOR = (
    Argument(name="robot", default="sim", help="what the running stack moves", choices=ROBOTS),
    Argument(name="run_id", default="", help="which stack, if several run; see mailctl status"),
    Argument(name="namespace", default="", help="ROS namespace of the running stack"),
    _CAMERAS_FILE,
    _ARM_FILE,
    _USE_RVIZ,
)
STACKS: dict[str, tuple[Argument, ...]] = {
    "calibrate": _CALIBRATE,
    "monitor": _MONITOR,
    "policy": _POLICY,
    "record": (*_TELEOP, *_RECORDER),
    "teleop": _TELEOP,
    "twin": _TWIN,
}


def joins(arguments: Mapping[str, str]) -> bool:
    """Whether a stack looks at one that runs already: it has no robot of its own."""
    return "robot_ip" not in arguments
