"""Builds a training run: from a configuration and episodes to batches and a trainer."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mail_policy.data.batches import BatchMaker, Share
from mail_policy.data.dataset import (
    Decisions,
    make_decisions,
    measure_statistics,
    require_unbroken,
    sentences_of,
    split_episodes,
)
from mail_policy.data.demonstrations import choose_demonstrations
from mail_policy.data.episodes import EpisodeArrays, dataset_sha256
from mail_policy.data.normalisation import action_bounds
from mail_policy.models.heads import DenoisingHead
from mail_policy.models.policy import MailPolicy
from mail_policy.models.sentence_encoders import encoder_named
from mail_policy.training.config import TrainConfig, window_rule
from mail_policy.training.engine import Engine
from mail_policy.training.export import Learned
from mail_policy.training.starting_point import StartingPoint
from mail_policy.training.trainer import Trainer


@dataclass(frozen=True, slots=True)
class Run:
    """A training run about to start.

    Attributes:
        trainer: Does the steps.
        learned: What will be saved beside the weights.
    """

    trainer: Trainer
    learned: Learned


def prepare(
    config: TrainConfig,
    episodes: Sequence[EpisodeArrays],
    command: str,
    engine: Engine | None = None,
    start: StartingPoint | None = None,
) -> Run:
    """Build everything that a run needs from its episodes.

    Args:
        config: The run.
        episodes: To learn from and to be measured on.
        command: The command line, to be kept beside the weights.
        engine: Device and processes; None for one of this machine, as the config says.
        start: What to learn on from; None for random weights.
    """
    engine = engine or Engine(config.precision)
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    episodes = choose_demonstrations(episodes, config.demonstrations, config.seed)
    rule = window_rule(config)
    if config.model.stateful:
        require_unbroken(episodes, rule.period_s)
    split = split_episodes(episodes, config.held_out_episodes, config.seed)
    sentences = sentences_of(episodes)
    training = make_decisions(split.training, rule, sentences)
    actions, proprio = measure_statistics(training)
    if start is not None:
        actions, proprio = start.actions, start.proprio or proprio

    def batches(decisions: Decisions, share: Share) -> BatchMaker:
        return BatchMaker(decisions, config.model.camera_names, actions, proprio, share)

    validation = None
    if split.validation:
        validation = batches(make_decisions(split.validation, rule, sentences), Share())
    policy = MailPolicy(config.model, len(sentences))
    if start is not None:
        start.give_to(policy)
    if policy.language is not None and config.model.language is not None:
        vectors = encoder_named(config.model.language.encoder)(sentences)
        policy.language.set_task_vectors(torch.from_numpy(vectors))
    if isinstance(policy.head, DenoisingHead):
        low, high = action_bounds(training.actions, actions, config.action_bounds)
        policy.head.set_bounds(torch.from_numpy(low), torch.from_numpy(high))
    learned = Learned(
        config=config,
        split=split,
        dataset_sha256=dataset_sha256(episodes),
        actions=actions,
        proprio=proprio,
        sentences=sentences,
        command=command,
        started_from_sha256=start.weights_sha256 if start else None,
    )
    learning = batches(training, engine.share)
    return Run(Trainer(config, policy, learning, validation, actions, engine), learned)
