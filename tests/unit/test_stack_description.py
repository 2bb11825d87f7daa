"""The one description of the stack and its arguments."""

import json
from pathlib import Path

import pytest

from mail_bringup import stack
from mail_bringup.arguments import (
    ArgumentError,
    describe_arguments,
    parse_assignments,
    resolve,
)
from mail_bringup.places import find_executable
from mail_bringup.processes import Process, environment, parameter_text
from mail_bringup.stack_arguments import STACKS


def arguments(**given: str) -> dict[str, str]:
    """Return all arguments of the policy stack, with an address as a starter would choose it."""
    given.setdefault("robot_ip", "127.0.0.9")
    return resolve(STACKS["policy"], given)


def names(processes: tuple[Process, ...]) -> list[str]:
    return [process.name for process in processes]


def process_named(name: str, **given: str) -> Process:
    found = [p for p in stack.describe("policy", arguments(**given)) if p.name == name]
    assert len(found) == 1
    return found[0]


def test_assignments_are_read_as_ros_writes_them() -> None:
    assert parse_assignments(["task:=open drawer", "robot_ip:=", "x:=a:=b"]) == {
        "task": "open drawer",
        "robot_ip": "",
        "x": "a:=b",
    }


@pytest.mark.parametrize("word", ["task", "task=open", ":=x", "two words:=x", "--task:=x"])
def test_any_other_form_is_refused(word: str) -> None:
    with pytest.raises(ArgumentError, match="expected name:=value"):
        parse_assignments([word])


def test_an_argument_given_twice_is_refused() -> None:
    with pytest.raises(ArgumentError, match="robot is given twice: 'sim' and 'panda'"):
        parse_assignments(["robot:=sim", "robot:=panda"])


def test_a_misspelt_argument_gets_a_suggestion() -> None:
    with pytest.raises(
        ArgumentError, match="unknown argument 'chekpoint'; did you mean 'checkpoint'"
    ):
        resolve(STACKS["policy"], {"chekpoint": "x"})


def test_a_value_outside_the_choices_is_refused_by_name() -> None:
    with pytest.raises(ArgumentError, match="robot must be one of sim, panda, fr3, got 'ur5'"):
        resolve(STACKS["policy"], {"robot": "ur5"})


@pytest.mark.parametrize("name", STACKS)
def test_every_argument_has_help_and_a_default_that_is_allowed(name: str) -> None:
    declared = STACKS[name]
    assert len({argument.name for argument in declared}) == len(declared)
    for argument in declared:
        assert argument.help
        assert argument.check(argument.default) == argument.default
        assert argument.help in describe_arguments(declared)


def test_the_twin_comes_first_and_ends_last() -> None:
    processes = stack.describe("policy", arguments())
    assert names(processes) == [
        *("twin", "camera", "arm", "policy", "recorder"),
        *("description", "supervisor"),
    ]
    assert [p.name for p in processes if p.outlives_others] == ["twin"]


def test_a_real_robot_has_no_twin_and_no_simulated_time() -> None:
    processes = stack.describe("policy", arguments(robot="panda", robot_ip="172.16.0.2"))
    assert names(processes) == ["camera", "arm", "policy", "recorder", "description", "supervisor"]
    assert [p.parameters["use_sim_time"] for p in processes] == [False] * 6


def test_every_node_but_the_twin_follows_the_twins_clock() -> None:
    twin, *others = stack.describe("policy", arguments())
    assert "use_sim_time" not in twin.parameters
    assert all(process.parameters["use_sim_time"] is True for process in others)


@pytest.mark.parametrize(
    ("robot", "address", "expected"),
    [("sim", "127.0.0.9", "fr3"), ("panda", "172.16.0.2", "fer"), ("fr3", "172.16.0.2", "fr3")],
)
def test_the_arm_model_follows_the_robot(robot: str, address: str, expected: str) -> None:
    arm = process_named("arm", robot=robot, robot_ip=address)
    assert arm.parameters["robot_type"] == expected
    assert arm.parameters["robot_ip"] == address


def test_the_viewer_is_started_on_request_and_never_required() -> None:
    assert "rviz" not in names(stack.describe("policy", arguments()))
    viewer = process_named("rviz", use_rviz="true")
    assert (viewer.package, viewer.required, viewer.lifecycle) == ("rviz2", False, False)


def test_the_description_knows_cameras_and_their_calibrations() -> None:
    description = process_named("description", robot="panda", robot_ip="172.16.0.2")
    assert description.parameters["robot_type"] == "fer"
    assert description.parameters["cameras"] == ("agentview", "wrist")
    assert description.parameters["camera_frames"][1] == "wrist_color_optical_frame"
    assert description.parameters["camera_serials"] == ("000000000001", "000000000002")
    assert description.parameters["calibration_dir"].endswith("calibration/results/panda")
    assert not description.lifecycle


def test_the_description_can_be_left_out() -> None:
    assert "description" not in names(stack.describe("policy", arguments(use_description="false")))


def test_a_missing_viewer_is_told_with_its_apt_package() -> None:
    with pytest.raises(FileNotFoundError, match="install ros-jazzy-rviz2 with apt"):
        find_executable("rviz2", "no_such_executable")


def test_the_supervisor_brings_up_exactly_the_lifecycle_nodes() -> None:
    processes = stack.describe("policy", arguments(record="false"))
    supervisor = processes[-1]
    assert supervisor.parameters["nodes"] == ("camera", "arm", "policy")
    assert [p.name for p in processes if p.lifecycle] == ["camera", "arm", "policy"]


