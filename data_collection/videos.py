"""Encodes, joins and decodes MP4 videos with the ffmpeg that imageio-ffmpeg brings along."""

import contextlib
import subprocess
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_collection.errors import EpisodeError

# RGB pictures (height, width, 3); whoever does not read to the end must close it.
Pictures = Generator[NDArray[np.uint8], None, None]


class VideoCodec(StrEnum):
    """How pictures are compressed."""

    H264 = "h264"
    AV1 = "av1"


_ENCODERS = {
    VideoCodec.H264: ("-c:v", "libx264", "-preset", "veryfast", "-bf", "0"),
    VideoCodec.AV1: ("-c:v", "libsvtav1", "-preset", "8"),
}
# LeRobot seeks at random: with a key picture at every second place it decodes two at most.
_KEY_PICTURE_PERIOD = 2
# A decoder that is not told takes 601; so do we, for every size.
_COLOURS = (
    *("-vf", "scale=out_color_matrix=bt601:out_range=tv,format=yuv420p"),
    *("-colorspace", "smpte170m", "-color_primaries", "smpte170m", "-color_trc", "smpte170m"),
    *("-color_range", "tv"),
)
# Then every picture of every whole rate lies on a tick, however many videos are joined.
_TICKS_PER_PICTURE = 512


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """How to encode. Every format here loses something, also at the best quality.

    Attributes:
        rate_hz: Pictures per second, a whole number.
        codec: The compression.
        crf: Constant rate factor: 0 is best and largest, the codec's maximum (51 or 63) worst.
    """

    rate_hz: int
    codec: VideoCodec = VideoCodec.H264
    crf: int = 18

    def __post_init__(self) -> None:
        """Refuse what no encoder takes."""
        worst = 51 if self.codec is VideoCodec.H264 else 63
        if not 0 <= self.crf <= worst:
            raise EpisodeError(f"crf of {self.codec} must be 0 to {worst}, got {self.crf}")


def encode(pictures: Iterable[NDArray[np.uint8]], mp4: Path, form: VideoFormat) -> None:
    """Write RGB pictures (height, width, 3), all of one size, as a video.

    Raises:
        EpisodeError: The pictures have odd or different sizes, or the encoder failed.
    """
    source = iter(pictures)
    first = next(source)
    height, width = first.shape[:2]
    if height % 2 or width % 2:
        raise EpisodeError(f"video needs even picture sizes, got {height} x {width}")
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}")
    command = [
        *(_ffmpeg(), "-v", "error", "-y", *raw, "-r", str(form.rate_hz), "-i", "-", "-an"),
        *_COLOURS,
        *_ENCODERS[form.codec],
        *("-crf", str(form.crf), "-g", str(_KEY_PICTURE_PERIOD)),
        *_container(form),
        str(mp4),
    ]
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=complaints)
        try:
            _feed(process, first, source)
        finally:
            # Whatever went wrong, no encoder stays behind.
            if process.stdin and not process.stdin.closed:
                process.kill()
            process.wait()
        if process.returncode:
            complaints.seek(0)
            text = complaints.read().decode(errors="replace").strip()[-400:]
            raise EpisodeError(f"ffmpeg could not encode {mp4.name}: {text}")


def join(parts: Sequence[Path], mp4: Path, form: VideoFormat) -> None:
    """Put videos of one format behind each other without encoding them again.

    Args:
        parts: Plain file names in one folder.
        mp4: The new video.
        form: As they were encoded.
    """
    listing = parts[0].with_suffix(".txt")
    listing.write_text("".join(f"file '{part.name}'\n" for part in parts))
    command = [_ffmpeg(), "-v", "error", "-y", "-f", "concat", "-i", str(listing), "-c", "copy"]
    done = subprocess.run(
        [*command, *_container(form), str(mp4)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise EpisodeError(f"ffmpeg could not join {mp4.name}: {done.stderr.strip()[-400:]}")


def decode(
    mp4: Path, *, start_s: float, count: int, rate_hz: float, height: int, width: int
) -> Pictures:
    """Yield some successive pictures of a video as RGB (height, width, 3).

    Args:
        mp4: The video, from a source that need not be trusted.
        start_s: When the first of them is shown [s].
        count: How many to read.
        rate_hz: Pictures per second.
        height: Rows that they must have.
        width: Columns that they must have.

    Raises:
        EpisodeError: The video is damaged, too short or of another size.
    """
    import imageio_ffmpeg

    # A text that says "read this other file" can be named .mp4 too: only MP4 is understood.
    guarded = ["-xerror", "-f", "mov", "-protocol_whitelist", "file"]
    seek = ["-ss", f"{max(start_s - 0.5 / rate_hz, 0.0):.6f}"]
    taken = ["-frames:v", str(count), "-fps_mode", "passthrough"]
    reader = imageio_ffmpeg.read_frames(
        str(mp4), pix_fmt="rgb24", input_params=[*guarded, *seek], output_params=taken
    )
    read = 0
    try:
        size = tuple(next(reader)["size"])
        if size != (width, height):
            raise EpisodeError(f"{mp4} shows {size[1]} x {size[0]}, promised {height} x {width}")
        for picture in reader:
            yield np.frombuffer(picture, dtype=np.uint8).reshape(height, width, 3)
            read += 1
    # RuntimeError and OSError are how imageio-ffmpeg tells that ffmpeg gave up.
    except (RuntimeError, OSError) as error:
        raise EpisodeError(f"{mp4} cannot be decoded: {str(error).strip()[-300:]}") from error
    finally:
        reader.close()
    if read != count:
        raise EpisodeError(f"{mp4} holds {read} of {count} pictures from {start_s:.2f} s on")


def _feed(
    process: subprocess.Popen[bytes],
    first: NDArray[np.uint8],
    others: Iterator[NDArray[np.uint8]],
) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(np.ascontiguousarray(first).data)
        for picture in others:
            if picture.shape != first.shape:
                raise EpisodeError(
                    f"pictures change their size from {first.shape[:2]} to {picture.shape[:2]}"
                )
            process.stdin.write(np.ascontiguousarray(picture).data)
        process.stdin.close()
    except BrokenPipeError:
        # The encoder has ended; its exit code and its words say why. Closing flushes once more.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def _container(form: VideoFormat) -> tuple[str, ...]:
    ticks_hz = form.rate_hz * _TICKS_PER_PICTURE
    return ("-video_track_timescale", str(ticks_hz), "-movflags", "+faststart")


def _ffmpeg() -> str:
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())
