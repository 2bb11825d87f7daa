"""Shows the scene in a browser, with viser. Only this file knows viser.

The page is one-sided: no button, no slider, no callback. It is served at a loopback address, and
viser's public tunnel, which any page could ask for, is taken away.
"""

from typing import Any

import numpy as np
import viser
from numpy.typing import NDArray

from mail_monitor.robot_shape import LinkMesh
from mail_monitor.scene import Label, Segments
from mail_policy.core.frames import Array, quaternion_from_rotation

LOOPBACK = "127.0.0.1"
_TABLE_COLOUR = (120, 126, 132)
_EYE_M, _LOOK_AT_M = (1.45, -1.10, 0.95), (0.35, 0.0, 0.50)


class _LocalServer(viser.ViserServer):
    """A server that stays on this machine."""

    def request_share_url(self, verbose: bool = True) -> None:
        """Refuse: a message from any browser would open a tunnel to the internet."""


class BrowserView:
    """A page with the arm, the scene, the pictures and a panel; use it as a context manager.

    Args:
        port: Port at the loopback address; 0 for a free one.
        parts: Shape of the arm.
        cameras: Names of the cameras, in the order in which they are shown.
    """

    def __init__(self, port: int, parts: tuple[LinkMesh, ...], cameras: tuple[str, ...]) -> None:
        self._server = _LocalServer(host=LOOPBACK, port=port, label="MaIL monitor", verbose=False)
        self._frames: dict[int, Any] = {}
        self._pictures: dict[str, Any] = {}
        self._lines: dict[str, Any] = {}
        self._labels: dict[str, Any] = {}
        self._order = {camera: 1.0 + place for place, camera in enumerate(cameras)}
        self._set_stage()
        for number, part in enumerate(parts):
            self._add_part(number, part)
        self._panel = self._server.gui.add_html("", order=0.0)

    def __enter__(self) -> "BrowserView":
        return self

    def __exit__(self, *error: object) -> None:
        self._server.stop()

    @property
    def address(self) -> str:
        """Where a browser on this machine finds the page."""
        return f"http://{LOOPBACK}:{self._server.get_port()}"

    @property
    def has_viewers(self) -> bool:
        """Whether a browser is looking; without one there is nothing to draw."""
        return bool(self._server.get_clients())

    def show_robot(self, frames: Array) -> None:
        """Move the arm; frames of `robot_shape.robot_frames`, shape (11, 4, 4)."""
        with self._server.atomic():
            for index, handle in self._frames.items():
                handle.position = frames[index, :3, 3]
                x, y, z, w = quaternion_from_rotation(frames[index, :3, :3])
                handle.wxyz = (w, x, y, z)

    def show_segments(self, group: Segments) -> None:
        """Draw lines in place of the former ones of that name."""
        colours = np.round(255.0 * group.colours).astype(np.uint8)
        known = self._lines.get(group.name)
        if known is not None:
            with self._server.atomic():
                known.points, known.colors = group.ends_m.astype(np.float32), colours
                known.visible = len(group.ends_m) > 0
        elif len(group.ends_m):
            self._lines[group.name] = self._server.scene.add_line_segments(
                f"/{group.name}", group.ends_m, colours, thickness=group.width_m
            )

    def show_label(self, label: Label) -> None:
        """Write words in place of the former ones of that name."""
        if label.name not in self._labels:
            self._labels[label.name] = self._server.scene.add_label(
                f"/{label.name}", label.text, position=label.place_m, anchor="bottom-center"
            )
        elif self._labels[label.name].text != label.text:
            self._labels[label.name].text = label.text

    def show_picture(self, camera: str, picture: NDArray[np.uint8]) -> None:
        """Show the newest picture of a camera, RGB, shape (height, width, 3)."""
        if camera in self._pictures:
            self._pictures[camera].image = picture
        else:
            self._pictures[camera] = self._server.gui.add_image(
                picture, label=camera, format="jpeg", jpeg_quality=80, order=self._order[camera]
            )

    def show_panel(self, html: str) -> None:
        """Show the panel, see `page.panel_html`."""
        self._panel.content = html

    def _set_stage(self) -> None:
        server = self._server
        server.gui.configure_theme(
            control_width="medium",
            dark_mode=True,
            show_logo=False,
            show_share_button=False,
        )
        server.gui.main_panel.dock_right()
        server.scene.set_up_direction("+z")
        server.scene.set_background_image(np.full((1, 1, 3), (24, 27, 31), np.uint8))
        server.scene.add_grid(
            "/table", 2.4, 2.4, position=(0.3, 0.0, 0.0), cell_size=0.1, cell_color=_TABLE_COLOUR
        )
        server.scene.add_frame("/base", axes_length=0.15, axes_radius=0.005)
        server.initial_camera.position = _EYE_M
        server.initial_camera.look_at = _LOOK_AT_M

    def _add_part(self, number: int, part: LinkMesh) -> None:
        name = f"/arm/frame_{part.frame}"
        if part.frame not in self._frames:
            self._frames[part.frame] = self._server.scene.add_frame(name, show_axes=False)
        self._server.scene.add_mesh_simple(
            f"{name}/part_{number}",
            part.mesh.vertices.astype(np.float32),
            part.mesh.faces.astype(np.uint32),
            color=part.colour,
            flat_shading=True,
        )
