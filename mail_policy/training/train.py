"""`mailctl train`: from episodes to a checkpoint."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from data_collection.errors import EpisodeError
from mail_policy.core.config import ConfigError, load_config
from mail_policy.data.batches import BatchMaker
from mail_policy.data.dataset import (
    Decisions,
    make_decisions,
    measure_statistics,
    require_unbroken,
    sentences_of,
    split_episodes,
)
from mail_policy.data.demonstrations import choose_demonstrations
from mail_policy.data.episodes import (
    DatasetError,
    EpisodeArrays,
    PictureRequest,
    dataset_sha256,
    load_episodes,
)
from mail_policy.data.normalisation import action_bounds
from mail_policy.inference.checkpoint import CheckpointError
from mail_policy.models.heads import DenoisingHead
from mail_policy.models.policy import MailPolicy
from mail_policy.models.sentence_encoders import EncoderUnavailableError, encoder_named
from mail_policy.training.config import TrainConfig, window_rule
from mail_policy.training.export import Learned, export_checkpoint
from mail_policy.training.log import RunLog
from mail_policy.training.state import STATE_NAME, load_state, save_state
from mail_policy.training.trainer import Trainer, TrainingError, ValidationReport

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


@dataclass(frozen=True, slots=True)
class Run:
    """A training run about to start.

    Attributes:
        trainer: Does the steps.
        learned: What will be saved beside the weights.
    """

    trainer: Trainer
    learned: Learned


def prepare(config: TrainConfig, episodes: Sequence[EpisodeArrays], command: str) -> Run:
    """Build everything that a run needs from its episodes."""
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

    def batches(decisions: Decisions) -> BatchMaker:
        return BatchMaker(decisions, config.model.camera_names, actions, proprio)

    validation = None
    if split.validation:
        validation = batches(make_decisions(split.validation, rule, sentences))
    policy = MailPolicy(config.model, len(sentences))
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
    )
    return Run(Trainer(config, policy, batches(training), validation, actions), learned)


def train(run: Run, folder: Path, console: Console, *, tensorboard: bool = True) -> Path:
    """Run all steps that are left; return the folder of the checkpoint.

    Args:
        run: From `prepare`; may be in the middle.
        folder: For logs, states and the checkpoint.
        console: For progress.
        tensorboard: Whether to write for TensorBoard.
    """
    trainer, config = run.trainer, run.trainer.config
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
    )
    with RunLog(folder, tensorboard=tensorboard) as log, Progress(*columns, console=console) as bar:
        shown = bar.add_task("", total=config.steps, completed=trainer.step, loss=float("nan"))
        while trainer.step < config.steps:
            report = trainer.run_step()
            log.write(report)
            bar.update(shown, completed=report.step, loss=report.loss)
            is_last = report.step == config.steps
            if is_last or report.step % config.validate_every == 0:
                _validate(trainer, log, bar.console)
            if is_last or report.step % config.save_every == 0:
                save_state(folder, trainer, run.learned.dataset_sha256)
                averaged = trainer.averaged.policy
                export_checkpoint(folder / CHECKPOINT_NAME, averaged, run.learned, report.step)
    return folder / CHECKPOINT_NAME


def main(argv: Sequence[str]) -> int:
    """Train as the words of a command line say; return the exit code."""
    arguments = _parser().parse_args(argv)
    console = Console()
    try:
        config = load_config(TrainConfig, _config_path(arguments.config))
        first = config.model.cameras[0]
        pictures = PictureRequest(config.model.camera_names, first.height, first.width)
        with Progress(console=console, transient=True) as bar:
            shown = bar.add_task("reading episodes", total=None)
            episodes = load_episodes(
                arguments.data,
                pictures,
                limit=arguments.episodes,
                on_progress=lambda n, of: bar.update(shown, completed=n, total=of),
            )
        run = prepare(config, episodes, shlex.join(["mailctl", "train", *argv]))
        if arguments.resume:
            load_state(arguments.out, run.trainer, run.learned.dataset_sha256)
        elif (arguments.out / STATE_NAME).exists():
            raise DatasetError(
                f"{arguments.out} holds a run; add --resume, or choose another --out"
            )
        console.print(_summary(run))
        checkpoint = train(run, arguments.out, console)
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
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    return parser


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


def _validate(trainer: Trainer, log: RunLog, console: Console) -> None:
    report: ValidationReport | None = trainer.validate()
    if report is not None:
        log.write(report)
        console.print(
            f"step {report.step}: validation loss {report.loss:.4f}, first row "
            f"{report.first_row_error_mm:.2f} mm, chunk {report.translation_error_mm:.2f} mm, "
            f"gripper {report.gripper_error_mm:.1f} mm"
        )
