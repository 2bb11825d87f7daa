"""Episodes as arrays, with the resized pictures cached on disk and mapped into memory."""

import hashlib
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_collection.manifest import MANIFEST_NAME, load_manifest
from data_collection.reader import list_episodes, read_steps
from mail_policy.core.action_schema import EE_DELTA, JOINT_POSITION
from mail_policy.core.frames import Array
from mail_policy.core.types import Observation
from mail_policy.data.picture_store import map_pictures, save_pictures
from mail_policy.data.set_points import actions_from_set_points, read_set_points

CACHE_NAME = ".training_cache"
# Rises with everything that is kept of an episode.
_CACHE_VERSION = 4
# By camera name.
_Images = dict[str, NDArray[np.uint8]]


class DatasetError(ValueError):
    """Episodes cannot be used for training. The text says which and what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeArrays:
    """One episode on its time grid; L is the number of steps.

    Attributes:
        id: Name of the episode.
        task: The sentence that was followed.
        times_s: Capture stamps [s], shape (L,).
        images: RGB uint8 of shape (L, rows, columns, 3), by camera name.
        joint_positions: Measured [rad], shape (L, 7).
        gripper_widths_m: Shape (L,).
        actions: Rows of the action schema, shape (L, size).
        set_points: Commanded joint positions [rad], shape (L, 7); None if they are not known.
        action_schema: Name of the schema of the actions.
    """

    id: str
    task: str
    times_s: Array
    images: dict[str, NDArray[np.uint8]]
    joint_positions: Array
    gripper_widths_m: Array
    actions: Array
    set_points: Array | None = None
    action_schema: str = EE_DELTA.name

    def __post_init__(self) -> None:
        """Refuse arrays of different lengths and numbers that are none."""
        names = ("times_s", "joint_positions", "gripper_widths_m", "actions", "commanded")
        lengths = {len(getattr(self, name)) for name in names}
        lengths |= {len(images) for images in self.images.values()}
        if len(lengths) != 1 or not len(self.times_s):
            raise DatasetError(f"episode {self.id}: arrays have lengths {sorted(lengths)}")
        for name in names:
            if not np.isfinite(getattr(self, name)).all():
                raise DatasetError(f"episode {self.id}: {name} holds NaN; leave the episode out")

    def __len__(self) -> int:
        return len(self.times_s)

    @property
    def commanded(self) -> Array:
        """Commanded joint positions [rad], shape (L, 7); where they are unknown, measured ones.

        An arm in free space is where it was commanded to some milliradians; one that pushes is
        not, and labels from measured positions then push less.
        """
        return self.joint_positions if self.set_points is None else self.set_points

    def observation(self, step: int) -> Observation:
        """Return one step as the robot would have seen it."""
        return Observation(
            float(self.times_s[step]),
            {name: images[step] for name, images in self.images.items()},
            self.joint_positions[step],
            float(self.gripper_widths_m[step]),
        )


@dataclass(frozen=True, slots=True)
class PictureRequest:
    """Which pictures to read.

    Attributes:
        cameras: Names, in order.
        height: Rows after resizing.
        width: Columns after resizing.
    """

    cameras: tuple[str, ...]
    height: int
    width: int


def load_episodes(
    root: Path,
    pictures: PictureRequest,
    *,
    tasks: Collection[str] | None = None,
    limit: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[EpisodeArrays]:
    """Read all successful episodes below a folder.

    Args:
        root: Where the episodes are.
        pictures: Which pictures to read.
        tasks: Use only episodes of these sentences; None for all.
        limit: Use only the first so many; None for all.
        on_progress: Called with the number of episodes read, and of all.

    Raises:
        DatasetError: There is no successful episode.
        EpisodeError: An episode is damaged.
    """
    manifests = {folder: load_manifest(folder) for folder in list_episodes(root)}
    folders = [
        folder
        for folder, manifest in manifests.items()
        if manifest.success and (tasks is None or manifest.task in tasks)
    ]
    if not folders:
        raise DatasetError(
            f"no successful episode below {root}; record some with mailctl collect, or label them "
            "with mailctl episodes label"
        )
    episodes = []
    for folder in folders[:limit]:
        episodes.append(_load_cached(folder, pictures, root / CACHE_NAME))
        on_progress(len(episodes), len(folders[:limit]))
    return episodes


def dataset_sha256(episodes: Sequence[EpisodeArrays]) -> str:
    """Return a hash of everything that is learned from."""
    digest = hashlib.sha256()
    for episode in episodes:
        digest.update(f"{episode.id}\n{episode.task}\n".encode())
        numbers = (episode.times_s, episode.joint_positions, episode.gripper_widths_m)
        set_points = () if episode.set_points is None else (episode.set_points,)
        for array in (*numbers, *set_points, episode.actions, *episode.images.values()):
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _load_cached(folder: Path, pictures: PictureRequest, cache: Path) -> EpisodeArrays:
    manifest = load_manifest(folder)
    key = _cache_key(folder, pictures)
    try:
        arrays, images = _load(cache, key, pictures)
    except (OSError, ValueError):
        cache.mkdir(parents=True, exist_ok=True)
        _save(cache, key, *_read(folder, pictures))
        arrays, images = _load(cache, key, pictures)
    schema = str(arrays.pop("action_schema"))
    return EpisodeArrays(manifest.id, manifest.task, images=images, action_schema=schema, **arrays)


def _load(cache: Path, key: str, pictures: PictureRequest) -> tuple[dict[str, Any], _Images]:
    with np.load(cache / f"{key}.npz", allow_pickle=False) as stored:
        arrays = dict(stored)
    shape = (len(arrays["times_s"]), pictures.height, pictures.width, 3)
    return arrays, {name: map_pictures(cache / f"{key}.{name}", shape) for name in pictures.cameras}


def _save(cache: Path, key: str, arrays: dict[str, Any], images: _Images) -> None:
    for name, pictures in images.items():
        save_pictures(cache / f"{key}.{name}", pictures)
    # Last, and by renaming: where the numbers are, the pictures are complete.
    partial = cache / f"{key}.{os.getpid()}.partial.npz"
    np.savez(partial, **arrays)
    partial.replace(cache / f"{key}.npz")


def _cache_key(folder: Path, pictures: PictureRequest) -> str:
    """Return a name that changes with the recording and with what is read of it."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    facts = [(path.name, path.stat().st_size) for path in files if path.name != MANIFEST_NAME]
    manifest = (folder / MANIFEST_NAME).read_bytes()
    key = repr((_CACHE_VERSION, facts, manifest, pictures))
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _read(folder: Path, pictures: PictureRequest) -> tuple[dict[str, Any], _Images]:
    # A lost picture costs the windows that look at it, not the episode.
    read = partial(
        read_steps, folder, pictures.cameras, pictures.height, pictures.width, allow_gaps=True
    )
    steps = read(require_actions=False)
    actions, schema = None, JOINT_POSITION.name
    if np.isnan(steps.actions).all():
        period_s = 1.0 / steps.manifest.rate_hz
        actions = actions_from_set_points(folder, steps.times_s, period_s)
    if actions is None:
        steps = read(require_actions=True)
        actions, schema = steps.actions, steps.manifest.action_schema
    set_points = read_set_points(folder, steps.times_s)
    arrays = {
        **({} if set_points is None else {"set_points": set_points}),
        "times_s": steps.times_s,
        "joint_positions": steps.joint_positions,
        "gripper_widths_m": steps.gripper_widths_m,
        "actions": actions,
        "action_schema": np.array(schema),
    }
    return arrays, steps.images
