"""What an evaluation found, as `summary.json`, see architecture.md 3."""

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from data_collection.provenance import processor_name
from mail_policy.evaluation.job import FAULT, EpisodeKey
from mail_policy.evaluation.plan import Plan, PolicyEntry, TaskEntry
from mail_policy.evaluation.rollout import EpisodeResult, EvaluationResult
from mail_policy.evaluation.statistics import compare_pairs, mean_interval, percentiles

SUMMARY_NAME = "summary.json"
INTERVAL_OF_TASK = "Wilson"
INTERVAL_OF_MEAN = "percentile bootstrap over episodes within tasks"
INTERVAL_OF_DIFFERENCE = "percentile bootstrap over initial states, all tasks of a state together"

Results = Mapping[EpisodeKey, EpisodeResult]


def summarise(
    plan: Plan, results: Results, command: str, software: dict[str, str]
) -> dict[str, Any]:
    """Return the content of a summary.

    Args:
        plan: What was evaluated.
        results: Of all its episodes. Those of other plans are left out.
        command: The command line, to do it again.
        software: Versions by name.
    """
    first, *others = (_policy_section(plan, policy, results) for policy in plan.policies)
    return {
        "task": plan.title,
        "suite": plan.suite,
        "robot": plan.robot,
        **first,
        "against": others[0] if others else None,
        "comparison": _comparison(plan, results) if others else None,
        "left_out": list(plan.left_out),
        "stages": list(plan.stages),
        "command": command,
        "software": software,
        "machine": machine(),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def cell(plan: Plan, policy: PolicyEntry, task: TaskEntry, results: Results) -> EvaluationResult:
    """Return what one policy did in one task."""
    return EvaluationResult(
        task=task.sentence,
        robot=plan.robot,
        policy={"name": policy.name, "sha256": policy.sha256},
        config=plan.job(policy, task).config,
        episodes=tuple(results[plan.key(policy, task, seed)] for seed in plan.seeds),
    )


def machine() -> dict[str, Any]:
    """Return on what the episodes were run."""
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _policy_section(plan: Plan, policy: PolicyEntry, results: Results) -> dict[str, Any]:
    cells = [cell(plan, policy, task, results) for task in plan.tasks]
    episodes = [episode for one in cells for episode in one.episodes]
    tables = [[episode.success for episode in one.episodes] for one in cells]
    shown = [one.to_json() for one in cells]
    is_single = len(cells) == 1
    return {
        "policy": cells[0].policy,
        "episodes": len(episodes),
        "successes": sum(episode.success for episode in episodes),
        # Every task has the same number of episodes: the mean over tasks is that over episodes.
        "success_rate": sum(episode.success for episode in episodes) / len(episodes),
        "interval_95": shown[0]["interval_95"] if is_single else list(mean_interval(tables)),
        "interval_method": INTERVAL_OF_TASK if is_single else INTERVAL_OF_MEAN,
        "timing": {
            "inference_ms": percentiles([t for one in episodes for t in one.inference_ms]),
            "steps_to_success": percentiles([one.steps for one in episodes if one.success]),
            # Not measured here; `mailctl bench latency` does.
            "camera_to_command_ms": None,
            "chunk_join_jump_rad": None,
            "control_success_rate": None,
        },
        "dropped_frames": None,
        "faults": [one.failure for one in episodes if one.failure.startswith(FAULT)],
        "tasks": [{"name": task.name, **one} for task, one in zip(plan.tasks, shown, strict=True)],
    }


def _comparison(plan: Plan, results: Results) -> dict[str, Any]:
    """Compare the policies; the difference is that of A minus B."""
    ours, theirs = (
        [
            [results[plan.key(policy, task, seed)].success for seed in plan.seeds]
            for task in plan.tasks
        ]
        for policy in plan.policies
    )
    found = asdict(compare_pairs(theirs, ours))
    return {
        "difference": found["difference"],
        "interval_95": list(found["interval_95"]),
        "interval_method": INTERVAL_OF_DIFFERENCE,
        "both": found["both"],
        "only_a": found["only_second"],
        "only_b": found["only_first"],
        "neither": found["neither"],
        "mcnemar_p": found["mcnemar_p"],
    }
