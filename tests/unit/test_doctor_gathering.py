"""The doctor reads the system's files rightly; here they lie in a folder of the test."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

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
    usb,
)
from mail_bringup.doctor.machine import Machine, output_of
from mail_bringup.doctor.ping import PingRefusedError, ping, summarise
from mail_franka.franky_wheels import WHEELS, find_libfranka, wheels_of
from mail_policy.core.robot_limits import RobotType

LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max locked memory         {locked}             {locked}             bytes
Max realtime priority     {priority}           {priority}
"""
ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
wlan0\t0001A8C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0
eth1\t000010AC\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
"""


class Tree:
    """A machine made of files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.machine = Machine(root)

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_a_realtime_machine_is_read(tree: Tree) -> None:
    tree.write("proc/sys/kernel/osrelease", "6.8.1-rt")
    tree.write("sys/kernel/realtime", "1")
    tree.write("proc/self/limits", LIMITS.format(locked="unlimited", priority=99))
    tree.write("proc/self/status", "Name:\tpython\nCapEff:\t0000000000000000")
    tree.write("etc/group", "root:x:0:\nrealtime:x:1001:anna,franka")
    assert realtime.gather(tree.machine, "franka") == realtime.RealtimeFacts(
        kernel="6.8.1-rt",
        is_preempt_rt=True,
        max_priority=99,
        max_locked_kib=-1,
        group_exists=True,
        is_member=True,
    )


def test_a_stock_machine_is_read(tree: Tree) -> None:
    tree.write("proc/version", "Linux version 6.8 (gcc) #1 SMP PREEMPT_DYNAMIC")
    tree.write("proc/self/limits", LIMITS.format(locked=8388608, priority=0))
    tree.write("etc/group", "root:x:0:")
    facts = realtime.gather(tree.machine, "franka")
    assert (facts.is_preempt_rt, facts.max_priority, facts.max_locked_kib) == (False, 0, 8192)
    assert (facts.group_exists, facts.is_member) == (False, False)


def test_rights_of_a_container_count_like_limits(tree: Tree) -> None:
    tree.write("proc/version", "Linux version 6.8 #1 SMP PREEMPT_RT")
    tree.write("proc/self/limits", LIMITS.format(locked=8388608, priority=0))
    # CAP_SYS_NICE and CAP_IPC_LOCK.
    tree.write("proc/self/status", f"CapEff:\t{1 << 23 | 1 << 14:016x}")
    facts = realtime.gather(tree.machine, "franka")
    assert (facts.is_preempt_rt, facts.max_priority, facts.max_locked_kib) == (True, -1, -1)


def test_governors_and_allowed_sleep_are_read(tree: Tree) -> None:
    cpu = "sys/devices/system/cpu"
    for core, governor in enumerate(("performance", "powersave")):
        tree.write(f"{cpu}/cpu{core}/cpufreq/scaling_governor", governor)
    for state, (latency_us, disable) in enumerate(((2, 0), (170, 0), (1034, 1))):
        tree.write(f"{cpu}/cpu0/cpuidle/state{state}/latency", str(latency_us))
        tree.write(f"{cpu}/cpu0/cpuidle/state{state}/disable", str(disable))
    facts = processor.gather(tree.machine)
    assert facts.governors == ("performance", "powersave")
    assert facts.slowest_wake_up_us == 170


def test_a_machine_that_says_nothing_about_its_cores_is_read(tree: Tree) -> None:
    assert processor.gather(tree.machine) == processor.ProcessorFacts(
        governors=(), slowest_wake_up_us=0
    )


def test_the_route_to_a_robot_at_its_own_card_is_found(tree: Tree) -> None:
    tree.write("proc/net/route", ROUTES)
    tree.write("sys/class/net/eth1/speed", "1000")
    assert network.gather(tree.machine, "172.16.0.2") == network.RouteFacts(
        address="172.16.0.2", interface="eth1", speed_mbit=1000
    )


def test_wireless_and_shared_routes_are_recognised(tree: Tree) -> None:
    tree.write("proc/net/route", ROUTES)
    (tree.root / "sys/class/net/wlan0/wireless").mkdir(parents=True)
    near = network.gather(tree.machine, "192.168.1.7")
    far = network.gather(tree.machine, "10.0.0.2")
    assert (near.is_wireless, near.gateway, near.carries_default_route) == (True, "", True)
    assert far.gateway == "192.168.1.1"


