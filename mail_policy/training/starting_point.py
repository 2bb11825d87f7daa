"""Learning on from a checkpoint, instead of from random weights (fine-tuning).

Only the parameters and the scales of actions and joint states are taken over. The optimiser
starts anew, and the sentences are those of the new demonstrations.
"""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mail_policy.core.action_schema import schema_named
from mail_policy.core.config import to_plain
from mail_policy.data.normalisation import Statistics
from mail_policy.inference.checkpoint import (
    WEIGHTS_NAME,
    CheckpointError,
    find_checkpoint,
    load_manifest,
)
from mail_policy.inference.manifest import CheckpointManifest
from mail_policy.inference.weights import load_policy
from mail_policy.models.policy import MailPolicy
from mail_policy.training.config import TrainConfig


@dataclass(frozen=True, slots=True, eq=False)
class StartingPoint:
    """What a run takes over from a checkpoint.

    Attributes:
        parameters: Of the policy, by name.
        actions: Statistics of the actions. The weights only fit to these, not to new ones.
        proprio: Statistics of joint positions and gripper width; None if it has no such input.
        weights_sha256: Hash of the file of weights.
    """

    parameters: dict[str, Tensor]
    actions: Statistics
    proprio: Statistics | None
    weights_sha256: str

    def give_to(self, policy: MailPolicy) -> None:
        """Replace the parameters of a policy of the same shape."""
        policy.load_state_dict(self.parameters, strict=False)


def load_starting_point(checkpoint: str | Path, config: TrainConfig) -> StartingPoint:
    """Read what a run can take over from a checkpoint.

    Args:
        checkpoint: Name of a shipped one, or path of a folder.
        config: Of the run.

    Raises:
        CheckpointError: It is damaged, or of another model, rate or meaning of actions.
    """
    folder = find_checkpoint(checkpoint)
    manifest = load_manifest(folder)
    _require_same_kind(folder, manifest, config)
    policy = load_policy(
        folder / WEIGHTS_NAME,
        manifest.model,
        len(manifest.task_sentences),
        manifest.weights_sha256,
    )
    parameters = {name: values.detach() for name, values in policy.named_parameters()}
    return StartingPoint(parameters, manifest.actions, manifest.proprio, manifest.weights_sha256)


def _require_same_kind(folder: Path, manifest: CheckpointManifest, config: TrainConfig) -> None:
    schema = schema_named(config.action_schema).id_at(config.rate_hz)
    if (manifest.rate_hz, manifest.action_schema) != (config.rate_hz, schema):
        raise CheckpointError(
            f"{folder} acts by {manifest.action_schema} at {manifest.rate_hz:g} Hz, the run by "
            f"{schema} at {config.rate_hz:g} Hz; start from another checkpoint"
        )
    theirs, ours = to_plain(manifest.model), to_plain(config.model)
    different = [name for name in ours if theirs[name] != ours[name]]
    if different:
        raise CheckpointError(
            f"{folder} has another model than the run ({', '.join(different)} differ); take the "
            "model of its manifest.json into your configuration"
        )
