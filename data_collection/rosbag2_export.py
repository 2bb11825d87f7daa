"""Exports episodes as bags of rosbag2: the same messages, with the description that it expects."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from data_collection.errors import EpisodeError
from data_collection.exchange import ExchangeReport, OnProgress, new_folder
from data_collection.manifest import LOG_NAME, load_manifest
from data_collection.mcap_scan import RawMessage, scan

METADATA_NAME = "metadata.yaml"
# That of Jazzy: https://github.com/ros2/rosbag2, BagMetadata.
_VERSION = 9
_ROS_DISTRO = "jazzy"


def export_rosbag2(
    folders: Sequence[Path], out: Path, on_progress: OnProgress = lambda done, total: None
) -> ExchangeReport:
    """Write a bag per episode. One that is damaged is left out, with the reason.

    Raises:
        EpisodeError: The folder exists already, or no episode can be exported.
    """
    report = ExchangeReport()
    with new_folder(out) as root:
        for done, folder in enumerate(folders):
            try:
                name = load_manifest(folder).id
                if (root / name).exists():
                    raise EpisodeError(f"{folder}: another episode is called {name}, too")
                _write_bag(folder, root / name)
                report.done.append(name)
            except EpisodeError as error:
                report.skipped[str(folder)] = str(error)
            on_progress(done + 1, len(folders))
        if not report.done:
            reasons = "\n".join(report.skipped.values())
            raise EpisodeError(f"no episode could be exported\n{reasons}")
    return report


def _write_bag(folder: Path, bag: Path) -> None:
    # Described first: an episode that is damaged raises here, before there is a bag.
    description = _describe(folder / LOG_NAME)
    bag.mkdir()
    shutil.copyfile(folder / LOG_NAME, bag / LOG_NAME)
    text = yaml.safe_dump({"rosbag2_bagfile_information": description}, sort_keys=False)
    (bag / METADATA_NAME).write_text(text)


def _describe(log: Path) -> dict[str, Any]:
    counts: dict[str, int] = {}
    schemas = {}
    stamps_ns: list[int] = []
    for item in scan(log):
        if isinstance(item, RawMessage):
            counts[item.topic] = counts.get(item.topic, 0) + 1
            schemas[item.topic] = item.schema
            stamps_ns.append(item.log_time_ns)
    start_ns = min(stamps_ns, default=0)
    span = {
        "starting_time": {"nanoseconds_since_epoch": start_ns},
        "duration": {"nanoseconds": max(stamps_ns, default=0) - start_ns},
        "message_count": len(stamps_ns),
    }
    described = [
        {
            "topic_metadata": {
                "name": topic,
                "type": schemas[topic].type_name,
                "serialization_format": "cdr",
                "offered_qos_profiles": [],
                "type_description_hash": schemas[topic].type_hash,
            },
            "message_count": count,
        }
        for topic, count in counts.items()
    ]
    return {
        "version": _VERSION,
        "storage_identifier": "mcap",
        **span,
        "topics_with_message_count": described,
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": [LOG_NAME],
        "files": [{"path": LOG_NAME, **span}],
        "custom_data": None,
        "ros_distro": _ROS_DISTRO,
    }
