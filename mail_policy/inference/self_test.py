"""A few windows with the chunks they gave when the policy was saved (faults-and-safety.md, F49).

A checkpoint that predicts something else here than where it was trained must not move a robot:
wrong statistics, a broken library or a changed resize all show up as different actions.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from mail_policy.core.frames import Array
from mail_policy.core.types import Observation
from mail_policy.data.windows import Window
from mail_policy.inference.checkpoint import CheckpointError, require_hash
from mail_policy.inference.weights import load_tensors, save_tensors

# Largest difference of a row [m, rad].
TOLERANCE = 1e-3
Predict = Callable[[int, Window], Array]


def save_self_test(
    path: Path, cases: Sequence[tuple[int, Window]], cameras: Sequence[str], predict: Predict
) -> None:
    """Write windows, given with the number of their task, and what the policy predicts for them."""
    tensors = {}
    for case, (task, window) in enumerate(cases):
        tensors[f"{case}.task"] = torch.tensor(task)
        tensors[f"{case}.chunk"] = torch.tensor(predict(task, window))
        tensors[f"{case}.joints"] = torch.tensor(
            np.array([observation.joint_positions for observation in window.observations])
        )
        tensors[f"{case}.times"] = torch.tensor(
            [[seen.captured_at_s, seen.gripper_width_m] for seen in window.observations],
            dtype=torch.float64,
        )
        for camera in cameras:
            images = np.array([seen.images[camera] for seen in window.observations])
            tensors[f"{case}.images.{camera}"] = torch.tensor(images)
    save_tensors(tensors, path)


def run_self_test(path: Path, sha256: str, cameras: Sequence[str], predict: Predict) -> None:
    """Compare what the policy predicts now with what it predicted when it was saved.

    Raises:
        CheckpointError: The file is damaged, or an action differs by more than the tolerance.
    """
    require_hash(path, sha256)
    tensors = {name: value.numpy() for name, value in load_tensors(path).items()}
    cases = sum(name.endswith(".task") for name in tensors)
    if not cases:
        raise CheckpointError(f"{path} holds no window; train again")
    for case in range(cases):
        try:
            images = {camera: tensors[f"{case}.images.{camera}"] for camera in cameras}
            joints, times = tensors[f"{case}.joints"], tensors[f"{case}.times"]
            task, expected = int(tensors[f"{case}.task"]), tensors[f"{case}.chunk"]
        except KeyError as error:
            raise CheckpointError(f"{path} has no {error}; train again") from error
        window = Window(
            tuple(
                Observation(stamp_s, {c: v[i] for c, v in images.items()}, joints[i], width_m)
                for i, (stamp_s, width_m) in enumerate(times.tolist())
            )
        )
        difference = float(np.abs(predict(task, window) - expected).max())
        if not difference <= TOLERANCE:
            raise CheckpointError(
                f"{path}: window {case} gives actions that differ by {difference:.2g} from those "
                f"at training, limit is {TOLERANCE}; this machine must not run the checkpoint"
            )
