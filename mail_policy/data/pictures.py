"""Resizes pictures, the same way for training and for serving."""

import cv2
import numpy as np
from numpy.typing import NDArray


def resize_picture(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Resize an RGB picture (rows, columns, 3) by averaging areas."""
    if image.shape[:2] == (height, width):
        return image
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(resized, dtype=np.uint8)
