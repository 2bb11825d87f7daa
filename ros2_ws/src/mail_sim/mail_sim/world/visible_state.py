"""Everything in the world that a picture depends on, as one vector, and the grid of pictures."""

from typing import Any

import mujoco
import numpy as np

from mail_sim.world.snapshot import Array

STEPS_PER_SECOND = 1000
# The policy's grid: pictures are taken at whole multiples of 50 steps.
STEPS_PER_SNAPSHOT = 50


def visible_state(data: Any) -> Array:
    """Return everything that a picture depends on as one vector."""
    return np.concatenate([data.qpos, data.mocap_pos.ravel(), data.mocap_quat.ravel()])


def show_state(model: Any, data: Any, state: Array) -> None:
    """Put a vector of `visible_state` into a world that is only looked at."""
    positions, mocap_bodies = model.nq, model.nmocap
    data.qpos[:] = state[:positions]
    data.mocap_pos[:] = state[positions : positions + 3 * mocap_bodies].reshape(-1, 3)
    data.mocap_quat[:] = state[positions + 3 * mocap_bodies :].reshape(-1, 4)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_camlight(model, data)
