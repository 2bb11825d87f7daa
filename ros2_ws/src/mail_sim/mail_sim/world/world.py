"""The directly stepped world: what a policy acts in for training data and evaluation.

No threads and no clock: time passes only in `reset` and `step`. The arm follows joint targets
with franky-sim's gains and with velocity feed-forward, as the real arm's controller does.
"""

from typing import Self

import mujoco
import numpy as np
from numpy.typing import NDArray

from mail_policy.core.action_schema import EE_DELTA, GRIPPER_OPEN_M, POLICY_RATE_HZ
from mail_policy.core.frames import Array, make_transform, move_pose
from mail_policy.core.kinematics import forward_kinematics, inverse_kinematics
from mail_policy.core.types import NUM_JOINTS, Observation
from mail_sim.world.graphics import require_graphics
from mail_sim.world.hand import HandState, advance, choose_goal
from mail_sim.world.layout import SceneLayout, apply_layout, sample_arm_start
from mail_sim.world.pictures import Pictures
from mail_sim.world.scene import CAMERAS, STEP_S, direct_scene_xml
from mail_sim.world.task import Task
from mail_sim.world.tasks import TASKS, task_for
from mail_sim.world.variation import Appearance, Variation

PERIOD_S = 1.0 / POLICY_RATE_HZ
IMAGE_SIZE = 256

_PARTS = 5
_PART_S = PERIOD_S / _PARTS
_STEPS_PER_PART = round(_PART_S / STEP_S)
# A commanded pose may lead the arm by this much [m]; against an obstacle it stops there.
_LEASH_M = 0.06
# With kv = kp / 10 this makes the actuator's force kp (q_ref - q) + kv (dq_ref - dq).
_FEED_FORWARD_S = 0.1
_SETTLE_PERIODS = 5


class WorldError(RuntimeError):
    """The world was used in the wrong order or with a wrong action."""


