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
from mail_policy.models.state import Memory, join_states

# Encodes the frames of a batch: (N, F).
EncodeBatch = Callable[[Batch], Tensor]


def learn_episodes(
    policy: MailPolicy,
    parts: Iterable[Batch],
    encode: EncodeBatch,
    total_targets: int,
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
        total_targets: Rows of actions that count, in all parts and processes together.
        generator: Source of chance.
        backward: Adds the gradients of a loss to those of the parameters.
    """
    state: Memory | None = None
    total = 0.0
    for batch in parts:
        frames = encode(batch)[batch.windows[:, 0]]  # (G x K, F)
        if state is None:
            state = policy.begin(batch.tasks[:: batch.steps])
        after = _walk(policy, frames, batch, state)
        share = batch.mask.sum() / max(total_targets, 1)
        # All decisions at once: they leave no trace in the state.
        loss = share * policy.decision_loss(
            join_states(after),
            _by_step(batch.actions, batch),
            _by_step(batch.mask, batch),
            generator,
        )
        backward(loss)
        total += float(loss.detach())
        state = after[-1].detach()
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
            after = _walk(policy, frames, batch, state)
            chunks = policy.decide(join_states(after), len(frames), generator)  # (K x G, A, 7)
            state = after[-1]
            by_step = chunks.view(batch.steps, -1, *chunks.shape[1:])  # (K, G, A, 7)
            yield batch, by_step.transpose(0, 1).flatten(0, 1)


def _walk(policy: MailPolicy, frames: Tensor, batch: Batch, state: Memory) -> list[Memory]:
    """Return the states after every step of a part."""
    after = []
    for step in range(batch.steps):
        state = policy.observe(frames[step :: batch.steps].unsqueeze(1), state)
        after.append(state)
    return after


def _by_step(rows: Tensor, batch: Batch) -> Tensor:
    """Reorder rows from episode by episode, (G x K, ...), to step by step, (K x G, ...)."""
    return rows.view(-1, batch.steps, *rows.shape[1:]).transpose(0, 1).flatten(0, 1)
