"""Exports episodes as demonstration files in the layout of LIBERO."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from data_collection import libero_layout as layout
from data_collection.demonstration import Demonstration, expressed_in, read_demonstration
from data_collection.errors import EpisodeError
from data_collection.exchange import ExchangeReport, OnProgress, new_folder
from data_collection.libero_layout import ImageConvention
from data_collection.manifest import EpisodeManifest
from data_collection.step_index import pictures
from mail_policy.core.action_schema import EE_DELTA
from mail_policy.core.frames import quaternion_from_rotation, vector_from_rotation
from mail_policy.core.kinematics import forward_kinematics
from mail_policy.data.pictures import resize_picture

# Damage inside a file is then noticed when it is read.
_COMPRESSED = {"compression": "gzip", "compression_opts": 4, "fletcher32": True}


@dataclass(frozen=True, slots=True)
class LiberoOptions:
    """How to export.

    Attributes:
        convention: Which way up pictures are stored.
        size: Height and width of the pictures, None for those of the cameras.
        cameras: LIBERO's camera names without "_rgb", by ours.
    """

    convention: ImageConvention = ImageConvention.OPENGL
    size: tuple[int, int] | None = (128, 128)
    cameras: dict[str, str] = field(default_factory=dict)


def export_libero(
    folders: Sequence[Path],
    out: Path,
    options: LiberoOptions,
    on_progress: OnProgress = lambda done, total: None,
) -> ExchangeReport:
    """Write one file per task. An episode that cannot be in it is left out, with the reason.

    Raises:
        EpisodeError: The folder exists already, or no episode can be exported.
    """
    report = ExchangeReport()
    with new_folder(out) as root:
        names: dict[str, str] = {}
        filled: set[str] = set()
        for done, folder in enumerate(folders):
            try:
                demonstration = _read(folder)
                manifest = demonstration.index.manifest
                if manifest.task not in names:
                    names[manifest.task] = layout.file_name(manifest.task, set(names.values()))
                clipped = _append(root / names[manifest.task], demonstration, options)
                filled.add(names[manifest.task])
                report.done.append(manifest.id)
                if clipped:
                    report.remarks.append(f"{folder}: {clipped} steps were too large, clipped")
            except EpisodeError as error:
                report.skipped[str(folder)] = str(error)
            on_progress(done + 1, len(folders))
        # A task of which no demonstration fits leaves a file without one.
        for name in set(names.values()) - filled:
            (root / name).unlink(missing_ok=True)
        if not report.done:
            reasons = "\n".join(report.skipped.values())
            raise EpisodeError(f"no episode could be exported\n{reasons}")
    return report


def _read(folder: Path) -> Demonstration:
    demonstration = read_demonstration(folder)
    if not demonstration.index.manifest.success:
        raise EpisodeError(
            f"{folder} is not labelled a success; LIBERO cannot say that of a demonstration"
        )
    if demonstration.rate_hz != layout.RATE_HZ:
        raise EpisodeError(
            f"{folder} has {demonstration.rate_hz:g} steps per second; LIBERO's controller takes "
            f"{layout.RATE_HZ:g}"
        )
    return expressed_in(demonstration, EE_DELTA)


def _append(path: Path, demonstration: Demonstration, options: LiberoOptions) -> int:
    """Write a demonstration; return how many steps were clipped. Nothing is left of a failure."""
    manifest = demonstration.index.manifest
    with h5py.File(path, "a") as file:
        data = file.require_group("data")
        if "num_demos" not in data.attrs:
            data.attrs.update(_file_facts(manifest, options))
        name = f"{layout.DEMO_PREFIX}{data.attrs['num_demos']}"
        group = data.create_group(name)
        try:
            clipped = _fill(group, demonstration, options)
        except EpisodeError:
            del data[name]
            raise
        data.attrs["num_demos"] += 1
        data.attrs["total"] += len(demonstration)
    return clipped


def _file_facts(manifest: EpisodeManifest, options: LiberoOptions) -> dict[str, object]:
    problem = {
        "problem_name": "mail_franka_panda",
        "domain_name": "robosuite",
        "language_instruction": manifest.task,
    }
    controller = {
        "type": "OSC_POSE",
        "input_max": 1,
        "input_min": -1,
        "output_max": list(layout.STEP_AT_ONE),
        "output_min": [-step for step in layout.STEP_AT_ONE],
        "control_delta": True,
    }
    kwargs = {"control_freq": round(layout.RATE_HZ), "controller_configs": controller}
    facts: dict[str, object] = {
        "env_name": "mail_franka_panda",
        "bddl_file_name": "",
        "problem_info": json.dumps(problem),
        "env_args": json.dumps({"env_name": "mail_franka_panda", "env_kwargs": kwargs}),
        "num_demos": 0,
        "total": 0,
        "image_convention": str(options.convention),
        # Ours: what no LIBERO file says.
        "mail_robot_type": manifest.robot_type,
        "mail_ee_frame": "base",
        "mail_steps_counted_from": "commanded pose",
        "mail_observation_is_before_action": True,
    }
    if options.convention in layout.ROBOSUITE_NAMES:
        facts["macros_image_convention"] = layout.ROBOSUITE_NAMES[options.convention]
    return facts


def _fill(group: h5py.Group, demonstration: Demonstration, options: LiberoOptions) -> int:
    index, steps = demonstration.index, len(demonstration)
    actions, clipped = layout.actions_from_rows(demonstration.actions)
    _write_pictures(group.create_group("obs"), demonstration, options)
    poses = np.array([forward_kinematics(joints) for joints in index.joint_positions])
    positions = poses[:, :3, 3]
    turns = np.array([vector_from_rotation(pose[:3, :3]) for pose in poses])
    quaternions = np.array([quaternion_from_rotation(pose[:3, :3]) for pose in poses])
    # The two fingers as robosuite's joints: they move in opposite directions.
    fingers = 0.5 * np.column_stack([index.gripper_widths_m, -index.gripper_widths_m])
    is_last = (np.arange(steps) == steps - 1).astype(np.uint8)
    arrays: dict[str, NDArray[Any]] = {
        "actions": actions,
        "dones": is_last,
        "rewards": is_last,
        "robot_states": np.column_stack([fingers, positions, quaternions]),
        "obs/ee_pos": positions,
        "obs/ee_ori": turns,
        "obs/ee_states": np.column_stack([positions, turns]),
        "obs/gripper_states": fingers,
        "obs/joint_states": index.joint_positions,
        "mail_capture_stamps_ns": index.stamps_ns,
        "mail_interventions": index.interventions.astype(np.uint8),
    }
    for name, array in arrays.items():
        group.create_dataset(name, data=array, fletcher32=True)
    manifest = index.manifest
    group.attrs.update(
        {
            "num_samples": steps,
            "mail_clipped_steps": clipped,
            "mail_id": manifest.id,
            "mail_operator": manifest.operator,
            "mail_source": str(manifest.source),
            "mail_created_at": manifest.created_at,
            **({} if manifest.seed is None else {"mail_seed": manifest.seed}),
        }
    )
    return clipped


def _write_pictures(
    group: h5py.Group, demonstration: Demonstration, options: LiberoOptions
) -> None:
    for camera in demonstration.index.pictures:
        name = layout.picture_key(camera, options.cameras)
        if name in group:
            raise EpisodeError(f"two cameras would be called {name}; map them with --camera-map")
        for step, image in enumerate(pictures(demonstration.index, camera)):
            height, width = options.size or image.shape[:2]
            if step == 0:
                shape = (height, width, 3)
                stored = group.create_dataset(
                    name, (len(demonstration), *shape), np.uint8, chunks=(1, *shape), **_COMPRESSED
                )
            resized = resize_picture(image, height, width)
            if resized.shape != shape:
                raise EpisodeError(
                    f"{demonstration.index.folder}: the pictures of {camera} change their size"
                )
            stored[step] = layout.turned(resized, options.convention)
