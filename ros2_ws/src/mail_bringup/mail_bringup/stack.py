"""The one description of the stack: which processes, with which parameters, in which order.

`mailctl up` (see `runner`) and `ros2 launch` (see `launch_adapter`) both start exactly what
`describe` returns. Everything here is a pure function of the arguments.
"""

from collections.abc import Mapping

from mail_bringup import processes
from mail_bringup.arguments import ArgumentError
from mail_bringup.processes import Process
from mail_bringup.stack_arguments import NO_DEVICE, joins


def describe(stack: str, arguments: Mapping[str, str]) -> tuple[Process, ...]:
    """Return the processes of a stack in the order in which they start.

    Args:
        stack: A key of `stack_arguments.STACKS`.
        arguments: All arguments of that stack, see `arguments.resolve`. `robot_ip` and `run_id`
            are chosen by now.

    Raises:
        ArgumentError: Arguments contradict each other.
    """
    check_combination(arguments)
    viewer = (
        (processes.monitor(arguments), processes.rviz(arguments))
        if arguments.get("use_rviz") == "true"
        else ()
    )
    if stack == "monitor":
        return viewer or (processes.monitor(arguments),)
    if stack == "record" and not arguments["task"]:
        raise ArgumentError("a recording needs a task, in words: task:='open drawer'")
    if stack == "twin":
        return (processes.twin(arguments),)
    twin = (processes.twin(arguments),) if arguments["robot"] == "sim" else ()
    # In the order in which the supervisor configures and activates them.
    nodes = [processes.camera(arguments), processes.arm(arguments)]
    if stack == "policy":
        nodes.append(processes.policy(arguments))
    if stack == "record" or arguments.get("record") == "true":
        source = "teleop" if stack == "record" else "policy"
        nodes.append(processes.recorder(arguments, source))
    if arguments["device"] != NO_DEVICE:
        nodes.append(processes.teleop(arguments))
    supervisor = processes.supervisor(
        arguments, tuple(nodes), starts_by_itself=starts_by_itself(arguments)
    )
    is_described = arguments["use_description"] == "true"
    description = (processes.description(arguments),) if is_described else ()
    return (*twin, *nodes, *description, supervisor, *viewer)


def check_combination(arguments: Mapping[str, str]) -> None:
    """Refuse arguments that contradict each other. Raises ArgumentError."""
    if joins(arguments):
        return
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
            "mailctl home"
        )


def starts_by_itself(arguments: Mapping[str, str]) -> bool:
    """Whether the supervisor arms and homes, and starts a policy, without being asked."""
    if arguments["auto_start"] == "auto":
        return arguments["robot"] == "sim"
    return arguments["auto_start"] == "true"
