"""A trained policy: windows of observations in, rows of actions in SI units out."""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mail_policy.core.action_schema import ActionSchema
from mail_policy.core.frames import Array
from mail_policy.core.types import Observation
from mail_policy.data.normalisation import proprio_vector
from mail_policy.data.pictures import resize_picture
from mail_policy.data.windows import Window
from mail_policy.inference.checkpoint import SELF_TEST_NAME, WEIGHTS_NAME, load_manifest
from mail_policy.inference.history import History, make_history
from mail_policy.inference.manifest import GRIPPER_RANGE_M, CheckpointManifest
from mail_policy.inference.self_test import run_self_test
from mail_policy.inference.sentences import resolve_sentence
from mail_policy.inference.served import Precision, ServedPolicy
from mail_policy.inference.weights import load_policy
from mail_policy.models.config import CameraConfig, Windows
from mail_policy.models.state import Memory

# Encoded frames kept per observation of a window: cameras may be faster than the policy.
_FRAMES_PER_STEP = 4
_SEED = 0


class PredictionError(RuntimeError):
    """The policy cannot predict from what it was given, or predicted nonsense."""


class Predictor:
    """Predicts chunks, encoding every observation once. Use it from one thread.

    Args:
        folder: The checkpoint.
        threads: Threads that torch may use, in the whole process.
        precision: How exact chunks must be.

    Raises:
        CheckpointError: The checkpoint is damaged or incomplete.
    """

    def __init__(
        self, folder: Path, *, threads: int = 1, precision: Precision = Precision.EXACT
    ) -> None:
        torch.set_num_threads(threads)
        self.folder = folder
        self.manifest: CheckpointManifest = load_manifest(folder)
        known = len(self.manifest.task_sentences)
        policy = load_policy(
            folder / WEIGHTS_NAME, self.manifest.model, known, self.manifest.weights_sha256
        )
        self._served = ServedPolicy(policy, precision)
        self._policy = self._served.policy
        self._task = 0 if known == 1 else None
        # Heads that sample are as reproducible as those that do not: same windows, same chunks.
        self._generator = torch.Generator().manual_seed(_SEED)
        self._state: Memory | None = None
        self._frames: OrderedDict[float, Tensor] = OrderedDict()
        self._frames_kept = _FRAMES_PER_STEP * self.manifest.history

    @property
    def schema(self) -> ActionSchema:
        """What the rows of a chunk mean."""
        return self.manifest.schema

    def warm_up(self) -> None:
        """Run the self-test of the checkpoint; the first inference of a process is slow.

        Raises:
            CheckpointError: This machine does not predict what the training machine did.
        """
        names = self.manifest.model.camera_names
        path, sha256 = self.folder / SELF_TEST_NAME, self.manifest.self_test_sha256
        run_self_test(path, sha256, names, self.predict_task)
        self.reset()

    def set_task(self, sentence: str) -> str:
        """Follow a sentence from now on; return the known sentence that it means.

        Raises:
            UnknownTaskError: It means none or several of the known ones.
        """
        known = self.manifest.task_sentences
        resolved = resolve_sentence(sentence, known)
        self._task = known.index(resolved)
        return resolved

    def new_history(self) -> History:
        """Return a history that builds the windows which this policy looks at."""
        return make_history(self.manifest.model, 1.0 / self.manifest.rate_hz)

    def reset(self) -> None:
        """Forget all observations, and draw the same random numbers again."""
        self._frames.clear()
        self._state = None
        self._generator.manual_seed(_SEED)

    def encode(self, observation: Observation) -> None:
        """Encode an observation now, so that a window that holds it is predicted faster."""
        self._encode_missing([observation])

    def predict(self, window: Window) -> Array:
        """Predict a chunk.

        Args:
            window: As the policy's own history returns it, see `new_history`. A policy with
                memory remembers it, so that every window must be given once, in order.

        Returns:
            Rows of the manifest's action schema in SI units, shape (chunk, size).

        Raises:
            PredictionError: No task is set, an input is missing, or the output is not finite.
        """
        if self._task is None:
            known = ", ".join(map(repr, self.manifest.task_sentences))
            raise PredictionError(f"no task is set; call set_task with one of {known}")
        return self._predict(self._task, window)

    def predict_task(self, task: int, window: Window) -> Array:
        """Predict for a task given by its position, with an empty cache. For the self-test."""
        self.reset()
        return self._predict(task, window)

    def _predict(self, task: int, window: Window) -> Array:
        self._require_length(len(window.observations))
        self._encode_missing(window.observations)
        stamps_s = [observation.captured_at_s for observation in window.observations]
        with torch.inference_mode():
            frames = torch.stack([self._frames[stamp_s] for stamp_s in stamps_s])  # (T, F)
            chunk = self._decide(frames.unsqueeze(0), torch.tensor([task]))[0]  # (A, size)
        values = self.manifest.actions.restore(chunk.numpy())
        if not np.isfinite(values).all():
            raise PredictionError("the policy predicted NaN or infinity")
        values[:, -1] = values[:, -1].clip(*GRIPPER_RANGE_M)
        return values

    def _decide(self, frames: Tensor, tasks: Tensor) -> Tensor:
        """Return normalised actions: frames (B, T, F), tasks (B,) to (B, A, size)."""
        if not self.manifest.model.stateful:
            return self._policy.predict(frames, tasks, self._generator)
        if self._state is None:
            self._state = self._policy.begin(tasks)
        self._state = self._policy.observe(frames, self._state)
        return self._policy.decide(self._state, len(tasks), self._generator)

    def _require_length(self, seen: int) -> None:
        model = self.manifest.model
        fewest = 1 if model.windows is Windows.PUBLISHED else model.history
        if not model.stateful and not fewest <= seen <= model.history:
            raise PredictionError(f"a window must have {model.history} observations, got {seen}")

    def _encode_missing(self, observations: Sequence[Observation]) -> None:
        """Encode what is not encoded yet, all in one batch."""
        wanted = {observation.captured_at_s: observation for observation in observations}
        missing = [seen for stamp_s, seen in wanted.items() if stamp_s not in self._frames]
        if not missing:
            return
        with torch.inference_mode():
            images = [self._images_of(camera, missing) for camera in self.manifest.cameras]
            frames = self._served.encode_frames(images, self._proprio_of(missing))
        for observation, frame in zip(missing, frames, strict=True):
            self._frames[observation.captured_at_s] = frame
        # What is wanted now is the newest, whenever it was encoded: others go first.
        for stamp_s in wanted:
            self._frames.move_to_end(stamp_s)
        while len(self._frames) > max(self._frames_kept, len(wanted)):
            self._frames.popitem(last=False)

    def _images_of(self, camera: CameraConfig, observations: Sequence[Observation]) -> Tensor:
        for observation in observations:
            if camera.name not in observation.images:
                raise PredictionError(
                    f"the policy needs camera {camera.name!r}, got {', '.join(observation.images)}"
                )
        pictures = [
            resize_picture(observation.images[camera.name], camera.height, camera.width)
            for observation in observations
        ]
        return torch.from_numpy(np.stack(pictures))

    def _proprio_of(self, observations: Sequence[Observation]) -> Tensor | None:
        if self.manifest.proprio is None:
            return None
        rows = [proprio_vector(o.joint_positions, o.gripper_width_m) for o in observations]
        return torch.from_numpy(self.manifest.proprio.normalise(np.stack(rows)))
