"""Translates the description of a stack for `ros2 launch`. Only this file imports launch."""

import contextlib
import os
from functools import partial

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from mail_bringup import stack
from mail_bringup.preflight import check_all
from mail_bringup.processes import Process, Value, environment
from mail_bringup.security import enclave_words
from mail_bringup.session import choose
from mail_bringup.stack_arguments import STACKS

# Addresses stay claimed until the launch process ends.
_CLAIMS = contextlib.ExitStack()


def launch_description(name: str) -> LaunchDescription:
    """Return the launch description of a stack.

    Args:
        name: A key of `STACKS`.
    """
    declared = [
        DeclareLaunchArgument(
            argument.name,
            default_value=argument.default,
            description=argument.help,
            choices=list(argument.choices) or None,
        )
        for argument in STACKS[name]
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=partial(_actions, name))])


def _actions(name: str, context: LaunchContext) -> list[LaunchDescriptionEntity]:
    given = {
        argument.name: context.launch_configurations[argument.name] for argument in STACKS[name]
    }
    arguments = choose(given, _CLAIMS)
    processes = stack.describe(name, arguments)
    check_all(arguments, processes)
    variables = [SetEnvironmentVariable(key, value) for key, value in environment().items()]
    return [*variables, *(action for process in processes for action in _node(process))]


def _node(process: Process) -> list[LaunchDescriptionEntity]:
    # The runner starts and ends nodes in the same way; launch stops all of them at once.
    parameters = {k: _value(v) for k, v in process.parameters.items() if v != ()}
    node = Node(
        package=process.package,
        executable=process.executable,
        name=process.name,
        namespace=process.namespace,
        parameters=[parameters],
        arguments=list(process.words),
        ros_arguments=list(enclave_words(process.name, os.environ)),
        output="screen",
        emulate_tty=True,
    )
    if not process.required:
        return [node]
    on_exit = OnProcessExit(target_action=node, on_exit=partial(_on_exit, process))
    return [node, RegisterEventHandler(on_exit)]


def _on_exit(
    process: Process, event: ProcessExited, context: LaunchContext
) -> list[LaunchDescriptionEntity]:
    if context.is_shutdown:
        return []
    reason = f"{process.name} ended; the stack cannot go on without it"
    return [LogInfo(msg=reason), EmitEvent(event=Shutdown(reason=reason))]


def _value(value: Value) -> object:
    # Without a type, launch would read a word such as "on" as a boolean.
    if isinstance(value, str):
        return ParameterValue(value, value_type=str)
    return list(value) if isinstance(value, tuple) else value
