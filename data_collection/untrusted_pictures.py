"""Decodes pictures that need not be trusted: a few kilobytes can describe gigabytes."""

import struct

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

LARGEST_SIDE_PX = 8192
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def decode_jpeg(jpeg: NDArray[np.uint8] | bytes) -> NDArray[np.uint8]:
    """Return a JPEG as RGB, shape (height, width, 3). Raises ValueError if it is none."""
    height, width = simplejpeg.decode_jpeg_header(jpeg)[:2]
    if not (0 < height <= LARGEST_SIDE_PX and 0 < width <= LARGEST_SIDE_PX):
        raise ValueError(f"sides must be 1 to {LARGEST_SIDE_PX} pixels, got {width}x{height}")
    image: NDArray[np.uint8] = simplejpeg.decode_jpeg(jpeg, colorspace="RGB")
    return image


def decode_promised(data: bytes, height: int, width: int) -> NDArray[np.uint8]:
    """Return a PNG or JPEG as RGB, shape (height, width, 3).

    Args:
        data: The file.
        height: Rows that were promised.
        width: Columns that were promised.

    Raises:
        ValueError: It is neither, or of another size.
    """
    if _stored_size(data) != (height, width):
        raise ValueError(f"it is no picture of {height} x {width}")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ValueError(f"it cannot be decoded: {error}") from error
    if image is None or image.shape != (height, width, 3):
        raise ValueError(f"it is no picture of {height} x {width}")
    return np.asarray(image[..., ::-1], dtype=np.uint8)


def _stored_size(data: bytes) -> tuple[int, int]:
    """Return height and width as the header tells them, without decoding anything."""
    if data.startswith(_PNG_MAGIC) and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return height, width
    height, width = simplejpeg.decode_jpeg_header(data)[:2]
    return int(height), int(width)
