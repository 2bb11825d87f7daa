"""Films of episodes: all cameras side by side, kept while an episode runs, written if wanted."""

from enum import StrEnum
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from data_collection.mp4 import write_mp4
from mail_policy.core.types import Observation

VIDEO_FOLDER = "videos"
_SUCCESS, _FAILURE = "success", "failure"
_JPEG_QUALITY = 88


class Videos(StrEnum):
    """Which episodes are filmed; `FAILURES` means also one success per policy and task."""

    FAILURES = "failures"
    ALL = "all"
    NONE = "none"


class Film:
    """The pictures of one episode.

    Args:
        rate_hz: Observations per second.
    """

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._pictures: list[NDArray[np.uint8]] = []

    def add(self, observation: Observation) -> None:
        """Keep what the cameras see, scaled to the height of the first."""
        images = list(observation.images.values())
        if images:
            height = len(images[0])
            self._pictures.append(np.hstack([_scaled(image, height) for image in images]))

    def save(self, folder: Path, stem: str, success: bool) -> str:
        """Write a video, and its last picture beside it as JPEG.

        Args:
            folder: Of the evaluation.
            stem: Name of the files, without verdict and ending.
            success: What became of the episode.

        Returns:
            The video's path below the folder, "" if there are no pictures.

        Raises:
            VideoError: imageio-ffmpeg is missing.
        """
        if not self._pictures:
            return ""
        video = video_path(stem, success)
        write_mp4(folder / video, self._pictures, self._rate_hz)
        jpeg = simplejpeg.encode_jpeg(self._pictures[-1], quality=_JPEG_QUALITY, colorspace="RGB")
        (folder / picture_beside(video)).write_bytes(jpeg)
        return video


def video_path(stem: str, success: bool) -> str:
    """Return the path of an episode's video below the folder of the evaluation."""
    return f"{VIDEO_FOLDER}/{stem}-{_SUCCESS if success else _FAILURE}.mp4"


def picture_beside(video: str) -> str:
    """Return the path of the last picture of a video."""
    return video.removesuffix(".mp4") + ".jpg"


def is_wanted(videos: Videos, success: bool, folder: Path, stem: str) -> bool:
    """Say whether an episode shall have a video.

    Workers do not know of each other: each may film a first success.

    Args:
        videos: What the user wants.
        success: What became of the episode.
        folder: Of the evaluation.
        stem: Name of the episode's files, which ends in its seed.
    """
    if videos is not Videos.FAILURES or not success:
        return videos is not Videos.NONE
    others = stem.rpartition("-")[0]
    return not any((folder / VIDEO_FOLDER).glob(f"{others}-*-{_SUCCESS}.mp4"))


def _scaled(image: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    if len(image) == height:
        return image
    width = round(image.shape[1] * height / image.shape[0])
    return np.asarray(cv2.resize(image, (width, height)), dtype=np.uint8)
