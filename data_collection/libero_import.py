"""Imports demonstration files in the layout of LIBERO. They need not be trusted."""

from functools import partial
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from data_collection import libero_layout as layout
from data_collection.disk import DiskGuard
from data_collection.episode_import import (
    ForeignEpisode,
    ImportOptions,
    OpenedEpisode,
    Steps,
    checked_manifest,
    import_episodes,
    lost_interventions,
)
from data_collection.errors import EpisodeError
from data_collection.exchange import ExchangeReport, OnProgress, plain_camera_name, seconds_of
from data_collection.libero_layout import ImageConvention
from data_collection.libero_probe import probe
from data_collection.libero_reading import (
    array_at,
    group_at,
    json_of,
    numbers_at,
    opened,
    text_of,
)
from data_collection.manifest import EpisodeManifest, EpisodeSource
from mail_policy.core.action_schema import EE_DELTA
from mail_policy.core.frames import Array
from mail_policy.core.types import NUM_JOINTS, Observation

_DEFAULT_ROBOT = "fer"
# A controller that moves further per step does not exist; neither does one that stands still.
_LARGEST_STEP = 1.0


def import_libero(
    path: Path,
    out: Path,
    options: ImportOptions,
    convention: ImageConvention | None = None,
    on_progress: OnProgress = lambda done, total: None,
    disk_guard: DiskGuard | None = None,
) -> ExchangeReport:
    """Write the demonstrations of a file, or of all files of a folder, as our episodes.

    Args:
        path: The file or folder.
        out: Where the episodes go.
        options: What the files do not say.
        convention: Which way up their pictures are, None if they say it.
        on_progress: Called after each episode.
        disk_guard: When there is too little space.

    Raises:
        EpisodeError: There is no such file, or one is damaged or of another layout.
    """
    files = [path] if path.is_file() else sorted(path.glob("*.hdf5"))
    if not files:
        raise EpisodeError(f"{path} is no file and holds no .hdf5 file")
    episodes = [
        ForeignEpisode(f"{file.name}/{demo}", partial(_open, file, demo, options, convention))
        for file in files
        for demo in _demos(file)
    ]
    return import_episodes(episodes, len(episodes), out, on_progress, disk_guard)


def _demos(path: Path) -> list[str]:
    """Return the demonstrations of a file, by number. Whatever is read later is safe after this."""
    probe(path)
    with opened(path) as file:
        names = list(group_at(file, "data"))
    numbers = [name.removeprefix(layout.DEMO_PREFIX) for name in names]
    if not names or not all(number.isdecimal() for number in numbers):
        raise EpisodeError(f"{path}: data must hold demo_0, demo_1, ..., holds {names[:5]}")
    return sorted(names, key=lambda name: int(name.removeprefix(layout.DEMO_PREFIX)))


def _open(
    path: Path, demo: str, options: ImportOptions, convention: ImageConvention | None
) -> OpenedEpisode:
    with opened(path) as file:
        data = group_at(file, "data")
        group = group_at(data, demo)
        obs = group_at(group, "obs")
        keys = layout.cameras_in(list(obs), options.cameras)
        if not keys:
            raise EpisodeError(f"{obs.name} holds no pictures; their names must end in _rgb")
        cameras = {plain_camera_name(ours): key for ours, key in keys.items()}
        stored = convention or _convention(data)
        manifest = _manifest(path, group, tuple(cameras), options)
        lost = lost_interventions(int(_flags(group, "mail_interventions").sum()))
    return OpenedEpisode(manifest, _steps(path, demo, cameras, stored), lost)


def _steps(path: Path, demo: str, cameras: dict[str, str], convention: ImageConvention) -> Steps:
    with opened(path) as file:
        data = group_at(file, "data")
        group = group_at(data, demo)
        obs = group_at(group, "obs")
        actions = layout.rows_from_actions(
            numbers_at(group, "actions", None, 7), _step_at_one(data)
        )
        count = len(actions)
        joints = numbers_at(obs, "joint_states", count, NUM_JOINTS)
        fingers = numbers_at(obs, "gripper_states", count, 2)
        times_s = _times_s(data, group, count)
        stored = {
            camera: array_at(obs, key, count, (None, None, 3), "u")
            for camera, key in cameras.items()
        }
        for step in range(count):
            images = {
                camera: layout.turned(np.asarray(array[step], dtype=np.uint8), convention)
                for camera, array in stored.items()
            }
            width_m = float(np.abs(fingers[step]).sum())
            yield Observation(float(times_s[step]), images, joints[step], width_m), actions[step]