def test_a_robot_without_a_route_has_no_interface(tree: Tree) -> None:
    tree.write("proc/net/route", ROUTES.splitlines()[0])
    assert network.gather(tree.machine, "172.16.0.2").interface == ""


def test_the_middleware_is_read(tree: Tree, tmp_path: Path) -> None:
    tree.write("proc/sys/net/core/rmem_max", "212992")
    index = "prefix/share/ament_index/resource_index/rmw_typesupport"
    for name in ("rmw_fastrtps_cpp", "rmw_cyclonedds_cpp", "rmw_implementation"):
        tree.write(f"{index}/{name}", "")
    tree.write("ours.xml", "")
    variables = {
        "RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp",
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "localhost",
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(tmp_path / "ours.xml"),
        "FASTDDS_DEFAULT_PROFILES_FILE": "/home/other.xml",
    }
    facts = dds.gather(tree.machine, variables, [tmp_path / "prefix"], tmp_path / "ours.xml")
    assert facts == dds.DdsFacts(
        implementation="rmw_cyclonedds_cpp",
        installed=("rmw_cyclonedds_cpp", "rmw_fastrtps_cpp"),
        discovery_range="LOCALHOST",
        profile=str(tmp_path / "ours.xml"),
        profile_exists=True,
        foreign_profile="/home/other.xml",
        receive_buffer_bytes=212992,
        shared_memory_bytes=0,
    )


def test_cameras_on_the_bus_are_found_with_speed_and_controller(tree: Tree) -> None:
    device = "sys/devices/pci0000:00/0000:00:1c.0/0000:02:00.0/usb2/2-1"
    tree.write(f"{device}/product", "Intel(R) RealSense(TM) Depth Camera 435")
    tree.write(f"{device}/serial", "chip1")
    tree.write(f"{device}/speed", "5000")
    tree.write("sys/devices/pci0000:00/0000:00:14.0/usb1/1-2/product", "Keyboard")
    links = tree.root / "sys/bus/usb/devices"
    links.mkdir(parents=True)
    (links / "2-1").symlink_to(tree.root / device)
    (links / "1-2").symlink_to(tree.root / "sys/devices/pci0000:00/0000:00:14.0/usb1/1-2")
    assert usb.find_cameras(tree.machine) == (
        usb.UsbCamera(serial="chip1", speed_mbit=5000, controller="0000:02:00.0"),
    )


@pytest.mark.parametrize("folder", ["etc", "lib", "usr/lib"])
def test_rules_of_udev_are_found_where_they_may_lie(tree: Tree, folder: str) -> None:
    assert not usb.has_rules(tree.machine)
    tree.write(f"{folder}/udev/rules.d/99-realsense-libusb.rules", "")
    assert usb.has_rules(tree.machine)


def test_the_sdk_describes_a_camera_that_says_little_about_itself() -> None:
    pytest.importorskip("pyrealsense2")
    from mail_cameras.realsense_listing_driver import list_cameras
    from tests.unit.camera_rig import SERIAL, SoftwareDevice, camera_config

    device = SoftwareDevice(camera_config()).device
    (found,) = list_cameras(SimpleNamespace(query_devices=lambda: [device]))
    assert (found.serial, found.chip_serial) == (SERIAL, "")
    assert not found.has_global_time


def test_the_listing_of_the_sdk_is_read_strictly() -> None:
    camera = {
        "serial": "1",
        "chip_serial": "2",
        "model": "m",
        "firmware": "5",
        "wanted_firmware": "",
    }
    (found,) = cameras.parse_listing(json.dumps([camera | {"has_global_time": True}]))
    assert found.chip_serial == "2"
    with pytest.raises(ValueError, match="missing has_global_time"):
        cameras.parse_listing(json.dumps([camera]))


def test_the_disk_is_measured_and_nothing_stays_on_it(tmp_path: Path) -> None:
    facts = disk.gather(tmp_path / "not" / "yet")
    assert facts.folder == str(tmp_path)
    assert facts.is_writable
    assert facts.speed is not None
    assert facts.speed > 0
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_to_write_has_no_speed(tmp_path: Path) -> None:
    assert disk.write_speed(tmp_path / "missing") is None


