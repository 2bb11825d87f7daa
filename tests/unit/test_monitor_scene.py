"""What is drawn and said."""

import dataclasses

import numpy as np
import pytest

from mail_monitor.page import NOTICE, panel_html
from mail_monitor.robot_shape import (
    LEFT_FINGER,
    RIGHT_FINGER,
    LinkMesh,
    capsule_mesh,
    capsule_shape,
    robot_frames,
    robot_shape,
)
from mail_monitor.scene import (
    BOX,
    BOX_HIT,
    EXECUTED_NEW,
    PREDICTED_FAR,
    PREDICTED_NEAR,
    Segments,
    build_scene,
)
from mail_monitor.status_lines import age_lines, headline, policy_line
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, TCP_FRAME
from mail_policy.core.motion.self_collision import CAPSULES
from tests.unit.monitor_values import HOME_M, MOTION, snapshot


def group(name: str, **given: object) -> Segments:
    seen = dataclasses.replace(snapshot(), **given)
    (found,) = [g for g in build_scene(seen, MOTION.envelope).segments if g.name == name]
    return found


def test_the_chunk_is_one_line_from_the_arm_and_its_colour_fades_with_time() -> None:
    predicted = group("predicted")
    np.testing.assert_allclose(predicted.ends_m[0, 0], HOME_M, atol=1e-12)
    np.testing.assert_allclose(predicted.ends_m[1:, 0], predicted.ends_m[:-1, 1])
    np.testing.assert_allclose(predicted.colours[0, 0], PREDICTED_NEAR)
    np.testing.assert_allclose(predicted.colours[-1, 1], PREDICTED_FAR)
    brightness = predicted.colours[:, 0].sum(axis=-1)
    assert (np.diff(brightness) < 0.0).all()


def test_the_executed_path_ends_at_the_arm_in_its_brightest_colour() -> None:
    executed = group("executed")
    np.testing.assert_allclose(executed.ends_m[-1, 1], HOME_M)
    np.testing.assert_allclose(executed.colours[-1, 1], EXECUTED_NEW)


@pytest.mark.parametrize(("limits", "colour"), [((), BOX), (("TCP in y",), BOX_HIT)])
def test_the_box_has_the_configured_edges_and_turns_red_at_a_limit(
    limits: tuple[str, ...], colour: tuple[float, ...]
) -> None:
    box = group("workspace", limits=limits)
    assert box.ends_m.shape == (12, 2, 3)
    np.testing.assert_allclose(box.ends_m.min(axis=(0, 1)), MOTION.envelope.tcp_lower_m)
    np.testing.assert_allclose(box.ends_m.max(axis=(0, 1)), MOTION.envelope.tcp_upper_m)
    lengths = np.linalg.norm(box.ends_m[:, 1] - box.ends_m[:, 0], axis=1)
    sides = np.subtract(MOTION.envelope.tcp_upper_m, MOTION.envelope.tcp_lower_m)
    np.testing.assert_allclose(np.sort(lengths), np.sort(np.repeat(sides, 4)))
    np.testing.assert_allclose(box.colours, np.broadcast_to(colour, (12, 2, 3)))


def test_the_first_lines_say_state_task_motion_and_limits() -> None:
    seen = dataclasses.replace(snapshot(may_move="no, because X"), limits=("joint 7",))
    assert headline(seen) == [
        "POLICY",
        "task: open the top drawer",
        "may move: no, because X",
        "AT LIMIT: joint 7",
    ]


def test_before_the_first_message_the_monitor_says_so() -> None:
    seen = dataclasses.replace(snapshot(), arm=None)
    assert headline(seen)[0] == "no state of the arm yet"


def test_the_heartbeat_of_the_policy_is_shown_with_its_age() -> None:
    assert "acts, heartbeat 0.03 s ago, inference 20 ms" in policy_line(snapshot())
    silent = dataclasses.replace(snapshot(), policy=None)
    assert policy_line(silent) == "policy: no heartbeat"


def test_late_inputs_are_marked_and_a_resting_policy_owes_no_chunk() -> None:
    ages_s = {"arm": 2.0, "chunk": 9.0, "camera wrist": None}
    seen = dataclasses.replace(snapshot(), ages_s=ages_s)
    lines = age_lines(seen)
    assert ["LATE" in line for line in lines] == [True, True, False]
    assert "nothing yet" in lines[2]
    assert seen.arm is not None
    resting = dataclasses.replace(seen, arm=dataclasses.replace(seen.arm, state="ready"))
    assert ["LATE" in line for line in age_lines(resting)] == [True, False, False]


def test_texts_from_the_wire_cannot_become_markup() -> None:
    html = panel_html(snapshot(task="<img src=x onerror=alert(1)>", may_move="no, <script>"))
    assert "<img" not in html
    assert "<script" not in html
    assert "&lt;img src=x" in html


def test_the_page_says_that_it_stops_nothing() -> None:
    assert NOTICE in panel_html(snapshot())


def test_long_causes_are_wrapped_so_that_they_stay_readable_in_the_scene() -> None:
    label = build_scene(snapshot(may_move="no, because " + 30 * "word "), MOTION.envelope).state
    assert max(map(len, label.text.splitlines())) <= 64


def test_fingers_are_as_far_apart_as_the_gripper_says() -> None:
    frames = robot_frames(HOME_JOINT_POSITIONS, 0.06)
    apart_m = frames[LEFT_FINGER, :3, 3] - frames[RIGHT_FINGER, :3, 3]
    assert np.linalg.norm(apart_m) == pytest.approx(0.06)
    assert abs(apart_m @ frames[TCP_FRAME, :3, 1]) == pytest.approx(0.06)


def distances_m(mesh: LinkMesh) -> np.ndarray:
    capsule = CAPSULES[0]
    start, end = np.array(capsule.start_m), np.array(capsule.end_m)
    axis = end - start
    along = np.clip((mesh.mesh.vertices - start) @ axis / (axis @ axis), 0.0, 1.0)
    return np.linalg.norm(mesh.mesh.vertices - start - along[:, None] * axis, axis=1)


def test_a_capsule_is_drawn_with_its_radius_and_without_holes() -> None:
    part = capsule_shape()[0]
    np.testing.assert_allclose(distances_m(part), CAPSULES[0].radius_m)
    faces = capsule_mesh(CAPSULES[0]).faces
    assert faces.max() == len(part.mesh.vertices) - 1
    assert len(np.unique(faces)) == len(part.mesh.vertices)


@pytest.mark.parametrize("gripper_width_m", [0.0, 0.08])
def test_the_shape_of_this_machine_reaches_the_tcp(gripper_width_m: float) -> None:
    frames = robot_frames(HOME_JOINT_POSITIONS, gripper_width_m)
    corners = np.vstack(
        [
            part.mesh.vertices @ frames[part.frame, :3, :3].T + frames[part.frame, :3, 3]
            for part in robot_shape()
        ]
    )
    assert corners[:, 2].min() == pytest.approx(0.0, abs=0.06)
    nearest_m = np.linalg.norm(corners - frames[TCP_FRAME, :3, 3], axis=1).min()
    assert nearest_m < 0.05
