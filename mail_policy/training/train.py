"""`mailctl train`: from episodes to a checkpoint.

One process, or on many GPUs, here two of one machine:

    torchrun --nproc-per-node 2 -m mail_policy.mailctl train --config default --data ... --out ...

and on many machines with torchrun's `--nnodes` and `--rdzv-endpoint`, a copy of the data and the
same words on each. Processes share each batch: the result is that of one process.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from data_collection.errors import EpisodeError
from mail_policy.core.config import ConfigError, load_config, to_plain
from mail_policy.data.episodes import DatasetError, EpisodeArrays, PictureRequest, load_episodes
from mail_policy.inference.checkpoint import CheckpointError
from mail_policy.models.sentence_encoders import EncoderUnavailableError
from mail_policy.training.config import TrainConfig
from mail_policy.training.curves import PICTURE_NAME, draw_curves
from mail_policy.training.engine import Device, Engine, TrainingError
from mail_policy.training.export import export_checkpoint
from mail_policy.training.log import METRICS_NAME, RunLog
from mail_policy.training.pace import Pace
from mail_policy.training.preparation import Run, prepare
from mail_policy.training.record import record_start
from mail_policy.training.starting_point import load_starting_point
from mail_policy.training.state import STATE_NAME, load_state, save_state
from mail_policy.training.trainer import Trainer

CONFIGS = Path(__file__).parents[1] / "configs"
CHECKPOINT_NAME = "checkpoint"
_EXPECTED_ERRORS = (
    CheckpointError,
    ConfigError,
    DatasetError,
    EncoderUnavailableError,
    EpisodeError,
    TrainingError,
)


def train(
    run: Run,
    folder: Path,
    console: Console,
    *,
    tensorboard: bool = True,
    wandb_project: str | None = None,
) -> Path:
    """Run all steps that are left; return the folder of the checkpoint.

    Args:
        run: From `prepare`; may be in the middle.
        folder: For logs, states and the checkpoint. Only the first process writes there.
        console: For progress.
        tensorboard: Whether to write for TensorBoard.
        wandb_project: Where to write on Weights & Biases; None for nowhere.
    """
    trainer = run.trainer
    if not trainer.engine.is_first:
        while trainer.step < trainer.config.steps:
            trainer.run_step()
    else:
        record_start(folder, run.learned, trainer.engine, trainer.step)
        plain = to_plain(trainer.config)
        with RunLog(
            folder, trainer.step, tensorboard=tensorboard, wandb_project=wandb_project, config=plain
        ) as log:
            _train_and_write(run, folder, console, log)
        draw_curves(folder / METRICS_NAME, folder / PICTURE_NAME)
    trainer.engine.wait_for_all()
    return folder / CHECKPOINT_NAME


def _train_and_write(run: Run, folder: Path, console: Console, log: RunLog) -> None:
    trainer, config = run.trainer, run.trainer.config
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}, loss {task.fields[loss]:.3f}"),
    )
    pace = Pace(config.steps)
    with Progress(*columns, console=console) as bar:
        shown = bar.add_task("", total=config.steps, pace=pace, loss=float("nan"))
        while trainer.step < config.steps:
            report = trainer.run_step()
            pace.count(report)
            log.write(report)
            bar.update(shown, completed=report.step, loss=report.loss)
            is_last = report.step == config.steps
            if is_last or report.step % config.validate_every == 0:
                _validate(trainer, log, pace, bar.console)
            if is_last or report.step % config.save_every == 0:
                averaged = trainer.averaged.policy
                export_checkpoint(folder / CHECKPOINT_NAME, averaged, run.learned, report.step)
                # Last: a run that is killed before exports again when it goes on.
                save_state(folder, trainer)


def main(argv: Sequence[str]) -> int:
    """Train as the words of a command line say; return the exit code."""
    arguments = _parser().parse_args(argv)
    console = Console()
    try:
        config = load_config(TrainConfig, _config_path(arguments.config))
        engine = Engine(config.precision, arguments.device)
        console.quiet = not engine.is_first
        # The others find the cache that the first one makes.
        with engine.first_goes_first():
            episodes = _read_episodes(config, arguments.data, arguments.episodes, console)
        start = arguments.start_from and load_starting_point(arguments.start_from, config)
        run = prepare(config, episodes, shlex.join(["mailctl", "train", *argv]), engine, start)
        if arguments.resume:
            load_state(arguments.out, run.trainer, run.learned)
        elif (arguments.out / STATE_NAME).exists():
            raise DatasetError(
                f"{arguments.out} holds a run; add --resume, or choose another --out"
            )
        console.print(_summary(run))
        checkpoint = train(run, arguments.out, console, wandb_project=arguments.wandb)
    except _EXPECTED_ERRORS as error:
        sys.stderr.write(f"mailctl train: {error}\n")
        return 1
    console.print(f"checkpoint: {checkpoint}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mailctl train", description="Train a policy from recorded episodes."
    )
    parser.add_argument(
        "--config", required=True, help="a YAML file, or the name of a preset: light, default, ..."
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with episodes")
    parser.add_argument("--out", type=Path, required=True, help="folder for the run")
    parser.add_argument("--episodes", type=int, help="use only the first so many")
    parser.add_argument(
        "--device",
        type=Device,
        choices=list(Device),
        default=Device.AUTO,
        help="where to compute; auto takes CUDA where there is some",
    )
    parser.add_argument(
        "--start-from", metavar="CHECKPOINT", help="learn on from these weights; name or folder"
    )
    parser.add_argument("--wandb", metavar="PROJECT", help="log to Weights & Biases too")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    return parser


def _read_episodes(
    config: TrainConfig, data: Path, limit: int | None, console: Console
) -> list[EpisodeArrays]:
    first = config.model.cameras[0]
    pictures = PictureRequest(config.model.camera_names, first.height, first.width)
    with Progress(console=console, transient=True) as bar:
        shown = bar.add_task("reading episodes", total=None)
        return load_episodes(
            data,
            pictures,
            limit=limit,
            on_progress=lambda n, of: bar.update(shown, completed=n, total=of),
        )


def _config_path(name: str) -> Path:
    """Return the file of a configuration, given by path or by the name of a preset."""
    preset = CONFIGS / f"{name}.yaml"
    return preset if not Path(name).exists() and preset.exists() else Path(name)


def _summary(run: Run) -> str:
    split, policy = run.learned.split, run.trainer.policy
    tasks = ", ".join(run.learned.sentences)
    parameters = sum(parameter.numel() for parameter in policy.parameters())
    steps = sum(len(episode) for episode in split.training)
    return (
        f"{parameters / 1e6:.2f} M parameters; {len(split.training)} episodes with {steps} steps "
        f"to learn from, {len(split.validation)} held out; tasks: {tasks}"
    )


def _validate(trainer: Trainer, log: RunLog, pace: Pace, console: Console) -> None:
    report = trainer.validate()
    if report is not None:
        log.write(report)
        console.print(
            f"step {report.step}: validation loss {report.loss:.4f}, first row "
            f"{report.first_row_error_mm:.2f} mm, chunk {report.translation_error_mm:.2f} mm, "
            f"gripper {report.gripper_error_mm:.1f} mm; {pace}"
        )