def test_a_machine_without_a_card_is_not_asked_for_its_driver(tree: Tree) -> None:
    tree.write("sys/bus/pci/devices/0000:01:00.1/vendor", "0x10de")
    # The sound of a graphics card.
    tree.write("sys/bus/pci/devices/0000:01:00.1/class", "0x040300")
    assert not gpu.gather(tree.machine).is_present


def test_the_kernel_tells_about_its_clock() -> None:
    assert clock.gather().error_ms >= 0.0


def test_only_exact_pins_of_the_wanted_extras_count() -> None:
    requirements = [
        "numpy>=2.0",
        'mujoco==3.8.1; extra == "sim"',
        'imageio>=2.34; extra == "sim"',
        'hf-libero==0.1.4; extra == "libero"',
    ]
    assert packages.pins_of(requirements, ["sim"]) == {"mujoco": "3.8.1"}


def test_this_environment_has_the_pinned_packages() -> None:
    facts = packages.gather("sim", {})
    assert facts.pins
    assert set(facts.installed) == set(facts.pins)


def test_calibrations_are_read_and_refused_ones_explained(tmp_path: Path) -> None:
    assert calibration.gather(tmp_path).results == {}
    (tmp_path / "2026-07-05T14-22-33_hand_eye_wrist.yaml").write_text("kind: wrong")
    assert "kind must be one of" in calibration.gather(tmp_path).problem


def test_leftovers_are_only_looked_at(tmp_path: Path) -> None:
    memory = tmp_path / "fastrtps_port7412"
    memory.touch()
    os.utime(memory, (0, 0))
    facts = leftovers.gather(tmp_path, tmp_path)
    assert facts.memory == ("fastrtps_port7412",)
    assert memory.exists()


def test_pings_to_this_machine_come_back() -> None:
    try:
        facts = ping("127.0.0.1", 20)
    except PingRefusedError:
        pytest.skip("this user may not ping")
    assert facts.sent == 20
    assert facts.lost < 20
    assert 0.0 < facts.p50_ms <= facts.p99_ms <= facts.max_ms


def test_statistics_of_pings() -> None:
    facts = summarise(101, [0.001 * value for value in range(1, 101)])
    assert (facts.lost, facts.p50_ms, facts.p99_ms, facts.max_ms) == pytest.approx(
        (1, 51.0, 100.0, 100.0)
    )
    assert summarise(20, []).lost == 20


def test_a_program_that_is_missing_fails_or_hangs_gives_no_answer() -> None:
    assert output_of([sys.executable, "-c", "print(7)"], 20.0) == "7"
    assert output_of(["no-such-program"], 1.0) is None
    assert output_of([sys.executable, "-c", "raise SystemExit(1)"], 20.0) is None
    assert output_of([sys.executable, "-c", "input(); import time; time.sleep(60)"], 0.1) is None


@pytest.mark.parametrize(
    ("version", "files", "libfranka"),
    [
        ("2.0.0", ["franky_control.libs/libfranka-b351eea7.so.0.21.2"], (0, 21, 2)),
        ("2.0.0+libfranka.0.9.2", ["franky/libfranky.so"], (0, 9, 2)),
    ],
)
def test_a_wheel_tells_its_libfranka(
    version: str, files: list[str], libfranka: tuple[int, ...]
) -> None:
    assert find_libfranka(version, files) == libfranka


def test_a_wheel_that_does_not_tell_is_refused() -> None:
    with pytest.raises(ValueError, match="install it again"):
        find_libfranka("2.0.0", ["franky/libfranky.so"])


@pytest.mark.parametrize(
    ("libfranka", "server"),
    [
        ((0, 21, 2), "10"),
        ((0, 18, 0), "10"),
        ((0, 17, 0), "6-9"),
        ((0, 12, 1), "6-9"),
        ((0, 9, 2), "5"),
        ((0, 8, 0), "4"),
        ((0, 7, 1), "3"),
        ((0, 10, 0), None),
        ((0, 9, 0), None),
    ],
)
def test_each_libfranka_fits_one_row_of_the_table(
    libfranka: tuple[int, ...], server: str | None
) -> None:
    rows = [wheel.server for wheel in WHEELS if wheel.fits(libfranka)]
    assert rows == ([] if server is None else [server])


def test_the_two_arms_share_no_wheel() -> None:
    assert not set(wheels_of(RobotType.FER)) & set(wheels_of(RobotType.FR3))
