"""Which sizes of the model matter? Layers, width and state, one at a time."""

from mail_sim.world.tasks import TASKS
from tests.bench.study.grid import Size, Study
from tests.bench.study.presets import (
    LIGHT_TASKS,
    light_config,
    paper_config,
    with_decoder,
    with_model,
)
from tests.bench.study.run import study_main

BASE = "base"


def make_study(size: Size) -> Study:
    """Return the study in a size; around D-Ma, which has one stack to vary."""
    full, smoke = size is Size.FULL, size is Size.SMOKE
    config = paper_config("d_ma_bc_90") if full else light_config(size)
    decoder, width = config.model.backbone.decoder, config.model.token_width
    variants = {BASE: config}
    for factor in (0.5, 2.0):
        layers, state_size = round(decoder.layers * factor), round(decoder.state_size * factor)
        variants[f"layers-{layers}"] = with_decoder(config, layers=layers)
        variants[f"width-{round(width * factor)}"] = with_model(
            config, token_width=round(width * factor)
        )
        variants[f"state-{state_size}"] = with_decoder(config, state_size=state_size)
    tasks = tuple(task.name for task in TASKS)
    return Study(
        name="sensitivity",
        question="Which sizes of the model matter?",
        size=size,
        variants=variants,
        task_sets=(tasks,) if full else tuple((task,) for task in LIGHT_TASKS),
        demonstrations=(1,) if smoke else (20,),
        seeds=1 if smoke else 3,
        states={Size.SMOKE: 1, Size.LIGHT: 20, Size.FULL: 50}[size],
        comparisons=tuple((name, BASE) for name in variants if name != BASE),
    )


def main(argv: list[str]) -> int:
    """Run the study."""
    return study_main(argv, make_study)
