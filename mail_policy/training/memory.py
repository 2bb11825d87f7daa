"""How policies with memory learn: whole episodes in order, the gradient cut now and then.

A state is carried from part to part of an episode, as on the robot, but gradients flow through
one part only (truncated backpropagation through time), so that long episodes fit into memory.

Letters used for shapes in this file:
    G  episodes side by side    K  steps of a part      F  features per frame
    A  predicted rows
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Generator, Tensor

from mail_policy.data.batch import Batch
from mail_policy.models.policy import MailPolicy
from mail_policy.models.state import Memory

# Encodes the frames of a batch: (N, F).
EncodeBatch = Callable[[Batch], Tensor]


def learn_episodes(
    policy: MailPolicy,
    parts: Iterable[Batch],
    encode: EncodeBatch,
    total_steps: int,
    generator: Generator,
    backward: Callable[[Tensor], object] = Tensor.backward,
) -> float:
    """Add the gradients of whole episodes to the parameters; return their mean loss.

    Where several processes share the episodes, the sums of their gradients and losses are those
    of one process with all episodes.

    Args:
        policy: A stateful one.
        parts: The episodes, part by part.
        encode: Encodes the frames of a part.
        total_steps: Decisions of all parts together.
        generator: Source of chance.
        backward: Adds the gradients of a loss to those of the parameters.
    """
    state: Memory | None = None
    total = 0.0
    for batch in parts:
        frames = encode(batch)[batch.windows[:, 0]]  # (G x K, F)
        if state is None:
            state = policy.begin(batch.tasks[:: batch.steps])
        losses = []
        for step, after in _walk(policy, frames, batch, state):
            actions, mask, of_all = (
                rows[step :: batch.steps] for rows in (batch.actions, batch.mask, batch.mask_of_all)
            )
            # Of this step among all decisions, and of this process in this step.
            share = of_all.any(dim=1).sum() / total_steps
            share = share * (mask.sum() / of_all.sum().clamp(min=1))
            losses.append(share * policy.decision_loss(after, actions, mask, generator))
            state = after
        loss = torch.stack(losses).sum()
        backward(loss)
        total += float(loss.detach())
        state = state.detach()
    return total


def predict_episodes(
    policy: MailPolicy, parts: Iterable[Batch], generator: Generator
) -> Iterator[tuple[Batch, Tensor]]:
    """Yield each part with the normalised actions of its decisions, (G x K, A, 7)."""
    state: Memory | None = None
    for batch in parts:
        with torch.inference_mode():
            frames = policy.encode_frames(batch.images, batch.proprio)[batch.windows[:, 0]]
            if state is None:
                state = policy.begin(batch.tasks[:: batch.steps])
            chunks = []
            for _, after in _walk(policy, frames, batch, state):
                chunks.append(policy.decide(after, len(frames) // batch.steps, generator))
                state = after
            yield batch, torch.stack(chunks, dim=1).flatten(0, 1)


def _walk(
    policy: MailPolicy, frames: Tensor, batch: Batch, state: Memory
) -> Iterator[tuple[int, Memory]]:
    """Yield every step of a part with the state after it. Rows are ordered by episode, step."""
    for step in range(batch.steps):
        state = policy.observe(frames[step :: batch.steps].unsqueeze(1), state)
        yield step, state
