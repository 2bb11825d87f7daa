"""The one description of the stack: which processes, with which parameters, in which order.

`mailctl up` (see `runner`) and `ros2 launch` (see `launch_adapter`) both start exactly what
`describe` returns. Everything here is a pure function of the arguments.
"""

from collections.abc import Mapping

from mail_bringup import processes
from mail_bringup.arguments import Argument, ArgumentError
from mail_bringup.processes import Process

ROBOTS = ("sim", "panda", "fr3")

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
_POLICY = (
    Argument(name="task", default="open drawer", help="what the policy shall do, in words"),
    Argument(
        name="checkpoint",
        default="open_top_drawer",
        help="name of a shipped checkpoint, or path of a checkpoint folder",
    ),
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
        name="record",
        default="true",
        help="record the run as an episode",
        choices=("true", "false"),
    ),
    Argument(
        name="use_rviz",
        default="false",
        help="show the robot's topics in RViz, where a ROS installation brings it",
        choices=("true", "false"),
    ),
    Argument(name="episodes_dir", default="runs/episodes", help="folder for recorded episodes"),
    Argument(
        name="auto_start",
        default="auto",
        help="arm, home and start the task at once; auto does so on the twin only",
        choices=("auto", "true", "false"),
    ),
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
_TWIN = (Argument(name="robot", default="sim", help=_ROBOT_HELP, choices=("sim",)), *_COMMON)
STACKS: dict[str, tuple[Argument, ...]] = {"policy": _POLICY, "twin": _TWIN}


def describe(stack: str, arguments: Mapping[str, str]) -> tuple[Process, ...]:
    """Return the processes of a stack in the order in which they start.

    Args:
        stack: A key of STACKS.
        arguments: All arguments of that stack, see `arguments.resolve`. `robot_ip` and `run_id`
            are chosen by now.

    Raises:
        ArgumentError: Arguments contradict each other.
    """
    check_combination(arguments)
    if stack == "twin":
        return (processes.twin(arguments),)
    twin = (processes.twin(arguments),) if arguments["robot"] == "sim" else ()
    recorder = (processes.recorder(arguments),) if arguments["record"] == "true" else ()
    # In the order in which the supervisor configures and activates them.
    nodes = (
        processes.camera(arguments),
        processes.arm(arguments),
        processes.policy(arguments),
        *recorder,
    )
    supervisor = processes.supervisor(
        arguments, nodes, starts_by_itself=starts_by_itself(arguments)
    )
    viewer = (processes.rviz(arguments),) if arguments["use_rviz"] == "true" else ()
    return (*twin, *nodes, supervisor, *viewer)


def check_combination(arguments: Mapping[str, str]) -> None:
    """Refuse arguments that contradict each other. Raises ArgumentError."""
    robot = arguments["robot"]
    if robot != "sim" and not arguments["robot_ip"]:
        raise ArgumentError(f"robot:={robot} needs the address of the arm: robot_ip:=172.16.0.2")
    if robot == "sim" and arguments["robot_ip"] and not arguments["robot_ip"].startswith("127."):
        raise ArgumentError(
            f"robot:=sim lives at a loopback address, got robot_ip:={arguments['robot_ip']}; "
            f"leave robot_ip out, or say robot:=panda or robot:=fr3"
        )
    if "robot_type" not in arguments:
        return
    wanted = processes.robot_type(arguments)
    if arguments["robot_type"] not in ("auto", wanted):
        raise ArgumentError(
            f"robot:={robot} is of type {wanted}, got robot_type:={arguments['robot_type']}; "
            f"leave robot_type out"
        )
    if robot != "sim" and arguments["auto_start"] == "true":
        raise ArgumentError(
            "auto_start:=true is refused on a real arm; a person starts it: mailctl arm, "
            "mailctl home, mailctl start"
        )


def starts_by_itself(arguments: Mapping[str, str]) -> bool:
    """Whether the supervisor arms, homes and starts the task without being asked."""
    if arguments["auto_start"] == "auto":
        return arguments["robot"] == "sim"
    return arguments["auto_start"] == "true"
