"""Turns a run of the demo into `summary.json`, a film strip, a video and one sentence."""

import json
from pathlib import Path
from typing import Any

from data_collection.manifest import label_episode
from data_collection.pictures import write_film_strip, write_video
from data_collection.provenance import software_versions
from data_collection.report import timing_summary
from mail_bringup.demo_values import DemoOutcome, DemoSettings, outcome_sentence
from mail_policy.evaluation.statistics import wilson_interval
from mail_policy.inference.checkpoint import find_checkpoint, load_manifest


def write_report(settings: DemoSettings, outcome: DemoOutcome, command: str) -> str:
    """Write all files of the report; return the text that tells where they are.

    Args:
        settings: What the demo was asked to do.
        outcome: What came of it.
        command: The command line, to do it again.
    """
    sentence = outcome_sentence(settings, outcome)
    label_episode(
        outcome.episode, outcome.attempt.success, outcome.attempt.arm_cause or "not done in time"
    )
    summary = summarise(settings, outcome, command)
    summary["outcome"] = sentence
    files = {
        "summary": settings.folder / "summary.json",
        "film strip": settings.folder / "film_strip.png",
        "video": settings.folder / "video.mp4",
        "episode": outcome.episode,
    }
    files["summary"].write_text(json.dumps(summary, indent=2) + "\n")
    write_film_strip(outcome.episode, files["film strip"])
    write_video(outcome.episode, files["video"])
    places = [f"  {name:10}  {_shown(path)}" for name, path in files.items()]
    return "\n".join([sentence, *places])


def summarise(settings: DemoSettings, outcome: DemoOutcome, command: str) -> dict[str, Any]:
    """Return the content of `summary.json`."""
    manifest = load_manifest(find_checkpoint(settings.checkpoint))
    successes = int(outcome.attempt.success)
    return {
        "task": outcome.resolved_task,
        "task_as_asked": settings.task,
        "robot": "sim",
        "policy": {"name": manifest.name, "sha256": manifest.weights_sha256},
        "episodes": 1,
        "successes": successes,
        "success_rate": float(successes),
        "interval_95": list(wilson_interval(successes, 1)),
        "seed": settings.seed,
        "measure": outcome.attempt.measure,
        "duration_s": round(outcome.attempt.duration_s, 3),
        "real_time_factor": round(outcome.attempt.real_time_factor, 3),
        **timing_summary(outcome.episode),
        "seconds_from_command": {
            "ready": round(outcome.ready_s, 2),
            "first_motion": round(outcome.first_motion_s, 2),
            "policy_start": round(outcome.policy_start_s, 2),
        },
        "peak_memory_mb": outcome.peak_memory_mb,
        "episode": str(outcome.episode),
        "software": software_versions(),
        "command": command,
    }


def _shown(path: Path) -> Path:
    """Return a path relative to the working folder if it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
