"""Notes of the stacks that run on this machine, so that other commands find them.

A note is a locked file: it counts only while the process that wrote it lives.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class StackRecord:
    """A running stack.

    Attributes:
        run_id: Name of the run.
        stack: Name of the stack, for example "policy".
        pid: Process of the runner.
        domain_id: ROS domain.
        namespace: ROS namespace, "" for none.
        robot: "sim", "panda" or "fr3".
        robot_ip: Address of the arm.
        task: What it was started for, "" if nothing.
    """

    run_id: str
    stack: str
    pid: int
    domain_id: int
    namespace: str
    robot: str
    robot_ip: str
    task: str

    def __str__(self) -> str:
        """One line for the operator."""
        return (
            f"{self.run_id}: {self.stack} stack, robot {self.robot} at {self.robot_ip}, "
            f"ROS_DOMAIN_ID {self.domain_id}"
        )


class SelectionError(RuntimeError):
    """It is not clear which stack is meant."""


@contextlib.contextmanager
def announced(folder: Path, record: StackRecord) -> Iterator[None]:
    """Keep a note of a stack while the context lasts."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"stack-{record.run_id}.json"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.write(json.dumps(asdict(record)))
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def running_stacks(folder: Path) -> list[StackRecord]:
    """Return the stacks that run now; notes of dead ones are removed."""
    return [
        record
        for path in sorted(folder.glob("stack-*.json"))
        if (record := _read_if_alive(path)) is not None
    ]


def _read_if_alive(path: Path) -> StackRecord | None:
    try:
        file = path.open()
    except FileNotFoundError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _parse(file.read())
        # The lock was free. An empty file is about to be locked by its writer.
        if os.fstat(file.fileno()).st_size > 0:
            path.unlink(missing_ok=True)
    return None


def _parse(text: str) -> StackRecord | None:
    try:
        return StackRecord(**json.loads(text))
    except (ValueError, TypeError):
        # Being written, or by another version.
        return None


def select(
    records: Sequence[StackRecord], run_id: str | None, domain: str
) -> tuple[int, str, StackRecord | None]:
    """Decide which stack a command is for.

    Args:
        records: The stacks that run on this machine.
        run_id: The one that the user named, if any.
        domain: The environment's ROS domain, "" if unset; it wins over the records.

    Returns:
        ROS domain, namespace, and the record if there is one.

    Raises:
        SelectionError: Several stacks run, or the named one does not.
    """
    if run_id is not None:
        records = [record for record in records if record.run_id == run_id]
        if not records:
            raise SelectionError(f"no stack {run_id!r} runs here; mailctl status lists them")
    elif domain:
        records = [record for record in records if record.domain_id == int(domain)]
        if not records:
            return int(domain), "", None
    if len(records) > 1:
        raise SelectionError(
            "several stacks run; add --run-id NAME:\n"
            + "\n".join(f"  {record}" for record in records)
        )
    if not records:
        # A stack that ros2 launch started leaves no record; it uses ROS's own default domain.
        return 0, "", None
    return records[0].domain_id, records[0].namespace, records[0]
