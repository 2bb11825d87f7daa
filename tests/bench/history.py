"""Does a longer history help? One observation, five, or a state that remembers the episode.

In the tasks with buttons what is seen when the hand must decide does not say what to do: a
window that does not reach back to the cue can only guess. In opening a drawer it does. What a
history costs in time and memory is another benchmark, history-cost.
"""

import dataclasses

from mail_policy.data.batches import BatchConfig
from mail_policy.training.config import TrainConfig
from tests.bench.study.grid import Size, Study
from tests.bench.study.presets import light_config, paper_config, with_model
from tests.bench.study.run import study_main

TASKS = ("press_cued", "open_top")
# A part of an episode through which gradients flow: from the cue to the decision, 26 steps, and
# the way to the button.
MEMORY_STEPS = 64
MEMORY_EPISODES = 4
# Whole episodes make few steps of the same pictures: with as many as a window policy, 126 light
# steps, it did not yet remember (10 of 20). No number of steps lets a window see the cue.
MEMORY_SHARE = 4


def make_study(size: Size) -> Study:
    """Return the study in a size."""
    full, smoke = size is Size.FULL, size is Size.SMOKE
    config = paper_config("d_ma_bc") if full else light_config(size)
    return Study(
        name="history",
        question="Does a longer history help?",
        size=size,
        variants={
            "H1": _one_observation(config),
            "H5": config,
            "stateful": _stateful(config),
        },
        task_sets=tuple((task,) for task in TASKS),
        demonstrations=(2,) if smoke else (50,),
        seeds=1 if smoke else 3,
        states={Size.SMOKE: 1, Size.LIGHT: 20, Size.FULL: 50}[size],
        comparisons=(("stateful", "H5"), ("stateful", "H1"), ("H5", "H1")),
        # One task needs a memory and one does not: their mean says nothing.
        pooled=False,
    )


def _pictures(config: TrainConfig) -> int:
    """Return how many moments a step of training looks at; encoding them is what costs time."""
    batch = config.batch
    return batch.segments * (batch.decisions_per_segment + config.model.history - 1)


def _one_observation(config: TrainConfig) -> TrainConfig:
    """Return a policy without history that sees as many pictures in training."""
    decisions = config.batch.decisions_per_segment
    batch = dataclasses.replace(config.batch, segments=_pictures(config) // decisions)
    return dataclasses.replace(with_model(config, history=1), batch=batch)


def _stateful(config: TrainConfig) -> TrainConfig:
    """Return a policy with memory, which sees `MEMORY_SHARE` times as many pictures in training."""
    batch = BatchConfig(segments=MEMORY_EPISODES, decisions_per_segment=MEMORY_STEPS)
    pictures = MEMORY_SHARE * config.steps * _pictures(config)
    steps = pictures // (MEMORY_EPISODES * MEMORY_STEPS)
    return dataclasses.replace(
        with_model(config, history=1, stateful=True), steps=max(steps, 1), batch=batch
    )


def main(argv: list[str]) -> int:
    """Run the study."""
    return study_main(argv, make_study)
