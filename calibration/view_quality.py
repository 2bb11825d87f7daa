"""Whether a picture is good enough to be a view: the board is seen, and it is sharp."""

import cv2
import numpy as np

from calibration.board import BoardDetector, Detection, Image
from mail_policy.core.frames import Array

# A picture that was sharp loses much by being blurred once more, one that was not loses little:
# the share that is left of its edges. Crete et al. 2007, "The blur effect".
_BLURRED_ABOVE = 0.35
_BLUR_PX = 9
_MARGIN_PX = 4


def view_problem(image: Image, detector: BoardDetector) -> str:
    """Return why a picture must not become a view, "" if it may.

    Args:
        image: RGB uint8, shape (height, width, 3).
        detector: Of the board.
    """
    detection = detector.detect(image)
    if detection is None:
        return "the board is not seen; turn it to the camera, or give it light"
    blur = board_blur(image, detection)
    if blur > _BLURRED_ABOVE:
        return (
            f"the picture is not sharp: blur {blur:.2f}, limit is {_BLURRED_ABOVE}; let the arm "
            "come to rest, give it light, or focus the camera"
        )
    return ""


def board_blur(image: Image, detection: Detection) -> float:
    """Return how blurred the board is, from 0 (sharp) to 1."""
    low = np.floor(detection.corners_px.min(axis=0)).astype(int) - _MARGIN_PX
    high = np.ceil(detection.corners_px.max(axis=0)).astype(int) + _MARGIN_PX
    left, top = np.maximum(low, 0)
    grey = cv2.cvtColor(image[top : high[1], left : high[0]], cv2.COLOR_RGB2GRAY).astype(float)
    return max(_share_left(grey, axis) for axis in (0, 1))


def _share_left(grey: Array, axis: int) -> float:
    """Return the share of the edges across an axis that another blur along it leaves."""
    size = (1, _BLUR_PX) if axis == 0 else (_BLUR_PX, 1)
    edges = np.abs(np.diff(grey, axis=axis))
    left = np.abs(np.diff(cv2.blur(grey, size), axis=axis))
    lost = np.maximum(edges - left, 0.0).sum()
    return float(1.0 - lost / max(edges.sum(), 1e-9))
