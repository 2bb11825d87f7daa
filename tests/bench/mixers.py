"""Is it Mamba, or would any sequence mixer do? All under ED-Ma's aggregation of tokens.

Layers are chosen so that the light models have about as many parameters; S4D has no projections
of its own and stays at half of them.
"""

from mail_policy.models.config import BackboneConfig, BackboneKind, MixerKind, StackConfig
from mail_policy.training.config import TrainConfig
from mail_sim.world.tasks import TASKS
from tests.bench.study.grid import Size, Study
from tests.bench.study.presets import LIGHT_TASKS, light_config, paper_config, with_model
from tests.bench.study.run import study_main

# Layers of encoder and decoder.
LIGHT_LAYERS = {
    MixerKind.MAMBA: (3, 3),
    MixerKind.ATTENTION: (1, 2),
    MixerKind.GRU: (3, 3),
    MixerKind.LSTM: (2, 3),
    MixerKind.S4D: (3, 3),
}
FULL_LAYERS = {
    MixerKind.MAMBA: (8, 10),
    MixerKind.ATTENTION: (4, 6),
    MixerKind.GRU: (8, 10),
    MixerKind.LSTM: (6, 8),
    MixerKind.S4D: (8, 10),
}


def make_study(size: Size) -> Study:
    """Return the study in a size."""
    full, smoke = size is Size.FULL, size is Size.SMOKE
    config = paper_config("ed_ma_bc_90") if full else light_config(size)
    layers = FULL_LAYERS if full else LIGHT_LAYERS
    tasks = tuple(task.name for task in TASKS)
    return Study(
        name="mixers",
        question="Is it Mamba, or would any sequence mixer do?",
        size=size,
        variants={mixer.value: _with_mixer(config, mixer, layers[mixer]) for mixer in MixerKind},
        task_sets=(tasks,) if full else tuple((task,) for task in LIGHT_TASKS),
        demonstrations=(1,) if smoke else (20,),
        seeds=1 if smoke else 3,
        states={Size.SMOKE: 1, Size.LIGHT: 20, Size.FULL: 50}[size],
        comparisons=tuple(
            (MixerKind.MAMBA.value, mixer.value)
            for mixer in MixerKind
            if mixer is not MixerKind.MAMBA
        ),
    )


def _with_mixer(config: TrainConfig, mixer: MixerKind, layers: tuple[int, int]) -> TrainConfig:
    encoder, decoder = (
        StackConfig(layers=count, mixer=mixer, state_size=8, conv_size=2) for count in layers
    )
    backbone = BackboneConfig(kind=BackboneKind.AGGREGATION, encoder=encoder, decoder=decoder)
    return with_model(config, backbone=backbone)


def main(argv: list[str]) -> int:
    """Run the study."""
    return study_main(argv, make_study)
