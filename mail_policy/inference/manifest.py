"""What a checkpoint says about itself. Read without torch, so that a preflight can check it."""

from dataclasses import dataclass
from typing import Any

from mail_policy.core.action_schema import GRIPPER_OPEN_M, SCHEMAS, ActionSchema, schema_with_id
from mail_policy.data.normalisation import Statistics
from mail_policy.inference.sentences import MAX_SENTENCE_LENGTH
from mail_policy.models.config import PROPRIO_SIZE, CameraConfig, ModelConfig

FORMAT_VERSION = 3
GRIPPER_RANGE_M = (0.0, GRIPPER_OPEN_M)
_MAX_SENTENCES = 1000
_SHA256_LENGTH = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetRecord:
    """From which episodes a policy learned.

    Attributes:
        sha256: Of everything that was read: pictures, joints and actions.
        training_episodes: Their ids.
        validation_episodes: Ids of the episodes that were held out.
    """

    sha256: str
    training_episodes: tuple[str, ...]
    validation_episodes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointManifest:
    """Everything needed to run a checkpoint, beside its weights.

    Attributes:
        name: For operators and reports.
        model: Which network.
        rate_hz: Rows per second of a chunk, observations per second of a window.
        action_schema: Id of the meaning of a row.
        exec_horizon: Rows after which the next chunk should be planned.
        actions: Statistics of the rows.
        proprio: Statistics of joint positions and gripper width; None if the model has no such
            input.
        task_sentences: What the policy can do, in the order of its text vectors.
        dataset: From what it learned.
        created_at: When, ISO 8601.
        git_hash: Version of the code that trained it, "" if unknown.
        training_command: The command line.
        training_steps: Steps of the optimiser.
        weights_sha256: Of `weights.safetensors`.
        self_test_sha256: Of `self_test.safetensors`.
        format_version: Of this file.
    """

    name: str
    model: ModelConfig
    rate_hz: float
    action_schema: str
    exec_horizon: int
    actions: Statistics
    proprio: Statistics | None
    task_sentences: tuple[str, ...]
    dataset: DatasetRecord
    created_at: str
    git_hash: str
    training_command: str
    training_steps: int
    weights_sha256: str
    self_test_sha256: str
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        """Refuse a manifest whose parts do not fit together."""
        if self.format_version != FORMAT_VERSION:
            raise ValueError(
                f"format_version must be {FORMAT_VERSION}, got {self.format_version}; "
                "train again, or use the code that wrote it"
            )
        if not 0.1 <= self.rate_hz <= 1000.0:
            raise ValueError(f"rate_hz must be in [0.1, 1000], got {self.rate_hz}")
        if not 1 <= self.exec_horizon <= self.model.chunk:
            raise ValueError(
                f"exec_horizon must be in [1, {self.model.chunk}], got {self.exec_horizon}"
            )
        self._check_sentences()
        self._check_statistics()
        for name in ("weights_sha256", "self_test_sha256"):
            if len(getattr(self, name)) != _SHA256_LENGTH:
                raise ValueError(f"{name} must have 64 digits, got {getattr(self, name)!r}")

    @property
    def schema(self) -> ActionSchema:
        """What the numbers of a row mean."""
        return schema_with_id(self.action_schema, self.rate_hz)

    @property
    def cameras(self) -> tuple[CameraConfig, ...]:
        """The cameras that the policy needs, in order."""
        return self.model.cameras

    @property
    def history(self) -> int:
        """Observations in a window."""
        return self.model.history

    @property
    def chunk(self) -> int:
        """Rows in a chunk."""
        return self.model.chunk

    def _check_sentences(self) -> None:
        sentences = self.task_sentences
        if not 1 <= len(sentences) <= _MAX_SENTENCES or len(set(sentences)) != len(sentences):
            raise ValueError(
                f"task_sentences must be 1 to {_MAX_SENTENCES} different ones, got {len(sentences)}"
            )
        for sentence in sentences:
            if not (0 < len(sentence) <= MAX_SENTENCE_LENGTH and sentence.isprintable()):
                raise ValueError(f"task_sentences: {sentence[:300]!r} is too long or unprintable")

    def _check_statistics(self) -> None:
        size = self.schema.size
        if not size == self.model.action_size == len(self.actions.mean):
            raise ValueError(
                f"schema {self.action_schema!r} has {size} numbers, the model predicts "
                f"{self.model.action_size}, and there are statistics of {len(self.actions.mean)}"
            )
        if (self.proprio is None) != (self.model.proprio is None):
            raise ValueError("proprio statistics must be given if, and only if, the model uses it")
        if self.proprio is not None and len(self.proprio.mean) != PROPRIO_SIZE:
            raise ValueError(
                f"proprio statistics must be {PROPRIO_SIZE}, got {len(self.proprio.mean)}"
            )


def migrated(values: dict[str, Any]) -> dict[str, Any]:
    """Bring the content of an older manifest to this version.

    Version 2 gave the name of the action schema only; what it means has not changed since.
    Whatever is wrong in the content is left to the checks of this version.
    """
    if values.get("format_version") != 2:
        return values
    name, rate_hz = values.get("action_schema"), values.get("rate_hz")
    known = SCHEMAS.get(name) if isinstance(name, str) else None
    if known is not None and isinstance(rate_hz, int | float):
        name = known.id_at(rate_hz)
    return {**values, "action_schema": name, "format_version": FORMAT_VERSION}
