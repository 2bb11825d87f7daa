"""Records the frames of `mailctl bench recorder` with LeRobot's recorder, in its environment.

See tests/bench/peers.py for how to make it; that folder must be on the path. The loop is that of
`lerobot-record`: 30 times a second it gives the data set a frame, whose pictures a pool of threads
writes; `save_episode` then makes videos. Prints a JSON object.
"""

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

# Not as tests.bench: LeRobot's environment has a package "tests" of its own.
from peers import allow_torchvision
from scenes import HEIGHT, WIDTH, frames

RATE_HZ = 30
# The default of lerobot-record.
THREADS_PER_CAMERA = 4


def main() -> None:
    """Record for some seconds, then save."""
    allow_torchvision()
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    seconds, cameras = float(sys.argv[1]), sys.argv[2:]
    pictures = {camera: frames(seed) for seed, camera in enumerate(cameras)}
    image = {
        "dtype": "video",
        "shape": (HEIGHT, WIDTH, 3),
        "names": ["height", "width", "channels"],
    }
    vector = {"dtype": "float32", "shape": (8,), "names": [f"joint_{i}" for i in range(8)]}
    features = {
        **{f"observation.images.{camera}": image for camera in cameras},
        "observation.state": vector,
        "action": vector,
    }
    folder = Path(tempfile.mkdtemp())
    dataset = LeRobotDataset.create(
        "bench/recorder",
        RATE_HZ,
        features,
        root=folder / "data",
        image_writer_threads=THREADS_PER_CAMERA * len(cameras),
    )
    process, wanted = psutil.Process(), round(RATE_HZ * seconds)
    before_s, began_s, late = sum(process.cpu_times()[:2]), time.monotonic(), 0
    taken = 0
    while (slot := int((time.monotonic() - began_s) * RATE_HZ)) < wanted:
        late = max(late, slot - taken)
        frame = {f"observation.images.{c}": pictures[c][slot % len(pictures[c])] for c in cameras}
        state = np.full(8, slot, np.float32)
        dataset.add_frame({**frame, "observation.state": state, "action": state, "task": "bench"})
        taken += 1
        time.sleep(max(0.0, began_s + (slot + 1) / RATE_HZ - time.monotonic()))
    recording_s, recording_cpu_s = time.monotonic() - began_s, sum(process.cpu_times()[:2])
    dataset.save_episode()
    dataset.finalize()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    result = {
        "lost": len(cameras) * (wanted - taken),
        "cpu_cores": (recording_cpu_s - before_s) / recording_s,
        "save_s": time.monotonic() - began_s - recording_s,
        "cpu_cores_with_saving": (sum(process.cpu_times()[:2]) - before_s) / recording_s,
        "mb_per_s": 1e-6 * size / recording_s,
        "memory_mb": 1e-6 * process.memory_info().rss,
    }
    shutil.rmtree(folder)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
