"""Reads small text files and YAML that need not be trusted."""

from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import Node

_LARGEST_BYTES = 4 << 20


class _PlainLoader(yaml.SafeLoader):
    """Builds plain values only, and no value of a few lines that fills the memory."""

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        """Refuse aliases: ten of them in ten lines describe ten thousand million values."""
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.YAMLError(
                f"aliases are not used here, got '*{event.anchor}' in line "
                f"{event.start_mark.line + 1}; write the value out"
            )
        return super().compose_node(parent, index)


def read_text(path: Path, largest_bytes: int = _LARGEST_BYTES) -> str:
    """Return the text of a file.

    Args:
        path: A device or a pipe may never end, so it must be a regular file.
        largest_bytes: Larger files are refused unread.

    Raises:
        OSError: The file is missing, none, or too large.
        UnicodeDecodeError: It is no text.
    """
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is no regular file")
    with path.open("rb") as file:
        content = file.read(largest_bytes + 1)
    if len(content) > largest_bytes:
        raise OSError(f"{path} is larger than {largest_bytes} bytes")
    return content.decode()


def read_yaml(path: Path) -> Any:
    """Return the plain values of a YAML file.

    Raises:
        OSError: See `read_text`.
        ValueError: It is no text, or no YAML of plain values.
    """
    try:
        return _PlainLoader(read_text(path)).get_single_data()
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{path} is no plain YAML: {error}") from error
