"""The twin's second process: renders the cameras from snapshots and offers the pictures.

The parent starts it with `python -m mail_sim.world.renderer <settings as JSON>`. It has its own
process because a pair of pictures costs several milliseconds, which the 1 kHz loop of the
physics does not have.
"""

import logging
import math
import os
import select
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from mail_policy.core.frame_ring import FrameRingLayout, FrameRingWriter
from mail_policy.core.frame_share import FrameOffer, SharedCamera
from mail_sim.world.pictures import Pictures
from mail_sim.world.process_channel import Channel, run_child
from mail_sim.world.snapshot import Snapshot, SnapshotRing
from mail_sim.world.visible_state import STEPS_PER_SECOND, STEPS_PER_SNAPSHOT, show_state

logger = logging.getLogger(__name__)

_START_LIMIT_S = 60.0
_IDLE_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class RendererConfig:
    """What the parent tells this process.

    Attributes:
        run_id: Name under which the pictures are offered.
        cameras: Names of the cameras in the scene.
        image_height: Rows of a picture.
        image_width: Columns of a picture.
        in_order: Render every snapshot, for a physics that waits. Otherwise the newest one.
        niceness: Added to the scheduling niceness, so that control and policy go first.
        channel_fd: Connection to the parent.
        snapshot_fd: Memory of the snapshots.
        event_fd: Event counter that announces snapshots.
    """

    run_id: str
    cameras: tuple[str, ...]
    image_height: int
    image_width: int
    in_order: bool
    niceness: int
    channel_fd: int
    snapshot_fd: int
    event_fd: int


def next_number(newest: int, rendered: int, in_order: bool) -> int | None:
    """Choose the snapshot to render next; None if there is nothing new.

    Args:
        newest: Number of the newest snapshot.
        rendered: Number of the last one rendered.
        in_order: Prefer the one after the last over the newest.
    """
    if newest == rendered:
        return None
    return rendered + 1 if in_order else newest


class CameraRenderer:
    """Renders pictures of a world that it only looks at."""

    def __init__(self, model: Any, image_height: int, image_width: int) -> None:
        self._model = model
        self._data = mujoco.MjData(model)
        self._pictures = Pictures(model, image_height, image_width)

    def close(self) -> None:
        """Give the graphics context back."""
        self._pictures.close()

    def show(self, snapshot: Snapshot) -> None:
        """Put the world into the state of a snapshot."""
        show_state(self._model, self._data, snapshot.state)

    def render(self, camera: str) -> NDArray[np.uint8]:
        """Return a picture: RGB uint8, shape (height, width, 3), top row first."""
        return self._pictures.take(self._data, camera)

    def focal_length_px(self, camera: str, image_height: int) -> float:
        """Return the focal length of a camera for pictures of some height [pixels]."""
        fovy_rad = math.radians(self._model.camera(camera).fovy[0])
        return 0.5 * image_height / math.tan(0.5 * fovy_rad)


class Studio:
    """Renders all cameras of every snapshot into their rings."""

    def __init__(
        self, renderer: CameraRenderer, ring: SnapshotRing, writers: dict[str, FrameRingWriter]
    ) -> None:
        self._renderer, self._ring, self._writers = renderer, ring, writers

    def render_next(self, in_order: bool) -> bool:
        """Render one snapshot if there is a new one; True if it did."""
        number = next_number(self._ring.newest_number, self._ring.rendered_number, in_order)
        if number is None:
            return False
        snapshot = self._ring.read(number) or self._ring.read(self._ring.newest_number)
        if snapshot is None:  # Overwritten while it was copied: the next call finds a newer one.
            return True
        self._renderer.show(snapshot)
        images = {name: self._renderer.render(name) for name in self._writers}
        for name, writer in self._writers.items():
            writer.write(images[name], snapshot.time_s, snapshot.number)
        self._ring.rendered_number = snapshot.number
        return True


def serve(config: RendererConfig, channel: Channel) -> None:
    """Render until the parent hangs up."""
    # Real-time priority would be inherited from a parent that has it.
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.nice(config.niceness)
    request = channel.receive(_START_LIMIT_S)
    if request is None:
        raise RuntimeError(f"got no scene from the twin within {_START_LIMIT_S:.0f} s")
    model = mujoco.MjModel.from_xml_string(request["xml"])
    with ExitStack() as stack:
        renderer = stack.enter_context(
            closing(CameraRenderer(model, config.image_height, config.image_width))
        )
        writers = _offer_pictures(config, renderer, stack)
        ring = SnapshotRing(config.snapshot_fd)
        studio = Studio(renderer, ring, writers)
        channel.send({"ready": True})
        while True:
            readable, _, _ = select.select([config.event_fd, channel.fileno()], [], [], _IDLE_S)
            if channel.fileno() in readable:
                channel.poll()  # Raises when the parent has gone; it says nothing else.
            if config.event_fd in readable:
                os.eventfd_read(config.event_fd)
            while studio.render_next(config.in_order):
                pass


def _offer_pictures(
    config: RendererConfig, renderer: CameraRenderer, stack: ExitStack
) -> dict[str, FrameRingWriter]:
    layout = FrameRingLayout(image_height=config.image_height, image_width=config.image_width)
    writers = {name: stack.enter_context(FrameRingWriter(layout)) for name in config.cameras}
    offered = {
        name: (
            SharedCamera(
                layout=layout,
                focal_length_px=renderer.focal_length_px(name, config.image_height),
                rate_hz=STEPS_PER_SECOND / STEPS_PER_SNAPSHOT,
            ),
            writer,
        )
        for name, writer in writers.items()
    }
    stack.enter_context(FrameOffer(config.run_id, offered))
    return writers


def main() -> None:
    """Run this process until the parent goes."""
    run_child("renderer", RendererConfig, serve)


if __name__ == "__main__":
    main()
