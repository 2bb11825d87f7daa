"""Writes pictures as H.264 video."""

import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_collection.errors import VideoError


def write_mp4(path: Path, pictures: Iterable[NDArray[np.uint8]], rate_hz: float) -> None:
    """Write a video; pictures are taken one by one.

    Args:
        path: Of the file; its folder is made.
        pictures: At least one; RGB of one size, shape (height, width, 3).
        rate_hz: Pictures per second.

    Raises:
        VideoError: imageio-ffmpeg is missing.
    """
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise VideoError(
            f"cannot write {path}: imageio-ffmpeg is missing; pip install imageio-ffmpeg"
        ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    remaining = iter(pictures)
    first = next(remaining)
    # The pixel format has one colour per two by two pixels.
    height, width = (size // 2 * 2 for size in first.shape[:2])
    video = imageio_ffmpeg.write_frames(
        str(path),
        (width, height),
        fps=rate_hz,
        codec="libx264",
        pix_fmt_out="yuv420p",
        macro_block_size=2,
        output_params=["-crf", "20", "-preset", "veryfast", "-movflags", "+faststart"],
        ffmpeg_log_level="error",
    )
    video.send(None)
    try:
        for picture in itertools.chain([first], remaining):
            video.send(np.ascontiguousarray(picture[:height, :width]))
    finally:
        video.close()
