"""The twin's world between two control steps: snapshots, success, requests, pictures."""

import os
import socket

import mujoco
import numpy as np
import pytest

from mail_policy.core.kinematics import HOME_JOINT_POSITIONS
from mail_sim.world.graphics import GraphicsError, require_graphics
from mail_sim.world.layout import sample_layout
from mail_sim.world.process_channel import Channel, ChannelClosedError
from mail_sim.world.process_stage import Stage
from mail_sim.world.render_gate import RenderGate, RenderGateConfig
from mail_sim.world.renderer import CameraRenderer, next_number
from mail_sim.world.scene import direct_scene_xml
from mail_sim.world.snapshot import Snapshot, SnapshotRing
from mail_sim.world.tasks import TASKS
from mail_sim.world.visible_state import show_state, visible_state
from mail_sim.world.world import World

OPEN_TOP_DRAWER = "open the top drawer of the cabinet"


class HomeArm:
    """The part of franky-sim's robot that the stage reads."""

    def __init__(self) -> None:
        self.q = tuple(HOME_JOINT_POSITIONS)

    @property
    def inner_state(self) -> "HomeArm":
        return self


class Bench:
    """A stage over the real scene, whose time the test advances without physics."""

    def __init__(self, model: mujoco.MjModel, gate: RenderGate | None = None) -> None:
        self.model, self.data = model, mujoco.MjData(model)
        self.robots = [HomeArm()]
        self.descriptor = os.memfd_create("test")
        self.ring = SnapshotRing.create(self.descriptor, len(visible_state(self.data)))
        ours, theirs = socket.socketpair()
        self.parent = Channel(ours)
        self.notified = 0
        self.stage = Stage(
            simulator=self,
            ring=self.ring,
            channel=Channel(theirs),
            gate=gate,
            notify_renderer=self.notify,
        )
        self.theirs = theirs

    def notify(self) -> None:
        self.notified += 1

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.data.time += 0.001
            self.stage.after_step()

    def ask(self, **request: object) -> dict:
        self.parent.send({"id": 1, **request})
        self.run(5)
        answer = self.parent.poll()
        assert answer is not None
        return answer

    def open_drawer(self, opening_m: float) -> None:
        self.data.joint("top_drawer_slide").qpos[0] = opening_m
        self.run(5 * len(TASKS))

    def close(self) -> None:
        self.parent.close()
        self.theirs.close()
        os.close(self.descriptor)


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(direct_scene_xml())


@pytest.fixture
def bench(model):
    bench = Bench(model)
    yield bench
    bench.close()


def test_snapshots_lie_on_the_policys_grid_and_time_on_every_step(bench):
    bench.run(49)
    assert bench.ring.newest_number == 0
    assert bench.ring.time_s == 0.049
    bench.run(102)
    assert bench.ring.newest_number == bench.notified == 3
    stamps = [bench.ring.read(number).time_s for number in (1, 2, 3)]
    assert stamps == [0.05, 0.1, 0.15]


def test_a_snapshot_holds_everything_that_is_visible(bench, model):
    bench.ask(command="reset", seed=100_007)
    bench.run(50)
    seen = mujoco.MjData(model)
    show_state(model, seen, bench.ring.read(bench.ring.newest_number).state)
    mujoco.mj_kinematics(model, bench.data)
    np.testing.assert_array_equal(seen.geom_xpos, bench.data.geom_xpos)
    np.testing.assert_array_equal(seen.geom_xmat, bench.data.geom_xmat)


def test_success_is_kept_until_the_next_reset(bench):
    bench.ask(command="reset", seed=100_000)
    opening_m = sample_layout(100_000).openings_m["top"]
    before = bench.ask(command="check", sentence=OPEN_TOP_DRAWER)
    assert before["first_held_s"] is None
    assert before["measure"] == pytest.approx(opening_m)
    bench.open_drawer(0.15)
    bench.open_drawer(0.05)
    after = bench.ask(command="check", sentence=OPEN_TOP_DRAWER)
    assert 0.0 < after["first_held_s"] < bench.ring.time_s
    assert after["measure"] == pytest.approx(0.05)
    bench.ask(command="reset", seed=100_000)
    assert bench.ask(command="check", sentence=OPEN_TOP_DRAWER)["first_held_s"] is None


def test_a_reset_does_not_touch_the_arm_or_the_time(bench):
    bench.data.qpos[:7] = HOME_JOINT_POSITIONS + 0.01
    bench.run(60)
    bench.ask(command="reset", seed=5)
    np.testing.assert_array_equal(bench.data.qpos[:7], HOME_JOINT_POSITIONS + 0.01)
    assert bench.ring.time_s == pytest.approx(0.065)


def test_a_reset_is_refused_while_the_arm_is_away_from_home(bench):
    bench.robots[0].q = tuple(HOME_JOINT_POSITIONS + np.array([0, 0, 0, 0.3, 0, 0, 0]))
    before = bench.data.qpos.copy()
    answer = bench.ask(command="reset", seed=5)
    assert "joint 4 is 0.30 rad away" in answer["error"]
    assert "arm/home" in answer["error"]
    np.testing.assert_array_equal(bench.data.qpos, before)


@pytest.mark.parametrize(
    "request_", [{"command": "dance"}, {"command": "check", "sentence": "juggle"}]
)
def test_what_cannot_be_done_is_answered_with_an_error(bench, request_):
    assert "error" in bench.ask(**request_)
    assert bench.ask(command="statistics")["time_s"] > 0.0


def test_a_stop_ends_the_stage_and_a_lost_parent_too(bench):
    bench.ask(command="stop")
    assert bench.stage.has_ended
    bench.parent.close()
    with pytest.raises(ChannelClosedError):
        bench.run(5)


def test_the_world_waits_for_a_renderer_that_is_behind(model):
    config = RenderGateConfig(max_lag=1, step_limit_s=0.002, patience_s=5.0)
    bench = Bench(model, RenderGate(config))
    bench.run(99)
    assert bench.ask(command="statistics")["render_wait_s"] < 0.02  # Begins at the second one.
    waited_s = bench.ask(command="statistics")["render_wait_s"]
    assert waited_s >= 5 * 0.002
    bench.ring.rendered_number = bench.ring.newest_number
    bench.run(20)
    assert bench.ask(command="statistics")["render_wait_s"] < waited_s + 0.02
    bench.close()


@pytest.mark.parametrize(
    ("newest", "rendered", "in_order", "expected"),
    [(3, 3, True, None), (5, 3, True, 4), (5, 3, False, 5), (3, 3, False, None)],
)
def test_the_renderer_takes_the_next_or_the_newest(newest, rendered, in_order, expected):
    assert next_number(newest, rendered, in_order) == expected


def test_the_twin_renders_the_same_pixels_as_the_directly_stepped_world():
    try:
        require_graphics()
    except GraphicsError as error:
        pytest.skip(str(error))
    with World(TASKS[0]) as world:
        observation = world.reset(100_042)
        renderer = CameraRenderer(world.model, 256, 256)
        renderer.show(Snapshot(1, 0.0, visible_state(world.data)))
        for camera, image in observation.images.items():
            np.testing.assert_array_equal(renderer.render(camera), image)
        renderer.close()
