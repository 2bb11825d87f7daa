"""Finds episodes and reads their messages."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_collection import messages
from data_collection.errors import EpisodeError
from data_collection.manifest import LOG_NAME, MANIFEST_NAME
from data_collection.mcap_scan import RawMessage, scan


@dataclass(frozen=True, slots=True)
class EpisodeMessage:
    """A decoded message.

    Attributes:
        topic: Absolute name, for example "/joint_states".
        stamp_s: When it was recorded [s]; capture and decision stamps are in the message.
        message: The message, with the fields of its type.
    """

    topic: str
    stamp_s: float
    message: Any


def list_episodes(root: Path) -> list[Path]:
    """Return the folders of all episodes below a folder, sorted by path."""
    return sorted(path.parent for path in root.rglob(MANIFEST_NAME))


def find_recordings(paths: Sequence[Path]) -> list[Path]:
    """Return the episodes at or below some paths, finished or not, each once.

    Raises:
        EpisodeError: A path does not exist, or nothing was recorded there.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise EpisodeError(f"{path} does not exist; name an episode or a folder of episodes")
        folders = {*list_episodes(path), *(log.parent for log in path.rglob(LOG_NAME))}
        if not folders:
            raise EpisodeError(f"no episode in {path}; an episode is a folder with {MANIFEST_NAME}")
        found.update(dict.fromkeys(sorted(folders)))
    return list(found)


def iterate_messages(
    folder: Path, only_topics: tuple[str, ...] | None = None
) -> Iterator[EpisodeMessage]:
    """Yield the messages of an episode in the order in which they were recorded.

    Args:
        folder: The episode.
        only_topics: Decode only these; None for all.

    Raises:
        EpisodeError: The recording is damaged or was never finished.
    """
    for raw in scan(folder / LOG_NAME):
        if isinstance(raw, RawMessage) and (only_topics is None or raw.topic in only_topics):
            message = messages.decode(raw.schema, raw.cdr)
            yield EpisodeMessage(raw.topic, raw.log_time_ns * 1e-9, message)