@pytest.mark.parametrize(
    ("robot", "auto_start", "expected"),
    [("sim", "auto", True), ("sim", "false", False), ("panda", "auto", False)],
)
def test_only_a_twin_starts_by_itself(robot: str, auto_start: str, expected: bool) -> None:
    address = "127.0.0.9" if robot == "sim" else "172.16.0.2"
    supervisor = process_named("supervisor", robot=robot, auto_start=auto_start, robot_ip=address)
    assert supervisor.parameters["auto_start"] is expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"robot": "panda", "robot_ip": ""}, "needs the address of the arm"),
        ({"robot": "sim", "robot_ip": "172.16.0.2"}, "lives at a loopback address"),
        (
            {"robot": "panda", "robot_ip": "172.16.0.2", "robot_type": "fr3"},
            "robot:=panda is of type fer, got robot_type:=fr3",
        ),
        ({"robot_type": "fer"}, "robot:=sim is of type fr3"),
        (
            {"robot": "fr3", "robot_ip": "172.16.0.2", "auto_start": "true"},
            "auto_start:=true is refused on a real arm",
        ),
    ],
)
def test_contradicting_arguments_are_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        stack.describe("policy", arguments(**given))


def test_a_person_may_take_over_from_the_policy() -> None:
    assert "teleop" not in names(stack.describe("policy", arguments()))
    device = process_named("teleop", device="spacemouse", task="open drawer")
    assert device.parameters["config_file"].endswith("launch/config/teleop_spacemouse.yaml")
    assert device.parameters["task"] == "open drawer"


@pytest.mark.parametrize(
    ("record_on", "recorder_starts_on", "supervisor_records"),
    [("start", "operator", True), ("takeover", "takeover", False)],
)
def test_either_the_supervisor_or_a_takeover_starts_a_recording(
    record_on: str, recorder_starts_on: str, supervisor_records: bool
) -> None:
    recorder = process_named("recorder", record_on=record_on)
    supervisor = process_named("supervisor", record_on=record_on)
    assert recorder.parameters["start_on"] == recorder_starts_on
    assert recorder.parameters["source"] == "policy"
    assert supervisor.parameters["record"] is supervisor_records


def described(name: str, **given: str) -> dict[str, Process]:
    given.setdefault("robot_ip", "127.0.0.9")
    return {p.name: p for p in stack.describe(name, resolve(STACKS[name], given))}


def test_a_person_records_without_a_policy() -> None:
    processes = described("record", task="open drawer", terminal="/dev/pts/3", operator="Ada")
    assert list(processes) == [
        *("twin", "camera", "arm", "recorder", "teleop"),
        *("description", "supervisor"),
    ]
    recorder, teleop = processes["recorder"], processes["teleop"]
    assert (recorder.parameters["source"], recorder.parameters["operator"]) == ("teleop", "Ada")
    assert recorder.parameters["start_on"] == "operator"
    assert teleop.parameters["terminal"] == "/dev/pts/3"
    assert processes["supervisor"].parameters["record"] is False


def test_a_person_moves_the_arm_without_a_recorder() -> None:
    assert "recorder" not in described("teleop", device="gamepad")


def test_depth_is_recorded_where_a_camera_sees_it(tmp_path: Path) -> None:
    file = tmp_path / "cameras.yaml"
    camera = "{driver: realsense, image_width: 640, image_height: 480, rate_hz: 30, "
    file.write_text(
        "cameras:\n"
        f"  - {camera}name: front, frame_id: f, serial: '1', depth: aligned}}\n"
        f"  - {camera}name: wrist, frame_id: w, serial: '2'}}\n"
    )
    recorder = process_named("recorder", cameras_file=str(file))
    assert recorder.parameters["cameras"] == ("front", "wrist")
    assert recorder.parameters["depth_cameras"] == ("front",)


def test_a_recording_without_a_task_is_refused() -> None:
    with pytest.raises(ArgumentError, match="a recording needs a task, in words"):
        described("record")


def test_a_lost_recorder_or_policy_does_not_end_the_run() -> None:
    processes = stack.describe("policy", arguments())
    optional = [p.name for p in processes if not p.required]
    assert optional == ["policy", "recorder", "description"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("true", '"true"'),
        ("open drawer", '"open drawer"'),
        ("", '""'),
        (True, "true"),
        (60.0, "60.0"),
        (2, "2"),
        (("agentview", "wrist"), '["agentview", "wrist"]'),
    ],
)
def test_parameters_keep_their_type_on_the_command_line(value: object, text: str) -> None:
    assert parameter_text(value) == text  # type: ignore[arg-type]
    assert json.loads(text) == (list(value) if isinstance(value, tuple) else value)


def test_processes_stay_on_this_machine_and_use_one_thread() -> None:
    variables = environment()
    assert variables["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert variables["OMP_NUM_THREADS"] == "1"


def test_every_stack_has_a_launch_file_without_logic() -> None:
    folder = Path(__file__).parents[2] / "launch"
    files = {file.name.removesuffix(".launch.py"): file for file in folder.glob("*.launch.py")}
    assert set(files) == set(STACKS)
    for name, file in files.items():
        text = file.read_text()
        assert f'launch_description("{name}")' in text
        assert len(text.splitlines()) <= 80
