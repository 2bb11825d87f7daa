"""Who may import whom. These rules keep the core usable on a machine without ROS or a robot."""

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARIES = ("mail_policy", "calibration", "data_collection")
NODES = ("ros2_ws/src",)
OUR_ROS_PACKAGES = {
    "mail_bringup",
    "mail_cameras",
    "mail_description",
    "mail_franka",
    "mail_monitor",
    "mail_policy_ros",
    "mail_recorder",
    "mail_ros",
    "mail_sim",
    "mail_teleop",
}
KINDS = {
    "ros": {"rclpy", "tf2_ros", "ament_index_python"},  # and every message package, see kind_of
    "launch": {"launch", "launch_ros"},
    "vendor": {
        *("franky", "pyrealsense2", "evdev", "hid", "hidraw", "dynamixel_sdk", "serial"),
        "viser",
    },
    "simulator": {"mujoco", "franky_sim"},
    "heavy": {"torch", "torchvision", "mamba_ssm", "open_clip"},
    "ours": OUR_ROS_PACKAGES,
    "pickle": {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"},
}
ROS_FILES = ("*_node.py", "*_process.py", "*/conversions.py", "*/mail_ros/*")
CORE_MAY_IMPORT = {"numpy", "yaml", "mail_policy"}


def kind_of(package: str) -> str:
    """Name the kind of a top-level package, or return an empty string if it has none."""
    if package.endswith(("_msgs", "_srvs", "_interfaces")):
        return "ros"
    return next((kind for kind, packages in KINDS.items() if package in packages), "")


def modules_imported_by(source: str) -> Iterator[str]:
    """Yield the dotted name of every import, including the ones inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def python_files(folders: tuple[str, ...], root: Path = ROOT) -> list[Path]:
    return sorted(file for folder in folders for file in (root / folder).rglob("*.py"))


def offenders(
    folders: tuple[str, ...], kinds: set[str], allowed_in: tuple[str, ...] = (), root: Path = ROOT
) -> list[str]:
    """List imports of some kinds below some folders, outside the files where they are allowed."""
    found = {
        f"{file.relative_to(root)} imports {module.split('.')[0]}"
        for file in python_files(folders, root)
        if not any(fnmatch(str(file), pattern) for pattern in allowed_in)
        for module in modules_imported_by(file.read_text())
        if kind_of(module.split(".")[0]) in kinds
    }
    return sorted(found)


def test_libraries_know_nothing_of_ros_vendors_or_simulator() -> None:
    kinds = {"ros", "launch", "vendor", "simulator", "ours"}
    assert offenders(LIBRARIES, kinds) == []


def test_the_core_imports_only_the_standard_library_numpy_and_yaml() -> None:
    import sys

    found = {
        f"{file.relative_to(ROOT)} imports {module}"
        for file in python_files(("mail_policy/core",))
        for module in modules_imported_by(file.read_text())
        if module.split(".")[0] not in CORE_MAY_IMPORT | sys.stdlib_module_names
    }
    assert sorted(found) == []


def test_the_core_depends_on_no_other_part_of_the_library() -> None:
    found = {
        f"{file.relative_to(ROOT)} imports {module}"
        for file in python_files(("mail_policy/core",))
        for module in modules_imported_by(file.read_text())
        if module.startswith("mail_policy.") and not module.startswith("mail_policy.core")
    }
    assert sorted(found) == []


def test_only_nodes_processes_and_conversions_import_ros() -> None:
    assert offenders(NODES, {"ros"}, allowed_in=ROS_FILES) == []


def test_only_the_launch_adapter_and_launch_files_import_launch() -> None:
    assert offenders(NODES, {"launch"}, allowed_in=("*/mail_bringup/launch_adapter.py",)) == []


def test_only_driver_files_import_vendor_libraries() -> None:
    assert offenders(NODES, {"vendor"}, allowed_in=("*_driver.py",)) == []


def test_only_the_simulated_world_imports_the_simulator() -> None:
    assert offenders(NODES, {"simulator"}, allowed_in=("*/mail_sim/world/*",)) == []


def imports_of_nodes(root: Path = ROOT) -> list[str]:
    """List imports of nodes by nodes, and by processes, which compose those of their package."""
    found = {
        f"{file.relative_to(root)} imports {module}"
        for file in python_files(NODES, root)
        if file.name.endswith(("_node.py", "_process.py"))
        for module in modules_imported_by(file.read_text())
        if (parts := module.split("."))[0] in OUR_ROS_PACKAGES
        and any(part.endswith(("_node", "_process")) for part in parts)
        and not (file.name.endswith("_process.py") and parts[0] == file.parent.name)
    }
    return sorted(found)


def test_a_node_never_imports_a_node_and_a_process_only_those_of_its_package() -> None:
    assert imports_of_nodes() == []


@pytest.mark.parametrize(
    ("file", "module", "is_allowed"),
    [
        ("arm_process.py", "mail_franka.arm_node", True),
        ("arm_process.py", "mail_cameras.camera_node", False),
        ("gripper_node.py", "mail_franka.arm_node", False),
        ("arm_node.py", "mail_franka.arm_process", False),
        ("arm_node.py", "mail_franka.session", True),
    ],
)
def test_an_import_of_a_node_is_found(
    tmp_path: Path, file: str, module: str, is_allowed: bool
) -> None:
    folder = tmp_path / NODES[0] / "mail_franka" / "mail_franka"
    folder.mkdir(parents=True)
    (folder / file).write_text(f"import {module}")
    assert (imports_of_nodes(tmp_path) == []) is is_allowed


def test_nothing_can_unpickle() -> None:
    assert offenders((*LIBRARIES, *NODES, "launch"), {"pickle"}) == []


@pytest.mark.parametrize(
    ("path", "source", "kinds"),
    [
        ("mail_policy/core/bad.py", "import rclpy", {"ros"}),
        ("mail_policy/core/bad.py", "def f():\n    from sensor_msgs.msg import Image", {"ros"}),
        ("mail_policy/bad.py", "from franky import Robot", {"vendor"}),
        ("data_collection/bad.py", "import mujoco.viewer", {"simulator"}),
        ("calibration/bad.py", "import pickle", {"pickle"}),
    ],
)
def test_a_broken_rule_is_found(tmp_path: Path, path: str, source: str, kinds: set[str]) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(source)
    found = offenders(LIBRARIES, kinds, root=tmp_path)
    assert len(found) == 1
    assert path in found[0]
