"""The motion that a sequence of pictures shows, as one number per picture.

Corners are followed through all pictures. What moves together, the scene before a camera on the
hand or the hand before a camera on a stand, dominates the first principal component of all their
ways; what stands still adds nothing to it. So neither a board nor a calibrated camera is needed.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.results import CalibrationError
from mail_policy.core.frames import Array

_MOST_CORNERS = 200
_MIN_CORNERS = 8
_CORNER_QUALITY = 0.02
_CORNER_DISTANCE_PX = 7
_WINDOW_PX = (21, 21)
_PYRAMID_LEVELS = 3
# Followed there and back, a corner that was not mistaken for another returns to its place.
_MOST_RETURN_PX = 0.5
# Motion below this drowns in the noise of pixels.
_MIN_MOTION_PX = 0.5


def picture_motion(pictures: Sequence[NDArray[np.uint8]]) -> Array:
    """Return how far the motion has gone in each picture [px], up to a sign, shape (n,).

    Args:
        pictures: RGB of shape (height, width, 3), in order of time, all of one size.

    Raises:
        CalibrationError: There is nothing to follow, or nothing moves.
    """
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures]
    ways = _corner_ways(grey)
    centred = ways - ways.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    # Per corner: the component is a sum over all of them.
    motion: Array = centred @ directions[0] / np.sqrt(ways.shape[1] / 2)
    if float(np.ptp(motion)) < _MIN_MOTION_PX:
        raise CalibrationError(
            f"the pictures move by {np.ptp(motion):.2f} px, at least {_MIN_MOTION_PX} are needed; "
            "let the arm move further, or bring it nearer to what the camera sees"
        )
    return motion


def _corner_ways(grey: Sequence[NDArray[np.uint8]]) -> Array:
    """Follow corners of the first picture; return their places, shape (n, 2 * corners) [px]."""
    start = cv2.goodFeaturesToTrack(grey[0], _MOST_CORNERS, _CORNER_QUALITY, _CORNER_DISTANCE_PX)
    if start is None:
        raise CalibrationError("the picture has no corners to follow; give it light and texture")
    kept, places = np.ones(len(start), np.bool_), [start]
    for picture in grey[1:]:
        # From the first picture each time: errors do not add up.
        there, found, _ = _follow(grey[0], picture, start, places[-1])
        back, _, _ = _follow(picture, grey[0], there, start)
        returned = np.linalg.norm((back - start)[:, 0], axis=1) < _MOST_RETURN_PX
        kept &= (found[:, 0] == 1) & returned
        places.append(there)
    if kept.sum() < _MIN_CORNERS:
        raise CalibrationError(
            f"{kept.sum()} corners were seen in all pictures, {_MIN_CORNERS} are needed; move "
            "less far, or put something with texture before the camera"
        )
    return np.array(places, np.float64)[:, kept, 0].reshape(len(places), -1)


def _follow(
    before: NDArray[np.uint8], after: NDArray[np.uint8], places: Array, guess: Array
) -> tuple[Array, NDArray[np.uint8], Array]:
    return cv2.calcOpticalFlowPyrLK(
        before,
        after,
        places,
        guess.copy(),
        winSize=_WINDOW_PX,
        maxLevel=_PYRAMID_LEVELS,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
