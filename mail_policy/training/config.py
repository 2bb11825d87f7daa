"""One YAML file per training run."""

from dataclasses import dataclass, field
from enum import StrEnum

from mail_policy.core.action_schema import EE_DELTA, POLICY_RATE_HZ, schema_named
from mail_policy.data.augment import AugmentConfig
from mail_policy.data.batches import BatchConfig
from mail_policy.data.dataset import WindowRule
from mail_policy.data.demonstrations import DemonstrationConfig
from mail_policy.data.normalisation import Bounds
from mail_policy.models.config import ModelConfig


class Precision(StrEnum):
    """Numbers in which pictures are encoded. Weights and sequence models stay fp32."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimiserConfig:
    """AdamW with warm-up and a cosine to zero.

    Attributes:
        learning_rate: The largest.
        warm_up_steps: Steps until it is reached.
        weight_decay: Of matrices; vectors and Mamba's A_log and D have none.
        beta1: Memory of the gradient's mean.
        beta2: Memory of the gradient's square.
        largest_gradient: Norm to which gradients are clipped.
        smallest_rate_share: Share of the learning rate that the cosine ends with. 1: constant.
    """

    learning_rate: float = 5e-4
    warm_up_steps: int = 50
    weight_decay: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.99
    largest_gradient: float = 1.0
    smallest_rate_share: float = 0.02

    def __post_init__(self) -> None:
        """Refuse values with which nothing can be learned."""
        if not self.learning_rate > 0.0 or not self.largest_gradient > 0.0:
            raise ValueError("learning_rate and largest_gradient must be greater than 0")
        if self.warm_up_steps < 0 or self.weight_decay < 0.0:
            raise ValueError("warm_up_steps and weight_decay must not be negative")
        for name in ("beta1", "beta2", "smallest_rate_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """A training run.

    Attributes:
        name: Of the checkpoint.
        model: Which network.
        steps: Steps of the optimiser.
        batch: Sizes of a batch.
        optimiser: How to learn.
        augment: How much pictures are changed.
        demonstrations: Which episodes are used.
        action_bounds: Between which actions samples of denoising heads must lie.
        held_out_episodes: Episodes for the validation loss.
        validate_every: Steps between two measurements of it.
        save_every: Steps between two states from which training can go on.
        exec_horizon: Rows after which a robot should plan again.
        ema_decay: Memory of the averaged weights, which are the ones that are saved.
        precision: Of the image encoders. bf16 is fast only on processors that have it; fp16 is for
            CUDA, and its gradients are scaled.
        threads: Threads of torch.
        seed: Of everything that is drawn.
        rate_hz: Steps per second of the episodes.
        action_schema: Name of the schema that the policy predicts.
    """

    name: str
    model: ModelConfig
    steps: int
    batch: BatchConfig = field(default_factory=BatchConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    demonstrations: DemonstrationConfig = field(default_factory=DemonstrationConfig)
    action_bounds: Bounds = Bounds.PERCENTILE
    held_out_episodes: int = 5
    validate_every: int = 100
    save_every: int = 200
    exec_horizon: int = 8
    ema_decay: float = 0.995
    precision: Precision = Precision.FP32
    threads: int = 2
    seed: int = 0
    rate_hz: float = POLICY_RATE_HZ
    action_schema: str = EE_DELTA.name

    def __post_init__(self) -> None:
        """Refuse runs that would never end, or never be measured."""
        for name in ("steps", "validate_every", "save_every", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        sizes = {(camera.height, camera.width) for camera in self.model.cameras}
        if len(sizes) != 1:
            raise ValueError(f"all cameras must have one size in training, got {sorted(sizes)}")
        if not 0.0 <= self.ema_decay < 1.0:
            raise ValueError(f"ema_decay must be in [0, 1), got {self.ema_decay}")
        size = schema_named(self.action_schema).size
        if self.model.action_size != size:
            raise ValueError(
                f"{self.action_schema} has rows of {size} numbers, so model.action_size must be "
                f"{size}, got {self.model.action_size}"
            )


def window_rule(config: TrainConfig) -> WindowRule:
    """Return how a run cuts episodes into decisions."""
    model = config.model
    return WindowRule(
        history=model.history,
        chunk=model.chunk,
        period_s=1.0 / config.rate_hz,
        windows=model.windows,
        action_schema=config.action_schema,
    )
