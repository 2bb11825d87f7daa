"""What the doctor says about facts: a good machine, a bad one, and each failure by itself."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from calibration.results import HandEyeResult, IntrinsicsResult
from mail_bringup.doctor import (
    calibration,
    cameras,
    clock,
    dds,
    disk,
    gpu,
    leftovers,
    network,
    packages,
    processor,
    realtime,
)
from mail_bringup.doctor.finding import Finding, Verdict, by_importance, failure, ok, warning
from mail_bringup.doctor.link import judge_ping
from mail_bringup.doctor.ping import PingFacts
from mail_bringup.doctor.problems import findings_of
from mail_bringup.doctor.usb import UsbCamera
from mail_bringup.records import StackRecord
from mail_cameras.config import CameraConfig, CameraKind
from mail_cameras.found_camera import FoundCamera

GIB = 1 << 30
NOW = datetime(2026, 7, 30, tzinfo=UTC)
CAMERA = CameraConfig(
    name="wrist",
    driver=CameraKind.REALSENSE,
    serial="939622071234",
    image_width=640,
    image_height=480,
    rate_hz=30.0,
    frame_id="wrist_color_optical_frame",
)
OTHER = replace(CAMERA, name="agentview", serial="939622075678", frame_id="a")
TWIN_CAMERA = replace(CAMERA, driver=CameraKind.TWIN, serial="")

REALTIME = realtime.RealtimeFacts(
    kernel="6.8.1-rt",
    is_preempt_rt=True,
    max_priority=99,
    max_locked_kib=-1,
    group_exists=True,
    is_member=True,
)
PROCESSOR = processor.ProcessorFacts(governors=("performance",), slowest_wake_up_us=2)
ROUTE = network.RouteFacts(address="172.16.0.2", interface="enp3s0", speed_mbit=1000)
PING = PingFacts(sent=1000, lost=0, p50_ms=0.2, p99_ms=0.4, max_ms=0.6)
DDS = dds.DdsFacts(
    implementation="rmw_fastrtps_cpp",
    installed=("rmw_fastrtps_cpp",),
    discovery_range="LOCALHOST",
    profile="/work/fastdds_shm.xml",
    profile_exists=True,
    foreign_profile="",
    receive_buffer_bytes=4 << 20,
    shared_memory_bytes=8 * GIB,
)
CLOCK = clock.ClockFacts(is_synchronised=True, error_ms=1.0)
PORT = UsbCamera(serial="chip1", speed_mbit=5000, controller="0000:00:14.0")
DEVICE = FoundCamera(
    serial=CAMERA.serial,
    chip_serial="chip1",
    model="RealSense D435",
    firmware="5.16",
    wanted_firmware="5.16",
    has_global_time=True,
)
CAMERAS = cameras.CameraFacts(on_bus=(PORT,), found=(DEVICE,), has_rules=True)
DISK = disk.DiskFacts(folder="/data", is_writable=True, free_bytes=100 * GIB, speed=3e8)
GPU = gpu.GpuFacts(is_present=True, description="RTX 4090, 560.35", torch_sees_it=True)
PACKAGES = packages.PackageFacts(
    python=(3, 12),
    is_environment=True,
    ros_distro="jazzy",
    pins={"torch": "2.13.0", "franky-control": "2.0.0"},
    installed={"torch": "2.13.0+cpu", "franky-control": "2.0.0+libfranka.0.9.2"},
    has_ros_wheel=False,
)
LEFTOVERS = leftovers.LeftoverFacts(stacks=(), memory=())
STACK = StackRecord(
    run_id="mail1",
    stack="policy",
    pid=1,
    domain_id=0,
    namespace="",
    robot="panda",
    robot_ip="172.16.0.2",
    task="",
)


def measured(kind: type[Any], **changes: Any) -> Any:
    """Return a result for CAMERA, measured yesterday."""
    values = {
        "robot": "panda",
        "subject": CAMERA.name,
        "serial": CAMERA.serial,
        "created_at": (NOW - timedelta(days=1)).isoformat(),
        "tool": "test",
        "residuals": {},
    }
    if kind is IntrinsicsResult:
        values |= {"width": 640, "height": 480, "fx": 600.0, "fy": 600.0, "cx": 320.0, "cy": 240.0}
        values |= {"distortion": (0.0,) * 5, "rms_px": 0.1}
    else:
        values |= {"parent_frame": "tcp", "position_m": (0.0, 0.1, 0.0), "views": 20}
        values |= {"quaternion_xyzw": (0.0, 0.0, 0.0, 1.0), "held_out_mm": 1.0, "held_out_deg": 0.1}
    return kind(**{**values, **changes})


def calibrated(**changes: Any) -> calibration.CalibrationFacts:
    results = [measured(IntrinsicsResult, **changes), measured(HandEyeResult)]
    return calibration.CalibrationFacts(results={(r.kind, r.subject): r for r in results})


JUDGES = {
    "realtime": (realtime.judge, REALTIME),
    "processor": (processor.judge, PROCESSOR),
    "network": (network.judge, ROUTE),
    "ping": (lambda facts: [judge_ping(facts)], PING),
    "dds": (lambda facts: dds.judge(facts, is_real=True), DDS),
    "clock": (clock.judge, CLOCK),
    "cameras": (lambda facts: cameras.judge(facts, (CAMERA,)), CAMERAS),
    "disk": (disk.judge, DISK),
    "gpu": (lambda facts: gpu.judge(facts, is_realtime=False), GPU),
    "packages": (packages.judge, PACKAGES),
    "leftovers": (lambda facts: leftovers.judge(facts, "172.16.0.2"), LEFTOVERS),
}


def judged(subject: str, **changes: Any) -> list[Finding]:
    """Judge a good machine with some facts changed."""
    judge, facts = JUDGES[subject]
    return judge(replace(facts, **changes))


@pytest.mark.parametrize("subject", JUDGES)
def test_a_good_machine_gets_no_complaint(subject: str) -> None:
    assert {finding.verdict for finding in judged(subject)} == {Verdict.OK}


FAILURES = [
    ("realtime", {"is_preempt_rt": False}, "kernel", "pro enable realtime-kernel", False),
    ("realtime", {"max_priority": 98}, "priority", "rtprio 99", False),
    ("realtime", {"max_locked_kib": 8192}, "memlock", "memlock unlimited", True),
    ("network", {"interface": ""}, "network", "172.16.0.1/24", False),
    ("network", {"is_wireless": True}, "network", "cable", False),
    ("ping", {"lost": 11}, "ping", "direct cable", True),
    ("ping", {"p99_ms": 1.1}, "ping", "direct cable", True),
    ("ping", {"sent": 20, "lost": 20}, "ping", "switched on", False),
    ("dds", {"installed": ("rmw_cyclonedds_cpp",)}, "middleware", "make setup", False),
    ("dds", {"profile_exists": False}, "dds-profile", "make build", False),
    ("dds", {"shared_memory_bytes": 64 << 20}, "shared-memory", "--shm-size=1g", True),
    ("cameras", {"found": None}, "cameras", "pip install pyrealsense2", False),
    ("cameras", {"found": (), "on_bus": ()}, "camera-wrist", "USB 3 port", False),
    ("cameras", {"found": ()}, "camera-wrist", "/etc/udev/rules.d", False),
    (
        "cameras",
        {"found": (replace(DEVICE, serial="111"),)},
        "camera-wrist",
        "write the serial",
        False,
    ),
    ("cameras", {"on_bus": (replace(PORT, speed_mbit=480),)}, "camera-wrist", "USB 3", True),
    ("disk", {"is_writable": False}, "disk", "--episodes-dir", False),
    ("disk", {"free_bytes": 4 * GIB}, "disk", "delete or move", True),
    ("packages", {"python": (3, 10)}, "python", "python3.12", False),
    ("packages", {"has_ros_wheel": True}, "python", "rm -r .venv", False),
    ("packages", {"installed": {"torch": "2.13.0"}}, "packages", "make setup", False),
    ("leftovers", {"stacks": (STACK,)}, "stacks", "Ctrl-C", False),
]


@pytest.mark.parametrize(("subject", "changes", "name", "remedy", "is_waivable"), FAILURES)
def test_each_failure_is_found_and_has_its_remedy(
    subject: str, changes: dict[str, Any], name: str, remedy: str, is_waivable: bool
) -> None:
    (found,) = [f for f in judged(subject, **changes) if f.verdict is Verdict.FAILURE]
    assert found.name == name
    assert remedy in found.remedy
    assert found.is_waivable is is_waivable


WARNINGS = [
    ("processor", {"governors": ("performance", "powersave")}, "governor", "-g performance"),
    ("processor", {"slowest_wake_up_us": 350}, "sleep", "idle-set -D 100"),
    ("network", {"gateway": "10.0.0.1"}, "network", "network card of its own"),
    ("network", {"carries_default_route": True}, "network", "network card of its own"),
    ("network", {"speed_mbit": 100}, "network", "replace cable"),
    ("ping", {"lost": 1}, "ping", "direct cable"),
    ("ping", {"max_ms": 1.5}, "ping", "direct cable"),
    ("dds", {"implementation": "rmw_cyclonedds_cpp"}, "middleware", "unset RMW"),
    ("dds", {"foreign_profile": "/home/a.xml"}, "dds-profile", "unset FASTRTPS"),
    ("dds", {"discovery_range": "SUBNET"}, "discovery", "LOCALHOST"),
    ("dds", {"discovery_range": ""}, "discovery", "LOCALHOST"),
    ("dds", {"receive_buffer_bytes": 212992}, "socket-buffer", "rmem_max=4194304"),
    ("clock", {"is_synchronised": False}, "clock", "apt install chrony"),
    ("clock", {"error_ms": 60.0}, "clock", "apt install chrony"),
    ("cameras", {"has_rules": False}, "udev", "99-realsense-libusb.rules"),
    ("cameras", {"on_bus": (PORT, replace(PORT, serial="chip2"))}, "usb", "lsusb -t"),
    ("cameras", {"found": (replace(DEVICE, firmware="5.9"),)}, "camera-wrist", "rs-fw-update"),
    ("cameras", {"found": (replace(DEVICE, has_global_time=False),)}, "camera-wrist", "latency"),
    ("disk", {"free_bytes": 10 * GIB}, "disk", "delete or move"),
    ("disk", {"speed": 1e7}, "disk-speed", "SSD"),
    ("gpu", {"description": ""}, "gpu", "ubuntu-drivers"),
    ("gpu", {"torch_sees_it": False}, "gpu", "TORCH_EXTRA"),
    ("packages", {"is_environment": False}, "python", "make setup"),
    (
        "packages",
        {"installed": {"torch": "2.9.0", "franky-control": "2.0.0"}},
        "packages",
        "make setup",
    ),
    ("leftovers", {"stacks": (replace(STACK, robot_ip="127.0.0.2"),)}, "stacks", "Ctrl-C"),
]


@pytest.mark.parametrize(("subject", "changes", "name", "remedy"), WARNINGS)
def test_each_warning_is_found_and_has_its_remedy(
    subject: str, changes: dict[str, Any], name: str, remedy: str
) -> None:
    findings = judged(subject, **changes)
    (found,) = [finding for finding in findings if finding.verdict is not Verdict.OK]
    assert (found.verdict, found.name) == (Verdict.WARNING, name)
    assert remedy in found.remedy


FINE = [
    ("processor", {"governors": ()}),
    ("realtime", {"max_priority": -1, "max_locked_kib": 102400}),
    ("network", {"speed_mbit": None}),
    ("disk", {"speed": None}),
    ("gpu", {"is_present": False, "description": "", "torch_sees_it": None}),
    ("dds", {"discovery_range": "OFF"}),
    ("leftovers", {"memory": ("fastrtps_port7412",)}),
]


@pytest.mark.parametrize(("subject", "changes"), FINE)
def test_what_does_no_harm_is_no_complaint(subject: str, changes: dict[str, Any]) -> None:
    assert {finding.verdict for finding in judged(subject, **changes)} == {Verdict.OK}


def test_the_remedy_for_limits_names_only_the_steps_that_are_left() -> None:
    facts = replace(REALTIME, max_priority=0)
    member = realtime.judge(facts)[1].remedy
    stranger = realtime.judge(replace(facts, group_exists=False, is_member=False))[1].remedy
    assert "usermod" not in member
    assert stranger.startswith("sudo addgroup realtime; sudo usermod -aG realtime $USER; ")


def test_the_twin_needs_neither_discovery_nor_socket_buffers() -> None:
    facts = replace(DDS, discovery_range="SUBNET", receive_buffer_bytes=0)
    assert {finding.verdict for finding in dds.judge(facts, is_real=False)} == {Verdict.OK}


def test_rendered_cameras_need_no_bus() -> None:
    nothing = cameras.CameraFacts(on_bus=(), found=None, has_rules=False)
    (finding,) = cameras.judge(nothing, (TWIN_CAMERA,))
    assert finding.verdict is Verdict.OK


def test_nvidias_installer_is_told_about_a_realtime_kernel() -> None:
    (finding,) = gpu.judge(replace(GPU, description=""), is_realtime=True)
    assert "IGNORE_PREEMPT_RT_PRESENCE=1" in finding.remedy


def test_good_calibrations_are_fine() -> None:
    (finding,) = calibration.judge(calibrated(), (CAMERA,), NOW)
    assert finding.verdict is Verdict.OK


def test_a_calibration_of_another_camera_is_a_failure() -> None:
    (finding,) = calibration.judge(calibrated(serial="000"), (CAMERA,), NOW)
    # A stack must start for a new camera to be calibrated.
    assert (finding.verdict, finding.is_waivable) == (Verdict.FAILURE, True)
    assert "intrinsics measured on another camera than 939622071234" in finding.found
    assert finding.remedy.endswith("then mailctl calibrate intrinsics VIEWS")


def test_an_old_calibration_is_a_warning() -> None:
    created_at = (NOW - timedelta(days=40)).isoformat()
    (finding,) = calibration.judge(calibrated(created_at=created_at), (CAMERA,), NOW)
    assert finding.verdict is Verdict.WARNING
    assert "40 days old" in finding.found


def test_a_camera_without_calibration_is_a_warning_with_both_commands() -> None:
    finding = calibration.judge(calibrated(), (CAMERA, OTHER), NOW)[0]
    assert (finding.name, finding.verdict) == ("calibration-agentview", Verdict.WARNING)
    assert "calibrate intrinsics" in finding.remedy
    assert "calibrate hand-eye" in finding.remedy


def test_refused_calibrations_are_a_failure() -> None:
    facts = calibration.CalibrationFacts(results={}, problem="a.yaml: sha256 does not fit")
    (finding,) = calibration.judge(facts, (CAMERA,), NOW)
    assert finding.verdict is Verdict.FAILURE


def test_problems_of_the_preflight_become_findings() -> None:
    (finding,) = findings_of("build", ["no executable; run: make build"], "all is built")
    assert (finding.found, finding.remedy) == ("no executable", "run: make build")
    (fine,) = findings_of("build", [], "all is built")
    assert fine == ok("build", "all is built")


def test_failures_that_nobody_may_waive_come_first() -> None:
    findings = [
        ok("a", "fine"),
        warning("b", "slow", "fast", "hurry"),
        failure("c", "full", "empty", "delete", is_waivable=True),
        failure("d", "broken", "whole", "repair"),
    ]
    assert [finding.name for finding in by_importance(findings)] == ["d", "c", "b", "a"]


def test_a_complaint_without_a_remedy_is_refused() -> None:
    with pytest.raises(ValueError, match="must say what is wanted, and a remedy"):
        warning("disk", "full", "room", "")
