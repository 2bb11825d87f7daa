"""Renders the cameras of a scene, without shadows and reflections.

A camera sees half of the scene at most, and a rasteriser without a GPU spends most of its time on
things outside the picture. So those are left out, which changes no pixel.
"""

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from mail_policy.core.frames import Array

# A group that MuJoCo does not draw by default.
_HIDDEN_GROUP = 5


class Pictures:
    """Takes pictures of one size. Use it in one thread, and close it after."""

    def __init__(self, model: Any, image_height: int, image_width: int) -> None:
        """Prepare to render.

        Args:
            model: MuJoCo model of the scene.
            image_height: Rows of a picture.
            image_width: Columns of a picture.
        """
        self._model = model
        self._groups = model.geom_group.copy()
        self._aspect = image_width / image_height
        self._renderer = mujoco.Renderer(model, image_height, image_width)
        self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
        self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False

    def close(self) -> None:
        """Give the graphics context back."""
        self._renderer.close()

    def take(self, data: Any, camera: str) -> NDArray[np.uint8]:
        """Return a picture: RGB uint8, shape (height, width, 3), top row first.

        Args:
            data: The state of the scene, with the places of geoms and cameras computed.
            camera: Name of the camera.
        """
        self._model.geom_group[:] = np.where(
            self._in_view(data, self._model.camera(camera).id), self._groups, _HIDDEN_GROUP
        )
        self._renderer.update_scene(data, camera=camera)
        self._model.geom_group[:] = self._groups
        image: NDArray[np.uint8] = self._renderer.render()
        return image

    def _in_view(self, data: Any, camera: int) -> NDArray[np.bool_]:
        """Return which geoms' bounding spheres reach into the pyramid that a camera sees."""
        model = self._model
        rotation = data.cam_xmat[camera].reshape(3, 3)
        right, up, backward = ((data.geom_xpos - data.cam_xpos[camera]) @ rotation).T
        half_height = np.tan(np.radians(model.cam_fovy[camera]) / 2.0)
        seen = -backward > -model.geom_rbound
        for aside, slope in ((right, half_height * self._aspect), (up, half_height)):
            distances: Array = (np.abs(aside) + slope * backward) / np.hypot(1.0, slope)
            seen &= distances < model.geom_rbound
        # Planes have no bounding sphere.
        in_view: NDArray[np.bool_] = (model.geom_rbound == 0.0) | seen
        return in_view
