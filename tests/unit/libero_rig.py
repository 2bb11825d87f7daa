"""LIBERO without LIBERO: a package of its name with a world of one block, and files as it has them.

Names, arguments and answers are those of hf-libero 0.1.4 on robosuite 1.4.0.
"""

import json
import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np
import pytest
import torch
import yaml

SUITE = "libero_goal"
TASKS = ("push_the_block_forward", "KITCHEN_SCENE10_push_the_block_far")
SIZE = 32
GOAL_M = 0.25
STATE_SIZE = 1 + 9 + 8


def picture(hand: np.ndarray) -> np.ndarray:
    """What an upright camera sees: a mark at the top left, and a block where the hand is."""
    image = np.full((SIZE, SIZE, 3), 60, np.uint8)
    image[:4, :6] = 250
    column = int(np.clip(8 + 60 * hand[0], 0, SIZE - 6))
    image[16:22, column : column + 6] = (200, 40, 40)
    return image


class World:
    """Stands in for `OffScreenRenderEnv`."""

    opened: ClassVar[list["World"]] = []

    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments
        self.calls: list[Any] = []
        self.is_open = True
        self.reward_scale = 1.0
        World.opened.append(self)

    def seed(self, seed: int) -> None:
        self.calls.append(("seed", seed))

    def reset(self) -> dict[str, Any]:
        self.calls.append("reset")
        self.hand, self.fingers_m = np.zeros(3), 0.02
        return self._observe()

    def set_init_state(self, state: np.ndarray) -> dict[str, Any]:
        assert state.shape == (STATE_SIZE,)
        self.calls.append(("state", float(state[1])))
        self.hand = state[1:4].copy()
        return self._observe()

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, dict[str, Any]]:
        action = np.asarray(action, dtype=float)
        assert action.shape == (7,)
        self.calls.append(action)
        self.hand = self.hand + 0.05 * action[:3].clip(-1, 1)
        self.fingers_m = float(np.clip(self.fingers_m - 0.01 * np.sign(action[6]), 0.0, 0.04))
        done = self.check_success()
        return self._observe(), self.reward_scale * done, done, {}

    def check_success(self) -> bool:
        return bool(self.hand[0] > GOAL_M)

    def close(self) -> None:
        self.is_open = False

    def _observe(self) -> dict[str, Any]:
        # OpenGL draws from the lowest row up.
        drawn = picture(self.hand)[::-1]
        return {
            "agentview_image": drawn,
            "robot0_eye_in_hand_image": drawn // 2,
            "robot0_joint_pos": np.append(self.hand, np.arange(4.0)),
            "robot0_gripper_qpos": np.array([self.fingers_m, -self.fingers_m]),
        }


def install(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Make `import libero` find the stand-in; return where it looks for its file of paths."""
    root = folder / "site" / "libero"
    paths_folder = folder / "paths"
    monkeypatch.setenv("LIBERO_CONFIG_PATH", str(paths_folder))
    World.opened.clear()
    package = types.ModuleType("libero")
    package.__spec__ = ModuleSpec("libero", loader=None, is_package=True)
    package.__spec__.submodule_search_locations = [str(root)]
    inner = types.ModuleType("libero.libero")

    def get_libero_path(key: str) -> str:
        # The real one asks on the terminal when it is imported without this file.
        return str(yaml.safe_load((paths_folder / "config.yaml").read_text())[key])

    class Benchmark:
        def get_task_names(self) -> list[str]:
            return list(TASKS)

    inner.get_libero_path = get_libero_path  # type: ignore[attr-defined]
    inner.get_assets_path = lambda: str(root / "libero" / "assets")  # type: ignore[attr-defined]
    benchmark = types.ModuleType("libero.libero.benchmark")
    benchmark.get_benchmark_dict = lambda: {SUITE: Benchmark}  # type: ignore[attr-defined]
    envs = types.ModuleType("libero.libero.envs")
    envs.OffScreenRenderEnv = World  # type: ignore[attr-defined]
    for module in (package, inner, benchmark, envs):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    (root / "libero" / "assets").mkdir(parents=True)
    for task in TASKS:
        write_initial_states(root / "libero" / "init_files" / SUITE / f"{task}.pruned_init")
    return paths_folder


def write_initial_states(path: Path, count: int = 50) -> np.ndarray:
    """Write initial states; in the i-th the hand is i millimetres in front."""
    states = np.zeros((count, STATE_SIZE))
    states[:, 1] = 0.001 * np.arange(count)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(states, path)
    return states


def write_demonstrations(path: Path, count: int, steps: int = 12) -> list[np.ndarray]:
    """Write a file as LIBERO's `create_dataset.py` does; return the actions of its demos."""
    every = []
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        problem = {"problem_name": "libero_tabletop_manipulation", "domain_name": "robosuite"}
        data.attrs.update(
            {
                "env_name": "Libero_Tabletop_Manipulation",
                "problem_info": json.dumps({**problem, "language_instruction": ["", "Push", "it"]}),
                "bddl_file_name": f"{path.stem}.bddl",
                "bddl_file_content": "(define (problem ...))",
                "env_args": json.dumps({"env_kwargs": {"control_freq": 20}}),
                "macros_image_convention": "opengl",
                "num_demos": count,
                "total": count * steps,
            }
        )
        for number in range(count):
            every.append(_write_demonstration(data, number, steps))
    return every


def _write_demonstration(data: h5py.Group, number: int, steps: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    actions = rng.uniform(-1, 1, (steps, 7))
    actions[:, 6] = np.where(np.arange(steps) < steps // 2, -1.0, 1.0)
    world = World()
    world.reset()
    # The place in the file tells the number of the demonstration.
    world.hand = np.array([0.0, 0.001 * number, 0.0])
    seen = [world.step(action)[0] for action in actions]
    world.close()
    last = (np.arange(steps) == steps - 1).astype(np.uint8)
    group = data.create_group(f"demo_{number}")
    group.attrs.update(
        {"num_samples": steps, "model_file": "<mujoco/>", "init_state": np.zeros(STATE_SIZE)}
    )
    joints = np.array([one["robot0_joint_pos"] for one in seen])
    fingers = np.array([one["robot0_gripper_qpos"] for one in seen])
    arrays = {
        "actions": actions,
        "states": np.zeros((steps, STATE_SIZE)),
        "robot_states": np.zeros((steps, 9)),
        "rewards": last,
        "dones": last,
        "obs/agentview_rgb": np.array([one["agentview_image"] for one in seen]),
        "obs/eye_in_hand_rgb": np.array([one["robot0_eye_in_hand_image"] for one in seen]),
        "obs/ee_pos": joints[:, :3],
        "obs/ee_ori": np.zeros((steps, 3)),
        "obs/ee_states": np.zeros((steps, 6)),
        "obs/gripper_states": fingers,
        "obs/joint_states": joints,
    }
    for name, array in arrays.items():
        group.create_dataset(name, data=array)
    return actions
