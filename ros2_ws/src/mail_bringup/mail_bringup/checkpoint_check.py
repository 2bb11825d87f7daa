"""The preflight check of a checkpoint: its manifest and hashes, without loading torch."""

from collections.abc import Sequence

from mail_policy.inference.checkpoint import (
    CheckpointError,
    find_checkpoint,
    load_manifest,
    require_files,
)
from mail_policy.inference.sentences import UnknownTaskError, resolve_sentence


def check_checkpoint(name: str, task: str, cameras: Sequence[str]) -> list[str]:
    """The checkpoint is sound, knows the task, and sees through the cameras that we have."""
    try:
        folder = find_checkpoint(name)
        manifest = load_manifest(folder)
        require_files(folder, manifest)
    except CheckpointError as error:
        return [f"checkpoint {name!r}: {error}"]
    problems = []
    try:
        resolve_sentence(task, manifest.task_sentences)
    except UnknownTaskError as error:
        problems.append(f"task {task!r}: {error}")
    missing = [camera.name for camera in manifest.cameras if camera.name not in cameras]
    if missing and cameras:
        problems.append(
            f"checkpoint {name!r} needs camera {', '.join(missing)}, configured are "
            f"{', '.join(cameras)}; change the camera file, or choose another checkpoint"
        )
    return problems
