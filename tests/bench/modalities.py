"""What do a sentence and the arm's own state add to pictures?

One policy learns all tasks, so without a sentence it must guess which one is meant wherever a
picture does not show it: the initial states of opening and closing are drawn alike.
"""

from mail_policy.models.config import LanguageConfig, ProprioConfig
from mail_policy.models.sentence_encoders import HASHED_NGRAMS
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
    full = size is Size.FULL
    config = light_config(size)
    config = with_model(config, backbone=light_backbones()["ED-Ma"])
    if full:
        config = paper_config("ed_ma_bc_90")
    language, proprio = LanguageConfig(encoder=HASHED_NGRAMS), ProprioConfig()
    inputs = {
        "visual": (None, None),
        "language": (language, None),
        "proprio": (None, proprio),
        "both": (language, proprio),
    }
    smoke = size is Size.SMOKE
    return Study(
        name="modalities",
        question="What do a sentence and the arm's own state add to pictures?",
        size=size,
        variants={
            name: with_model(config, language=language, proprio=proprio)
            for name, (language, proprio) in inputs.items()
        },
        task_sets=(tuple(task.name for task in TASKS) if full else LIGHT_TASKS,),
        demonstrations=(1,) if smoke else (20,),
        seeds=1 if smoke else 3,
        states={Size.SMOKE: 1, Size.LIGHT: 20, Size.FULL: 50}[size],
        comparisons=tuple((name, "visual") for name in inputs if name != "visual"),
    )


def main(argv: list[str]) -> int:
    """Run the study."""
    return study_main(argv, make_study)
