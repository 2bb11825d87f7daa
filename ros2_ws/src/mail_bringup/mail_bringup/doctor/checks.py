"""All checks of the doctor, the most important ones first, and for which robot each counts."""

import getpass
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from mail_bringup import stack
from mail_bringup.arguments import resolve
from mail_bringup.doctor import (
    calibration,
    cameras,
    clock,
    dds,
    disk,
    franky,
    gpu,
    leftovers,
    packages,
    processor,
    realtime,
)
from mail_bringup.doctor.finding import Finding, failure
from mail_bringup.doctor.link import check_link
from mail_bringup.doctor.machine import Machine
from mail_bringup.doctor.problems import findings_of
from mail_bringup.doctor.request import SIM, Request
from mail_bringup.places import config_folder, prefixes, state_folder
from mail_bringup.preflight import check_built, check_rendering
from mail_bringup.processes import ROBOT_TYPES
from mail_bringup.shared_memory import SHARED_MEMORY
from mail_bringup.stack_arguments import STACKS
from mail_cameras.config import CameraConfig, CamerasConfig
from mail_policy.core.config import ConfigError, load_config
from mail_policy.core.robot_limits import RobotType

# Any will do: the processes of a stack do not depend on it.
_SOME_ADDRESS = "127.0.0.2"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One subject.

    Attributes:
        name: What `--only` calls it.
        run: Gathers and judges.
        on_twin: The twin needs it.
        on_robot: A robot needs it.
        is_preflight: Every start of a stack checks it anyway.
        measures_time: Nothing else may run beside it.
    """

    name: str
    run: Callable[[Request, Machine], list[Finding]]
    on_twin: bool = True
    on_robot: bool = True
    is_preflight: bool = False
    measures_time: bool = False

    def counts_for(self, robot: str) -> bool:
        """Whether a robot needs it."""
        return self.on_twin if robot == SIM else self.on_robot


def _check_realtime(request: Request, machine: Machine) -> list[Finding]:
    return realtime.judge(realtime.gather(machine, getpass.getuser()))


def _check_franky(request: Request, machine: Machine) -> list[Finding]:
    robot_type = RobotType(ROBOT_TYPES[request.robot])
    wheel = franky.judge_wheel(franky.gather_wheel(), robot_type)
    return [wheel, *franky.check_connection(request, robot_type)]


def _check_leftovers(request: Request, machine: Machine) -> list[Finding]:
    facts = leftovers.gather(state_folder() / "stacks", SHARED_MEMORY)
    return leftovers.judge(facts, request.robot_ip)


def _check_built(request: Request, machine: Machine) -> list[Finding]:
    given = {"robot": request.robot, "robot_ip": request.robot_ip or _SOME_ADDRESS}
    processes = stack.describe("policy", resolve(STACKS["policy"], given))
    return findings_of("build", check_built(processes), "all ROS packages are built")


def _check_packages(request: Request, machine: Machine) -> list[Finding]:
    return packages.judge(packages.gather(request.robot, os.environ))


def _check_cameras(request: Request, machine: Machine) -> list[Finding]:
    try:
        configured = load_config(CamerasConfig, request.cameras_file).cameras
    except ConfigError as error:
        remedy = "correct it, or name another one: --cameras-file PATH"
        return [failure("cameras", str(error), "a camera file that can be read", remedy)]
    return cameras.judge(cameras.gather(machine), configured)


def _check_calibration(request: Request, machine: Machine) -> list[Finding]:
    facts = calibration.gather(request.calibration_dir)
    return calibration.judge(facts, _readable_cameras(request), datetime.now(UTC))


def _readable_cameras(request: Request) -> tuple[CameraConfig, ...]:
    # A wrong file is a finding of the cameras.
    try:
        return load_config(CamerasConfig, request.cameras_file).cameras
    except ConfigError:
        return ()


def _check_checkpoint(request: Request, machine: Machine) -> list[Finding]:
    # Imported here: starting a robot without a policy needs nothing of it.
    from mail_bringup.checkpoint_check import check_checkpoint

    names = [camera.name for camera in _readable_cameras(request)]
    problems = check_checkpoint(request.checkpoint, request.task, names)
    fine = f"{request.checkpoint} is sound and knows {request.task!r}"
    return findings_of("checkpoint", problems, fine)


def _check_dds(request: Request, machine: Machine) -> list[Finding]:
    profile = config_folder() / "fastdds_shm.xml"
    facts = dds.gather(machine, os.environ, prefixes(), profile)
    return dds.judge(facts, is_real=request.robot != SIM)


def _check_rendering(request: Request, machine: Machine) -> list[Finding]:
    return findings_of("rendering", check_rendering(), "pictures can be rendered")


def _check_processor(request: Request, machine: Machine) -> list[Finding]:
    return processor.judge(processor.gather(machine))


def _check_clock(request: Request, machine: Machine) -> list[Finding]:
    return clock.judge(clock.gather())


def _check_disk(request: Request, machine: Machine) -> list[Finding]:
    return disk.judge(disk.gather(request.episodes_dir))


def _check_gpu(request: Request, machine: Machine) -> list[Finding]:
    is_realtime = realtime.gather(machine, "").is_preempt_rt
    return gpu.judge(gpu.gather(machine), is_realtime=is_realtime)


CHECKS = (
    Check(name="build", run=_check_built, is_preflight=True),
    Check(name="packages", run=_check_packages),
    Check(name="franky", run=_check_franky, on_twin=False),
    Check(name="leftovers", run=_check_leftovers),
    Check(name="link", run=check_link, on_twin=False, measures_time=True),
    Check(name="realtime", run=_check_realtime, on_twin=False),
    Check(name="cameras", run=_check_cameras, on_twin=False),
    Check(name="checkpoint", run=_check_checkpoint, is_preflight=True),
    Check(name="calibration", run=_check_calibration, on_twin=False),
    Check(name="rendering", run=_check_rendering, on_robot=False, is_preflight=True),
    Check(name="dds", run=_check_dds),
    Check(name="processor", run=_check_processor, on_twin=False),
    Check(name="clock", run=_check_clock, on_twin=False),
    Check(name="disk", run=_check_disk),
    Check(name="gpu", run=_check_gpu),
)