class World:
    """A scene with an arm and one task. Use it as a context manager, from one thread."""

    def __init__(
        self,
        task: str | Task = TASKS[0],
        *,
        image_size: int = IMAGE_SIZE,
        render: bool = True,
        cameras: tuple[str, ...] = CAMERAS,
        variation: Variation | None = None,
    ) -> None:
        """Build the scene.

        Args:
            task: The task or its sentence.
            image_size: Rows and columns of a picture.
            render: Whether observations have pictures.
            cameras: Which cameras they show.
            variation: How looks differ from episode to episode; None for always the same.

        Raises:
            GraphicsError: Pictures are wanted and cannot be rendered on this machine.
        """
        if render:
            require_graphics()
        self.task = task_for(task) if isinstance(task, str) else task
        scene = direct_scene_xml(has_buttons=self.task.has_buttons)
        self.model = mujoco.MjModel.from_xml_string(scene)
        self.data = mujoco.MjData(self.model)
        self.layout: SceneLayout | None = None
        self._image_size, self._cameras = image_size, cameras if render else ()
        self._pictures: Pictures | None = None
        self._appearance = Appearance(self.model, variation or Variation())

    def __enter__(self) -> Self:
        if self._cameras:
            self._pictures = Pictures(self.model, self._image_size, self._image_size)
        return self

    def __exit__(self, *error: object) -> None:
        if self._pictures is not None:
            self._pictures.close()
            self._pictures = None

    def reset(self, seed: int) -> Observation:
        """Begin an episode. The same seed gives the same episode."""
        self._appearance.dress(seed)
        return self.reset_to(self.task.layout(seed), sample_arm_start(seed))

    def reset_to(self, layout: SceneLayout, arm_start: Array) -> Observation:
        """Begin an episode from given places of things and joint positions [rad].

        It looks as the last one did.
        """
        mujoco.mj_resetData(self.model, self.data)
        self.layout = layout
        self.data.qpos[:NUM_JOINTS] = arm_start
        self.data.qpos[NUM_JOINTS : NUM_JOINTS + 2] = GRIPPER_OPEN_M / 2
        apply_layout(self.model, self.data, layout)
        self._joints = arm_start.copy()
        self._pose = forward_kinematics(arm_start)
        self._hand = HandState()
        mujoco.mj_forward(self.model, self.data)
        for _ in range(_SETTLE_PERIODS):
            self._move_joints(arm_start)
        self._referee = self.task.begin(self.model, self.data, layout)
        return self.observe()

    def step(self, action: Array) -> Observation:
        """Act for one period of the policy.

        Args:
            action: A row of EE_DELTA in SI units, shape (7,).
        """
        self._require_episode()
        if np.shape(action) != (EE_DELTA.size,) or not np.isfinite(action).all():
            raise WorldError(f"action must be {EE_DELTA.size} finite numbers, got {action}")
        self._pose = self._on_leash(move_pose(self._pose, np.asarray(action[:6], dtype=float)))
        self._hand = choose_goal(self._hand, float(action[6]))
        self._move_joints(inverse_kinematics(self._pose, self._joints).joint_positions)
        self._referee.advance(self.model, self.data)
        return self.observe()

    def success(self) -> bool:
        """Return True if the task has been done at the end of any step since the reset."""
        self._require_episode()
        return self._referee.succeeded

    def failure(self) -> str:
        """Return why the task cannot be done any more in this episode, "" while it can."""
        self._require_episode()
        return self._referee.failure

    def measure(self) -> float:
        """Return the task's own number, for example how far the drawer is open [m]."""
        self._require_episode()
        return self.task.measure(self.model, self.data)

    def observe(self) -> Observation:
        """Return what the robot sees and feels now."""
        self._require_episode()
        return Observation(
            captured_at_s=round(self.data.time / STEP_S) * STEP_S,
            images={camera: self.image(camera) for camera in self._cameras},
            joint_positions=self.data.qpos[:NUM_JOINTS].copy(),
            gripper_width_m=self.gripper_width_m,
        )

    def image(self, camera: str) -> NDArray[np.uint8]:
        """Render a camera: RGB uint8, shape (image_size, image_size, 3), top row first."""
        if self._pictures is None:
            raise WorldError("no pictures: build the World with render=True, use it inside `with`")
        return self._pictures.take(self.data, camera)

    @property
    def commanded_pose(self) -> Array:
        """transform_tcp_to_base that the actions have added up to, shape (4, 4)."""
        return self._pose.copy()

    @property
    def commanded_joints(self) -> Array:
        """Joint positions that the arm is driven to [rad], shape (7,)."""
        return self._joints.copy()

    @property
    def tcp_pose(self) -> Array:
        """Where the TCP really is: transform_tcp_to_base, shape (4, 4)."""
        return forward_kinematics(self.data.qpos[:NUM_JOINTS])

    @property
    def gripper_width_m(self) -> float:
        """Distance between the fingers [m]."""
        return float(self.data.qpos[NUM_JOINTS : NUM_JOINTS + 2].sum())

    def _on_leash(self, pose: Array) -> Array:
        here = self.tcp_pose[:3, 3]
        lead = pose[:3, 3] - here
        distance_m = float(np.linalg.norm(lead))
        if distance_m <= _LEASH_M:
            return pose
        return make_transform(pose[:3, :3], here + lead * (_LEASH_M / distance_m))

    def _move_joints(self, goal: Array) -> None:
        """Drive the arm in a straight line through joint space, for one period."""
        start, velocity = self._joints, (goal - self._joints) / PERIOD_S
        for part in range(1, _PARTS + 1):
            self._hand = advance(self._hand, _PART_S)
            on_line = start + velocity * (part * _PART_S)
            self.data.ctrl[:NUM_JOINTS] = on_line + _FEED_FORWARD_S * velocity
            self.data.ctrl[NUM_JOINTS:] = self._hand.target_m / 2
            mujoco.mj_step(self.model, self.data, _STEPS_PER_PART)
        self._joints = goal.copy()

    def _require_episode(self) -> None:
        if self.layout is None:
            raise WorldError("there is no episode yet; call reset first")
