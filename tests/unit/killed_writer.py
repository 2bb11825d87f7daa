"""Kills a process that writes episodes, again and again, and looks at what is left.

A helper process has everything imported and forks for every episode, so that a kill costs
milliseconds. What has to be in an episode follows from its number alone.
"""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from data_collection import messages, topics
from data_collection.disk import DiskGuard
from data_collection.manifest import LOG_NAME, EpisodeManifest, EpisodeSource
from data_collection.mcap_scan import RawMessage, scan
from data_collection.repair import RepairStatus, check_episode, repair_episode
from data_collection.writer import EpisodeWriter, Recorded

ROOT = Path(__file__).parents[2]
CAMERA = "wrist"
# Kills come at any time of so long a life. It adapts, so that three in five come before the end.
FIRST_LIFE_S = {"write": 0.02, "repair": 0.004}
_ROOMY = DiskGuard(free_bytes=lambda folder: 1 << 40)


@dataclass(frozen=True)
class Kill:
    """What one kill left.

    Attributes:
        acknowledged: Messages that were acknowledged.
        kept: Messages that are there after the repair.
        lost: Acknowledged messages that are not there, or are not the same.
        was_finished: The episode had ended properly.
        repair: How the repair ended.
        faults: Everything else that must not be.
    """

    acknowledged: int
    kept: int
    lost: int
    was_finished: bool
    repair: RepairStatus
    faults: tuple[str, ...]


def batches(number: int) -> Iterator[list[Recorded]]:
    """Yield what an episode holds, write by write."""
    chance = random.Random(number)
    count = 0
    for _ in range(chance.randrange(10, 120)):
        batch = []
        for _ in range(chance.randrange(1, 4)):
            batch.append(_message(count, chance))
            count += 1
        yield batch


def _message(count: int, chance: random.Random) -> Recorded:
    stamp_ns = 1_000_000_000 + 10_000_000 * count
    if count % 2:
        return picture(stamp_ns, chance.randbytes(chance.randrange(9000)))
    joints = messages.joint_state(stamp_ns, ["joint"] * 9, np.full(9, chance.random()))
    return Recorded(topics.JOINT_STATES, topics.JOINT_STATE_TYPE, messages.encode(joints), stamp_ns)


def picture(stamp_ns: int, jpeg: bytes) -> Recorded:
    """Return a stored picture of the camera."""
    cdr = messages.encode(messages.compressed_image(stamp_ns, "", jpeg))
    return Recorded(topics.image_topic(CAMERA), topics.COMPRESSED_IMAGE_TYPE, cdr, stamp_ns)


def digest(folder: Path) -> str:
    """Return a hash of all bytes of an episode."""
    whole = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        whole.update(path.name.encode() + path.read_bytes())
    return whole.hexdigest()


