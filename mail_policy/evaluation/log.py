"""Keeps finished episodes on disk as they come, so that a killed evaluation can go on.

One line of JSON per episode; the first line holds the settings of the evaluation.
"""

import fcntl
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Self

from mail_policy.evaluation.job import EpisodeKey
from mail_policy.evaluation.rollout import EpisodeResult

LOG_NAME = "episodes.jsonl"


class LogError(ValueError):
    """A log is damaged, in use, or belongs to another evaluation."""


class EpisodeLog:
    """The log of one evaluation; use it as a context manager.

    Args:
        folder: Of the evaluation. What an earlier run left there is gone on with.
        settings: Everything that episodes must have in common to be counted together. JSON.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self._path = folder / LOG_NAME
        # As it reads when it comes back from the file.
        self._settings = json.loads(json.dumps(settings))
        self.results: dict[EpisodeKey, EpisodeResult] = {}

    def __enter__(self) -> Self:
        """Open the log for this process only.

        Raises:
            LogError: It is damaged, another process writes it, or its settings are others.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = self._path.open("a+b")
        try:
            self._lock()
            self._load()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, key: EpisodeKey, result: EpisodeResult) -> None:
        """Keep an episode; it is on the disk when this returns."""
        if key in self.results:
            raise LogError(f"{self._path} holds {key} already; an episode counts once")
        self._append(_line_of(key, result))
        self.results[key] = result

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LogError(
                f"{self._path} is in use by another process; wait for it, or choose another --out"
            ) from None

    def _load(self) -> None:
        lines = self._whole_lines()
        if not lines:
            self._append(self._settings)
            return
        if lines[0] != self._settings:
            raise LogError(
                f"{self._path} was begun with other settings: "
                f"{_differences(lines[0], self._settings)}; choose another --out"
            )
        for number, line in enumerate(lines[1:], start=2):
            try:
                key, result = _episode_of(line)
            except (KeyError, TypeError) as error:
                raise LogError(f"{self._path}, line {number} is no episode: {error}") from error
            if key in self.results:
                raise LogError(f"{self._path}, line {number} repeats {key}; remove one of them")
            self.results[key] = result

    def _whole_lines(self) -> list[dict[str, Any]]:
        """Return the lines; what a killed process left of a last one is cut off."""
        self._file.seek(0)
        content = self._file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._file.truncate(len(whole))
        lines = []
        for number, text in enumerate(whole.splitlines(), start=1):
            try:
                line = json.loads(text)
            except ValueError as error:
                raise LogError(f"{self._path}, line {number} is no JSON: {error}") from error
            if not isinstance(line, dict):
                raise LogError(f"{self._path}, line {number} must be an object, got {line!r}")
            lines.append(line)
        return lines

    def _append(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def _line_of(key: EpisodeKey, result: EpisodeResult) -> dict[str, Any]:
    return {**asdict(key), **asdict(result)}


def _episode_of(line: dict[str, Any]) -> tuple[EpisodeKey, EpisodeResult]:
    values = {**line, "inference_ms": tuple(line["inference_ms"]), "stages": tuple(line["stages"])}
    key = EpisodeKey(values.pop("policy"), values.pop("task"), values["seed"])
    return key, EpisodeResult(**values)


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    keys = [key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key)]
    return "; ".join(f"{key} was {found.get(key)}, is {wanted.get(key)}" for key in sorted(keys))
