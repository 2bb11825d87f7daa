"""Opens a data set with LeRobot itself, and writes what it says to a file of arrays.

Runs in LeRobot's own environment (see tests/bench/peers.py), which knows nothing of this project:

    runs/lerobot/venv/bin/python tests/formats/lerobot_peer.py DATASET OUT.npz

Steps, pictures and one batch with a history are read by `LeRobotDataset`. The torchvision of that
environment has no video reader any more; the one below gives LeRobot the same interface by PyAV,
which LeRobot installs, with the time stamps that stand in the file.
"""

import json
import os
import sys
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}

import av
import numpy as np
import torch

HISTORY = 3
# LeRobot merges data sets of several recordings; the same one twice will do.
MERGED = "merged"


class VideoReader:
    """What torchvision.io.VideoReader was until torchvision 0.24, as far as LeRobot uses it."""

    def __init__(self, path: str, stream: str) -> None:
        self.container = av.open(path)
        self._stream = self.container.streams.video[0]
        self._frames = iter(())

    def seek(self, time_s: float, keyframes_only: bool) -> "VideoReader":
        offset = int(time_s / self._stream.time_base)
        self.container.seek(offset, stream=self._stream, backward=True)
        self._frames = self.container.decode(self._stream)
        return self

    def __iter__(self) -> "VideoReader":
        return self

    def __next__(self) -> dict[str, object]:
        frame = next(self._frames)
        image = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)
        return {"data": image, "pts": float(frame.pts * frame.time_base)}


def import_lerobot() -> type:
    """Import LeRobot's data sets beside a torchvision that lacks its operators and its reader."""
    operators = torch.library.Library("torchvision", "DEF")
    try:
        import torchvision
    except RuntimeError:
        operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    import_lerobot.operators = operators  # they must live as long as the process
    if not hasattr(torchvision.io, "VideoReader"):
        torchvision.io.VideoReader = VideoReader
        torchvision.set_video_backend = lambda backend: None
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    return LeRobotDataset


def main() -> None:
    """Read everything once, and write it down."""
    root, out = Path(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    dataset_class = import_lerobot()
    from lerobot.datasets.aggregate import aggregate_datasets
    from lerobot.datasets.utils import dataset_to_policy_features

    dataset = dataset_class("local/peer", root=root, video_backend="pyav")
    items = [dataset[i] for i in range(len(dataset))]
    arrays = {
        key: np.stack([np.asarray(item[key]) for item in items])
        for key in items[0]
        if key != "task" and key not in dataset.meta.video_keys
    }
    for key in dataset.meta.camera_keys:
        images = np.stack([item[key].permute(1, 2, 0).numpy() for item in items])
        arrays[key] = np.round(255 * images).astype(np.uint8)
    past = [-step / dataset.fps for step in reversed(range(HISTORY))]
    camera = dataset.meta.camera_keys[0]
    windows = dataset_class(
        "local/peer",
        root=root,
        video_backend="pyav",
        delta_timestamps={camera: past, "action": [0.0, 1.0 / dataset.fps]},
    )
    batch = next(iter(torch.utils.data.DataLoader(windows, batch_size=4, shuffle=False)))
    facts = {
        "tasks": [item["task"] for item in items],
        "fps": dataset.fps,
        "episodes": dataset.num_episodes,
        "robot_type": dataset.meta.robot_type,
        "policy_features": {
            key: [feature.type.value, list(feature.shape)]
            for key, feature in dataset_to_policy_features(dataset.features).items()
        },
        "stats": {
            key: {name: value.tolist() for name, value in values.items()}
            for key, values in dataset.meta.stats.items()
        },
        "episode_columns": {
            name: dataset.meta.episodes[name]
            for name in dataset.meta.episodes.features
            if name.startswith("mail/") or name in ("length", "tasks")
        },
        "batch": {k: list(v.shape) for k, v in batch.items() if isinstance(v, torch.Tensor)},
        "names": {key: feature.get("names") for key, feature in dataset.features.items()},
    }
    aggregate_datasets(
        ["local/one", "local/two"], "local/both", roots=[root, root], aggr_root=out.parent / MERGED
    )
    merged = dataset_class("local/both", root=out.parent / MERGED, video_backend="pyav")
    facts["merged"] = [merged.num_episodes, len(merged), int(merged[len(merged) - 1]["index"])]
    facts["episode_columns"] = {k: list(v) for k, v in facts["episode_columns"].items()}
    np.savez(out, facts=np.array(json.dumps(facts)), **arrays)


if __name__ == "__main__":
    main()
