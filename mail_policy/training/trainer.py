"""The training loop, one step at a time.

All chance in step n is drawn from (seed, n). So a run that goes on from step n does exactly what
it would have done without the pause, and no state of a random generator has to be kept.

Several processes do the same step on shares of one batch, and get the result of one process. Only
what is drawn in a share itself differs: noise of denoising heads, dropout of attention.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from mail_policy.data.batch import Batch
from mail_policy.data.batches import BatchMaker
from mail_policy.data.normalisation import Statistics
from mail_policy.models.heads import masked_mean
from mail_policy.models.policy import MailPolicy
from mail_policy.training.config import TrainConfig
from mail_policy.training.engine import Engine, TrainingError
from mail_policy.training.feed import Feed
from mail_policy.training.memory import learn_episodes, predict_episodes
from mail_policy.training.optimiser import AveragedWeights, learning_rate, make_optimiser

VALIDATION_BATCH = 64


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a training step did.

    Attributes:
        step: Counted from 1.
        loss: Of the batch, in units of the spread of the actions.
        gradient_norm: Before clipping.
        learning_rate: That was used.
        samples: Decisions that were learned from.
    """

    step: int
    loss: float
    gradient_norm: float
    learning_rate: float
    samples: int


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """How well the averaged weights predict episodes that were held out.

    Attributes:
        step: Counted from 1.
        loss: As in training.
        translation_error_mm: Mean distance between predicted and shown step [mm].
        first_row_error_mm: The same for the first row of each chunk [mm].
        gripper_error_mm: Mean error of the gripper's width [mm].
    """

    step: int
    loss: float
    translation_error_mm: float
    first_row_error_mm: float
    gripper_error_mm: float


class Trainer:
    """Trains a policy on decisions.

    Args:
        config: The run.
        policy: With its text vectors set.
        training: Batches to learn from.
        validation: Batches to be measured on; None for no measurement.
        actions: Statistics of the actions, to report errors in millimetres.
        engine: Device, precision and the other processes.
    """

    def __init__(
        self,
        config: TrainConfig,
        policy: MailPolicy,
        training: BatchMaker,
        validation: BatchMaker | None,
        actions: Statistics,
        engine: Engine,
    ) -> None:
        self.config = config
        self.engine = engine
        # Convolutions on processors are a fifth faster, and twice in bfloat16, with channels last.
        self.policy = policy.to(engine.device)
        self.policy.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = AveragedWeights(policy, config.ema_decay)
        self.optimiser = make_optimiser(policy, config.optimiser)
        self.step = 0
        self._feed = Feed(config, training, engine.staged)
        self._validation = validation
        self._action_std = torch.tensor(actions.std, device=engine.device)

    def run_step(self) -> StepReport:
        """Learn from one batch."""
        config = self.config
        rate = learning_rate(self.step, config.steps, config.optimiser)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.policy.train()
        self.optimiser.zero_grad(set_to_none=True)
        loss, samples = self._learn()
        norm = self.engine.clip_gradients(
            self.policy, self.optimiser, config.optimiser.largest_gradient
        )
        if not np.isfinite(loss) or not (np.isfinite(norm) or self.engine.may_skip_steps):
            raise TrainingError(
                f"loss or gradient of step {self.step + 1} is not finite; lower "
                f"optimiser.learning_rate, now {config.optimiser.learning_rate}"
            )
        self.engine.step(self.optimiser)
        self.step += 1
        self.averaged.update(self.policy, self.step)
        return StepReport(self.step, loss, norm, rate, samples)

    def validate(self) -> ValidationReport | None:
        """Measure the averaged weights on the episodes that were held out."""
        if self._validation is None:
            return None
        device = self.engine.device
        totals, rows = torch.zeros(4, device=device), torch.zeros(2, device=device)
        for errors, mask in self._validation_errors(self._validation):
            distance_m = (errors * self._action_std)[..., :3].norm(dim=-1)  # (B, A)
            width_m = (errors * self._action_std)[..., -1].abs()  # (B, A)
            count, first = mask.sum(), mask[:, 0].sum()
            totals += torch.stack(
                [
                    masked_mean(errors.square(), mask) * count,
                    (distance_m * mask).sum(),
                    (distance_m * mask)[:, 0].sum(),
                    (width_m * mask).sum(),
                ]
            )
            rows += torch.stack([count, first])
        loss, distance_m, first_m, width_m = (totals / rows[[0, 0, 1, 0]].clamp(min=1.0)).tolist()
        return ValidationReport(self.step, loss, 1e3 * distance_m, 1e3 * first_m, 1e3 * width_m)

    def _validation_errors(self, maker: BatchMaker) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield errors (B, A, size) in units of the spread, and masks (B, A)."""
        policy, generator = self.averaged.policy, torch.Generator().manual_seed(0)
        if self.config.model.stateful:
            for episode in maker.all_episodes():
                parts = map(self.engine.to_device, maker.episode_batches(episode, VALIDATION_BATCH))
                for batch, chunk in predict_episodes(policy, parts, generator):
                    yield chunk - batch.actions, batch.mask
            return
        for batch in map(self.engine.to_device, maker.validation_batches(VALIDATION_BATCH)):
            with torch.inference_mode():
                frames = policy.encode_frames(batch.images, batch.proprio)
                chunk = policy.predict(frames[batch.windows], batch.tasks, generator)
            yield chunk - batch.actions, batch.mask

    def _learn(self) -> tuple[float, int]:
        """Give the parameters the gradients of a batch; return its loss and its size."""
        parts = self._feed.step(self.step)
        first = next(parts)
        # Processes draw different numbers for their different shares.
        chance = first.chance + self.engine.share.rank
        torch.manual_seed(chance)  # for dropout
        generator = torch.Generator().manual_seed(chance)
        batches = (self.engine.to_device(part.batch) for part in chain([first], parts))
        if self.config.model.stateful:
            loss = learn_episodes(
                self.policy, batches, self._encode, first.targets, generator, self.engine.backward
            )
        else:
            (batch,) = batches
            loss = self._learn_windows(batch, first.targets, generator)
        return self.engine.sum_gradients(self.policy.parameters(), loss), first.samples

    def _learn_windows(self, batch: Batch, targets: int, generator: torch.Generator) -> float:
        """Add the gradients of a batch of windows to the parameters; return its loss."""
        windows = self._encode(batch)[batch.windows]  # (B, T, F)
        loss = self.policy.loss(windows, batch.tasks, batch.actions, batch.mask, generator)
        # A mean over this process's targets becomes its share of the mean over all targets.
        loss = loss * (batch.mask.sum() / max(targets, 1))
        self.engine.backward(loss)
        return float(loss.detach())

    def _encode(self, batch: Batch) -> Tensor:
        """Return the encoded frames of a batch, (N, F)."""
        with self.engine.autocast():
            images = [
                pictures.contiguous(memory_format=torch.channels_last) for pictures in batch.images
            ]
            frames: Tensor = self.policy.encode_frames(images, batch.proprio)
        return frames.float()
