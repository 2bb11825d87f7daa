"""How much memory processes have used, read from /proc."""

import re
from pathlib import Path

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def children_of(pid: int) -> list[int]:
    """Return the direct children of a process."""
    try:
        return [
            int(child)
            for thread in Path(f"/proc/{pid}/task").iterdir()
            for child in (thread / "children").read_text().split()
        ]
    except OSError:
        return []


def peak_memory_mb(pid: int) -> float:
    """Return the sum of the peak resident memory of a process and its descendants [MB].

    Shared pages are counted once per process. A process that has ended counts as 0.
    """
    try:
        found = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    own_mb = int(found.group(1)) / 1024.0 if found else 0.0
    return round(own_mb + sum(map(peak_memory_mb, children_of(pid))), 1)
