"""How weights change: groups of AdamW, the learning rate over time, averaged weights."""

import copy
import math

import torch
from torch import nn

from mail_policy.models.policy import MailPolicy
from mail_policy.training.config import OptimiserConfig

# Weight decay would pull Mamba's rates of forgetting towards 1, and its direct path to 0.
_NEVER_DECAYED = ("A_log", "D", "pos_emb")


def make_optimiser(policy: nn.Module, config: OptimiserConfig) -> torch.optim.AdamW:
    """Return AdamW that decays matrices only."""
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in policy.named_parameters():
        never = name.rsplit(".", 1)[-1] in _NEVER_DECAYED or parameter.ndim < 2
        (free if never else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), foreach=True
    )


def learning_rate(step: int, steps: int, config: OptimiserConfig) -> float:
    """Return the learning rate of a step, counted from 0."""
    if step < config.warm_up_steps:
        return config.learning_rate * (step + 1) / config.warm_up_steps
    progress = (step - config.warm_up_steps) / max(steps - config.warm_up_steps, 1)
    low = config.smallest_rate_share
    share = low + (1.0 - low) * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))
    return config.learning_rate * share


def ema_decay(update: int, largest: float) -> float:
    """Return the memory at an update, counted from 1: short at first, as published."""
    return min(largest, (1 + update) / (10 + update))


class AveragedWeights:
    """An exponential moving average of a policy's weights.

    Args:
        policy: Whose weights are averaged.
        largest_decay: Memory in the long run.
    """

    def __init__(self, policy: MailPolicy, largest_decay: float) -> None:
        self.policy = copy.deepcopy(policy).eval().requires_grad_(False)
        self._largest_decay = largest_decay

    @torch.no_grad()
    def update(self, policy: MailPolicy, update: int) -> None:
        """Take the weights after an update of the optimiser, counted from 1."""
        weight = 1.0 - ema_decay(update, self._largest_decay)
        torch._foreach_lerp_(
            list(self.policy.parameters()), [p.detach() for p in policy.parameters()], weight
        )
