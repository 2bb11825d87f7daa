"""Records a small data set with LeRobot's own writer, for our import.

Runs in LeRobot's own environment (see tests/bench/peers.py):

    runs/lerobot/venv/bin/python tests/formats/lerobot_writer.py STEPS.npz DATASET

STEPS.npz holds `joints` (L, 7) [rad], `grippers` (L,) from 0 to 1, `images` (L, height, width, 3)
and `ends` (episodes,), the step behind the last one of each episode. The camera "front" becomes a
video, as LeRobot encodes it by default; "hand", the same picture mirrored, lies in the table.
"""

import sys
from pathlib import Path

import numpy as np
from lerobot_peer import import_lerobot

FPS = 20
NAMES = [*(f"joint_{number}.pos" for number in range(1, 8)), "gripper.pos"]


def main() -> None:
    """Record all episodes."""
    dataset_class = import_lerobot()
    with np.load(sys.argv[1], allow_pickle=False) as stored:
        steps = dict(stored)
    picture = {"shape": steps["images"].shape[1:], "names": ["height", "width", "channels"]}
    vector = {"dtype": "float32", "shape": (8,), "names": NAMES}
    dataset = dataset_class.create(
        "local/foreign",
        fps=FPS,
        root=Path(sys.argv[2]),
        robot_type="panda",
        features={
            "observation.images.front": {"dtype": "video", **picture},
            "observation.images.hand": {"dtype": "image", **picture},
            "observation.state": vector,
            "action": vector,
        },
    )
    state = np.column_stack([steps["joints"], steps["grippers"]]).astype(np.float32)
    first = 0
    for number, end in enumerate(steps["ends"]):
        for step in range(first, end):
            dataset.add_frame(
                {
                    "observation.images.front": steps["images"][step],
                    "observation.images.hand": steps["images"][step][:, ::-1],
                    "observation.state": state[step],
                    "action": state[min(step + 1, end - 1)],
                    "task": f"task {number}",
                }
            )
        dataset.save_episode(parallel_encoding=False)
        first = end
    dataset.finalize()


if __name__ == "__main__":
    main()
