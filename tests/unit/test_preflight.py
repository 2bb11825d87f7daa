"""What is missing is said before anything starts, once, with the remedy."""

import dataclasses
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mail_bringup import checkpoint_check, preflight
from mail_bringup.arguments import resolve
from mail_bringup.claims import FCI_PORT
from mail_bringup.processes import Process
from mail_bringup.stack_arguments import DEVICES, NO_DEVICE, STACKS
from mail_policy.inference.checkpoint import find_checkpoint

CAMERAS = """
cameras:
  - {name: agentview, driver: twin, image_width: 8, image_height: 8, rate_hz: 20, frame_id: a}
  - {name: wrist, driver: twin, image_width: 8, image_height: 8, rate_hz: 20, frame_id: b}
"""
PROCESS = Process(name="arm", package="p", executable="e")
SHIPPED = "open_top_drawer"


def arguments(tmp_path: Path, **given: str) -> dict[str, str]:
    """Return arguments whose files exist."""
    (tmp_path / "cameras.yaml").write_text(CAMERAS)
    (tmp_path / "arm.yaml").touch()
    defaults = {
        "cameras_file": os.fspath(tmp_path / "cameras.yaml"),
        "arm_file": os.fspath(tmp_path / "arm.yaml"),
        "robot_ip": "127.0.0.251",
        "episodes_dir": os.fspath(tmp_path / "episodes"),
    }
    return resolve(STACKS["policy"], defaults | given)


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pretend that the executable of PROCESS is built."""
    executable = tmp_path / "lib/p/e"
    executable.parent.mkdir(parents=True)
    executable.touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", os.fspath(tmp_path))
    return


@pytest.mark.usefixtures("built")
def test_a_complete_stack_passes(tmp_path: Path) -> None:
    preflight.check_all(arguments(tmp_path), [PROCESS])


@pytest.mark.usefixtures("built")
def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    given = arguments(tmp_path, task="dance", arm_file="/nowhere/arm.yaml")
    with pytest.raises(preflight.PreflightError) as caught:
        preflight.check_all(given, [PROCESS])
    assert len(caught.value.problems) == 2
    assert "/nowhere/arm.yaml does not exist" in caught.value.problems[0]
    assert "'dance' is no task of this policy" in caught.value.problems[1]


def test_an_executable_that_is_not_built_is_named() -> None:
    missing = dataclasses.replace(PROCESS, executable="no_such_node")
    (problem,) = preflight.check_built([missing, missing])
    assert "no_such_node" in problem
    assert "make build" in problem


def test_a_misspelt_camera_file_is_explained(tmp_path: Path) -> None:
    given = arguments(tmp_path)
    Path(given["cameras_file"]).write_text(CAMERAS.replace("frame_id: a", "frame: a"))
    (problem,) = preflight.check_files(given)
    assert "unknown key 'frame'" in problem
    assert "cameras_file:=PATH" in problem


def test_a_camera_that_the_checkpoint_needs_is_missed_by_name() -> None:
    (problem,) = checkpoint_check.check_checkpoint(SHIPPED, "open drawer", ["agentview"])
    assert "needs camera wrist, configured are agentview" in problem


def test_cameras_that_the_checkpoint_does_not_need_do_no_harm() -> None:
    cameras = ["agentview", "wrist", "spare"]
    assert checkpoint_check.check_checkpoint(SHIPPED, "open drawer", cameras) == []


def test_a_missing_checkpoint_is_one_problem() -> None:
    (problem,) = checkpoint_check.check_checkpoint("no_such", "dance", ["agentview"])
    assert problem.startswith("checkpoint 'no_such': 'no_such' is no checkpoint")
    assert "train one with mailctl train" in problem


@pytest.mark.parametrize("name", ["weights.safetensors", "self_test.safetensors"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_checkpoint_is_refused_before_anything_starts(
    tmp_path: Path, name: str, damage: str
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(find_checkpoint(SHIPPED), folder)
    file = folder / name
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    if damage == "flip":
        file.write_bytes(content)
    elif damage == "cut":
        file.write_bytes(content[:-100])
    else:
        file.unlink()
    (problem,) = checkpoint_check.check_checkpoint(os.fspath(folder), "open drawer", [])
    assert name in problem
    assert "copy the" in problem


def test_a_folder_that_can_be_made_passes(tmp_path: Path) -> None:
    assert preflight.check_writable(tmp_path / "a" / "b") == []


def test_a_file_in_the_way_of_recordings_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (problem,) = preflight.check_writable(tmp_path / "file" / "episodes")
    assert f"cannot write below {tmp_path / 'file'}" in problem


def test_an_address_that_another_twin_uses_is_refused() -> None:
    with socket.create_server(("127.0.0.252", FCI_PORT)):
        (problem,) = preflight.check_address_free("127.0.0.252")
    assert "in use" in problem
    assert preflight.check_address_free("127.0.0.252") == []


def test_a_robot_that_does_not_answer_is_named_with_the_remedy() -> None:
    (problem,) = preflight.check_robot_reachable("127.0.0.253")
    assert problem.startswith("no robot answers at 127.0.0.253:1337")
    assert "activate FCI in Desk" in problem
    with socket.create_server(("127.0.0.253", FCI_PORT)):
        assert preflight.check_robot_reachable("127.0.0.253") == []


def test_a_missing_egl_is_named_with_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise OSError("no such library")

    monkeypatch.setattr("mail_sim.world.graphics.ctypes.CDLL", refuse)
    monkeypatch.setenv("MUJOCO_GL", "egl")
    (problem,) = preflight.check_rendering()
    assert "apt install libegl1 libegl-mesa0 libgl1-mesa-dri" in problem


@pytest.mark.parametrize("device", [name for name in DEVICES if name != NO_DEVICE])
def test_every_device_has_settings_that_can_be_read(tmp_path: Path, device: str) -> None:
    assert preflight.check_teleop(arguments(tmp_path, device=device, terminal="/dev/pts/0")) == []


def test_keys_without_a_terminal_are_refused_before_anything_starts(tmp_path: Path) -> None:
    (problem,) = preflight.check_teleop(arguments(tmp_path, device="keyboard"))
    assert "device:=keyboard reads keys, and this is no terminal" in problem


def test_misspelt_settings_of_a_device_are_explained(tmp_path: Path) -> None:
    (tmp_path / "teleop.yaml").write_text("device: keyboard\nkeybord: {}\n")
    given = arguments(tmp_path, device="keyboard", teleop_file=str(tmp_path / "teleop.yaml"))
    (problem,) = preflight.check_teleop(given)
    assert "unknown key 'keybord'; did you mean 'keyboard'?" in problem
    assert "teleop_file:=PATH" in problem
