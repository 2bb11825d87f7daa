"""LIBERO's tasks as an `Environment`. The only file that knows the package `hf-libero`.

LIBERO steps robosuite's OSC_POSE controller 20 times per second with seven numbers in [-1, 1]; we
step in metres and radians. Its renderer draws pictures upside down; ours are upright.
"""

import importlib.util
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import yaml

from data_collection import libero_layout as layout
from data_collection.libero_layout import ImageConvention
from mail_policy.core.action_schema import GRIPPER_OPEN_M
from mail_policy.core.frames import Array
from mail_policy.core.types import Observation
from mail_policy.evaluation.libero_init_states import read_initial_states
from mail_policy.evaluation.libero_protocol import (
    RATE_HZ,
    LiberoProtocol,
    LiberoTask,
    SuccessRule,
    Suite,
)

_INSTALL = "pip install -e '.[libero]' (see data_collection/LIBERO.md)"
# Its pictures, by our names of the cameras.
_PICTURES = {"agentview": "agentview_image", "wrist": "robot0_eye_in_hand_image"}


class LiberoError(RuntimeError):
    """LIBERO is not installed, or lacks what it needs. The text says what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LiberoView:
    """What the pictures are like.

    Attributes:
        height: Rows. LIBERO's demonstrations have 128.
        width: Columns.
        convention: Which way up the policy wants them; ours learn from upright ones.
    """

    height: int = 128
    width: int = 128
    convention: ImageConvention = ImageConvention.UPRIGHT


DEFAULT_VIEW = LiberoView()


class LiberoEnvironment(AbstractContextManager["LiberoEnvironment"]):
    """One task of LIBERO. Leaving the context frees its renderer.

    Args:
        suite: Which suite.
        task_id: Place of the task in the suite, from 0.
        protocol: How episodes begin and when they succeed.
        seed: Of all that the fixed initial states leave open.
        view: What the pictures are like.

    Raises:
        LiberoError: LIBERO or its meshes are missing, or there is no such task.
    """

    def __init__(
        self,
        suite: Suite,
        task_id: int,
        protocol: LiberoProtocol,
        *,
        seed: int = 0,
        view: LiberoView = DEFAULT_VIEW,
    ) -> None:
        tasks = tasks_of(suite)
        if not 0 <= task_id < len(tasks):
            raise LiberoError(f"{suite} has tasks 0 to {len(tasks) - 1}, got {task_id}")
        name = tasks[task_id].name
        self._initial_states = read_initial_states(
            _folder("init_states") / suite / f"{name}.pruned_init"
        )
        self._protocol, self._seed, self._view = protocol, seed, view
        self._world = _open_world(_folder("bddl_files") / suite / f"{name}.bddl", view)
        self._steps, self._succeeded = 0, False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._world.close()

    def __enter__(self) -> Self:
        return self

    def reset(self, seed: int) -> Observation:
        """Begin at a fixed initial state, given by its number, and let objects come to rest."""
        # Before every episode: then it does not depend on those that were run before it.
        self._world.seed(self._seed)
        self._world.reset()
        seen = self._world.set_init_state(self._initial_states[seed % len(self._initial_states)])
        for _ in range(self._protocol.settle_steps):
            seen, *_ = self._world.step([0.0] * 6 + [self._protocol.settle_gripper])
        self._steps, self._succeeded = 0, False
        return self._observe(seen)

    def step(self, action: Array) -> Observation:
        """Move by a row of EE_DELTA, shape (7,), and wait one period."""
        seen, reward, done, _ = self._world.step(action_from_row(action))
        self._steps += 1
        self._succeeded |= self._is_success(float(reward), bool(done))
        return self._observe(seen)

    def step_joints(self, action: Array) -> Observation:
        """Refuse: LIBERO's controller takes steps of the hand."""
        raise LiberoError("LIBERO takes actions of ee_delta, not joint positions")

    def success(self) -> bool:
        """Whether the task has been done since the reset."""
        return self._succeeded

    def _is_success(self, reward: float, done: bool) -> bool:
        match self._protocol.success:
            case SuccessRule.REWARD:
                return reward == 1.0
            case SuccessRule.DONE:
                return done
            case SuccessRule.CHECK:
                return done or bool(self._world.check_success())

    def _observe(self, seen: dict[str, Any]) -> Observation:
        images = {
            camera: np.ascontiguousarray(
                layout.turned(
                    layout.turned(seen[key], ImageConvention.OPENGL), self._view.convention
                )
            )
            for camera, key in _PICTURES.items()
        }
        return Observation(
            captured_at_s=self._steps / RATE_HZ,
            images=images,
            joint_positions=np.array(seen["robot0_joint_pos"], dtype=np.float64),
            gripper_width_m=float(np.abs(seen["robot0_gripper_qpos"]).sum()),
        )


def action_from_row(row: Array) -> Array:
    """Scale a row of EE_DELTA, shape (7,), to an action of LIBERO.

    A change of units in every number: the width counts from open, -1, to closed, 1. robosuite
    looks only at its sign, so half open is where it changes its mind, as in the paper.
    """
    gripper = layout.OPEN + (layout.CLOSE - layout.OPEN) * (1.0 - row[6] / GRIPPER_OPEN_M)
    return np.append(row[:6] / layout.STEP_AT_ONE, gripper).clip(-1.0, 1.0)


def tasks_of(suite: Suite) -> tuple[LiberoTask, ...]:
    """Return the tasks of a suite in LIBERO's order. Raises LiberoError if it is not installed."""
    _write_paths()
    from libero.libero.benchmark import get_benchmark_dict

    names = get_benchmark_dict()[str(suite)]().get_task_names()
    return tuple(
        LiberoTask(number, name, layout.sentence_of(name)) for number, name in enumerate(names)
    )


def _open_world(bddl_file: Path, view: LiberoView) -> Any:
    from libero.libero import get_assets_path
    from libero.libero.envs import OffScreenRenderEnv

    # Without them LIBERO's own reset would try again for ever.
    if not (assets := Path(get_assets_path())).is_dir():
        raise LiberoError(
            f"LIBERO's meshes are missing: {assets} does not exist, and they could not be "
            "downloaded from its hub; see data_collection/LIBERO.md"
        )
    return OffScreenRenderEnv(
        bddl_file_name=str(bddl_file), camera_heights=view.height, camera_widths=view.width
    )


def _folder(key: str) -> Path:
    from libero.libero import get_libero_path

    return Path(get_libero_path(key))


def _write_paths() -> None:
    """Write LIBERO's file of paths unless there is one: without it, its import asks questions."""
    found = importlib.util.find_spec("libero")
    if found is None or not found.submodule_search_locations:
        raise LiberoError(f"LIBERO is not installed: {_INSTALL}")
    folder = Path(os.environ.get("LIBERO_CONFIG_PATH", Path.home() / ".libero"))
    file = folder / "config.yaml"
    if file.exists():
        return
    root = Path(found.submodule_search_locations[0]) / "libero"
    paths = {
        "benchmark_root": root,
        "bddl_files": root / "bddl_files",
        "init_states": root / "init_files",
        "datasets": root.parent / "datasets",
        "assets": root / "assets",
    }
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump({key: str(path) for key, path in paths.items()}))