def _manifest(
    path: Path, group: h5py.Group, cameras: tuple[str, ...], options: ImportOptions
) -> EpisodeManifest:
    data, demo = group.parent, Path(group.name).name
    ours = text_of(group, "mail_id")
    is_done = bool(_flags(group, "rewards").any())
    seed = group.attrs.get("mail_seed")
    # The benchmark's sentence is the file's name; what BDDL says differs in some tasks.
    sentence = json_of(data, "problem_info").get("language_instruction") if ours else None
    source = text_of(group, "mail_source")
    # Episodes are sorted by their names, and demonstrations are chosen by their place.
    numbered = f"{layout.DEMO_PREFIX}{int(demo.removeprefix(layout.DEMO_PREFIX)):03d}"
    return checked_manifest(
        id=ours or f"{path.stem[:80]}-{numbered}".replace(".", "-"),
        task=str(sentence or layout.sentence_of(path.name)),
        source=EpisodeSource(source) if source else options.source,
        robot_type=options.robot_type or text_of(data, "mail_robot_type") or _DEFAULT_ROBOT,
        cameras=cameras,
        created_at=text_of(group, "mail_created_at"),
        operator=options.operator or text_of(group, "mail_operator"),
        seed=int(seed) if isinstance(seed, np.integer) else None,
        success=True if is_done or options.assume_success else None,
        rate_hz=_rate_hz(data),
        action_schema=EE_DELTA.name,
        origin={"imported from": f"LIBERO, {path.name}"},
    )


def _convention(data: h5py.Group) -> ImageConvention:
    told = text_of(data, "image_convention")
    if told in list(ImageConvention):
        return ImageConvention(told)
    robosuite = text_of(data, "macros_image_convention")
    for convention, name in layout.ROBOSUITE_NAMES.items():
        if name == robosuite:
            return convention
    raise EpisodeError(
        f"{data.file.filename} does not say which way up its pictures are; look at one, and say "
        "--flip yes (they are upside down) or --flip no"
    )


def _step_at_one(data: h5py.Group) -> Array:
    """Return the controller's scale, the usual one if the file does not tell another."""
    controller = json_of(data, "env_args").get("env_kwargs", {})
    controller = controller.get("controller_configs") if isinstance(controller, dict) else None
    told = controller.get("output_max") if isinstance(controller, dict) else None
    if told is None:
        return np.array(layout.STEP_AT_ONE)
    try:
        steps = np.broadcast_to(np.array(told, dtype=np.float64), (6,))
    except (TypeError, ValueError) as error:
        raise EpisodeError(f"env_args: output_max must be six steps, is {told!r}"[:300]) from error
    if not ((steps > 0.0) & (steps <= _LARGEST_STEP)).all():
        raise EpisodeError(f"env_args: output_max must be steps, is {told!r}"[:300])
    return steps


def _rate_hz(data: h5py.Group) -> float:
    kwargs = json_of(data, "env_args").get("env_kwargs", {})
    told = kwargs.get("control_freq", layout.RATE_HZ) if isinstance(kwargs, dict) else 0
    if not isinstance(told, int | float) or not 0 < told <= 1000:
        raise EpisodeError(f"env_args: control_freq must be a rate, is {str(told)[:80]!r}")
    return float(told)


def _times_s(data: h5py.Group, group: h5py.Group, count: int) -> NDArray[np.float64]:
    if "mail_capture_stamps_ns" not in group.keys():  # noqa: SIM118
        return np.arange(count) / _rate_hz(data)
    stamps_ns = np.asarray(array_at(group, "mail_capture_stamps_ns", count, (), "i"))
    if (stamps_ns < 0).any() or (np.diff(stamps_ns) <= 0).any():
        raise EpisodeError(f"{group.name}: capture stamps must rise")
    return seconds_of(stamps_ns)


def _flags(group: h5py.Group, name: str) -> NDArray[np.bool_]:
    if name not in group.keys():  # noqa: SIM118
        return np.zeros(0, dtype=bool)
    return np.asarray(array_at(group, name, None, (), "fiub")).astype(bool)
