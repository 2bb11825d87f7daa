"""Does Mamba learn from fewer demonstrations than a Transformer? The paper's claim.

{D-Ma, ED-Ma, D-Tr, ED-Tr} x demonstrations x seeds, all with the same steps, batches, pictures
and initial states. The light size compares the two encoder-decoders, which aggregate or attend.
"""

from mail_sim.world.tasks import TASKS
from tests.bench.study.grid import Size, Study
from tests.bench.study.presets import (
    LIGHT_TASKS,
    light_backbones,
    light_config,
    paper_config,
    with_model,
)
from tests.bench.study.run import study_main


def make_study(size: Size) -> Study:
    """Return the study in a size."""
    if size is Size.FULL:
        names = {"D-Ma": "d_ma", "ED-Ma": "ed_ma", "D-Tr": "d_tr", "ED-Tr": "ed_tr"}
        variants = {name: paper_config(f"{file}_bc_90") for name, file in names.items()}
        task_sets = (tuple(task.name for task in TASKS),)
    else:
        config = light_config(size)
        variants = {
            name: with_model(config, backbone=backbone)
            for name, backbone in light_backbones().items()
        }
        task_sets = tuple((task,) for task in LIGHT_TASKS)
    smoke = size is Size.SMOKE
    return Study(
        name="low-data",
        question="Does Mamba learn from fewer demonstrations than a Transformer?",
        size=size,
        variants=variants,
        task_sets=task_sets[:1] if smoke else task_sets,
        demonstrations={Size.SMOKE: (1, 2), Size.LIGHT: (5, 20), Size.FULL: (5, 10, 20, 50)}[size],
        seeds=1 if smoke else 3,
        states={Size.SMOKE: 1, Size.LIGHT: 20, Size.FULL: 50}[size],
        comparisons=(("ED-Ma", "ED-Tr"), ("D-Ma", "D-Tr")),
        optional=() if size is Size.FULL else ("D-Ma", "D-Tr"),
    )


def main(argv: list[str]) -> int:
    """Run the study."""
    return study_main(argv, make_study)