class Killer:
    """Lets episodes be written below a folder, and kills their writers.

    Args:
        root: Where episodes go.
        seed: Of the moments of the kills.
    """

    def __init__(self, root: Path, seed: int) -> None:
        self._root = root
        self._chance = random.Random(seed)
        self._number = 0
        self._hashes: dict[Path, str] = {}
        self._life_s = dict(FIRST_LIFE_S)
        command = [sys.executable, "-m", "tests.unit.killed_writer", str(root)]
        self._helper = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=ROOT
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._helper.communicate()

    def kill(self) -> Kill:
        """Kill one writer, repair what it left, and compare everything."""
        self._number += 1
        folder = self._root / f"episode-{self._number:05d}"
        said = self._run("write", str(self._number))
        acknowledged = max((int(w[1]) for w in map(str.split, said) if w[0] == "ack"), default=0)
        was_finished = "end" in said
        faults = [line for line in said if line.startswith("error")]
        if self._number % 5 == 0 and folder.exists():
            faults += self._kill_a_repair(folder)
        repair = self._repair_twice(folder, acknowledged, faults)
        if was_finished and repair is RepairStatus.FAILED:
            faults.append("an episode that had ended was not readable")
        kept = _messages_of(folder)
        expected = [message for batch in batches(self._number) for message in batch]
        same = sum(
            (a.topic, a.cdr, a.log_time_ns) == (b.topic, b.cdr, b.log_time_ns)
            for a, b in zip(kept, expected, strict=False)
        )
        if same != len(kept):
            faults.append(f"{len(kept) - same} messages are not those that were written")
        faults += self._compare(4)
        if folder.exists():
            self._hashes[folder] = digest(folder)
        lost = max(0, acknowledged - same)
        return Kill(acknowledged, len(kept), lost, was_finished, repair, tuple(faults))

    def compare_all(self) -> list[str]:
        """Name the earlier episodes that are not what they were after their own repair."""
        return self._compare(len(self._hashes))

    def _compare(self, count: int) -> list[str]:
        folders = self._chance.sample(sorted(self._hashes), min(count, len(self._hashes)))
        return [
            f"{folder.name} has changed"
            for folder in folders
            if digest(folder) != self._hashes[folder]
        ]

    def _repair_twice(self, folder: Path, acknowledged: int, faults: list[str]) -> RepairStatus:
        if not folder.exists():
            faults += ["an acknowledged episode is missing"] if acknowledged else []
            return RepairStatus.FAILED
        status, sentence = repair_episode(folder)
        before = digest(folder)
        if repair_episode(folder)[0] is RepairStatus.REPAIRED or digest(folder) != before:
            faults.append("a second repair has changed something")
        if status is RepairStatus.FAILED and acknowledged:
            faults.append(sentence)
        if status is not RepairStatus.FAILED and check_episode(folder).problem:
            faults.append(check_episode(folder).problem)
        return status

    def _kill_a_repair(self, folder: Path) -> list[str]:
        """Kill a repair too: the next one must come to what a quiet one would have made."""
        copy = Path(shutil.copytree(folder, self._root / "copy"))
        said = self._run("repair", folder.name)
        faults = [line for line in said if line.startswith("error")]
        statuses = {repair_episode(path)[0] for path in (folder, copy)}
        logs = [path / LOG_NAME for path in (folder, copy)]
        if RepairStatus.FAILED not in statuses and logs[0].read_bytes() != logs[1].read_bytes():
            faults.append("a repair that was killed has left another recording")
        shutil.rmtree(copy)
        return faults

    def _run(self, order: str, name: str) -> list[str]:
        """Give an order, kill who carries it out, return the lines that were said."""
        assert self._helper.stdin is not None
        assert self._helper.stdout is not None
        self._helper.stdin.write(f"{order} {name}\n")
        pid = int(self._helper.stdout.readline())
        time.sleep(self._chance.uniform(0.0, self._life_s[order]))
        os.kill(pid, signal.SIGKILL)
        self._helper.stdin.write("reap\n")
        said = []
        while (line := self._helper.stdout.readline().strip()) != "reaped":
            assert line, "the helper has died"
            said.append(line)
        self._life_s[order] *= 0.95 if "end" in said else 1.033
        return said


def _messages_of(folder: Path) -> list[RawMessage]:
    found = []
    try:
        for item in scan(folder / LOG_NAME):
            if isinstance(item, RawMessage):
                found.append(item)
    except ValueError:
        pass
    return found


def _write(root: Path, number: int) -> None:
    """Write an episode, acknowledging every write once it has returned."""
    manifest = EpisodeManifest(
        id=f"episode-{number:05d}",
        task="be killed",
        source=EpisodeSource.SCRIPTED,
        robot_type="fr3",
        cameras=(CAMERA,),
        created_at="2026-07-05T14:22:33+00:00",
    )
    writer, count = EpisodeWriter(root / manifest.id, manifest, _ROOMY), 0
    for batch in batches(number):
        writer.write_messages(batch)
        count += len(batch)
        _say(f"ack {count}")
    writer.finish(success=True)


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def _serve(root: Path) -> None:
    """Fork for every order. The child says its lines straight to whoever reads this process."""
    list(batches(0))
    child = 0
    for line in sys.stdin:
        kind, *words = line.split()
        if kind == "reap":
            # A killed child stays, with its number, until it is waited for.
            os.waitpid(child, 0)
            _say("reaped")
            continue
        child = os.fork()
        if child == 0:
            try:
                _say(str(os.getpid()))
                _write(root, int(words[0])) if kind == "write" else repair_episode(root / words[0])
                _say("end")
            except BaseException:
                _say(f"error {traceback.format_exc()!r}")
            finally:
                os._exit(0)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
