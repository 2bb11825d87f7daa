"""Shows an episode: a film strip (PNG) and a video (MP4) of all cameras."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from data_collection import messages, topics
from data_collection.errors import EpisodeError
from data_collection.manifest import EpisodeManifest, load_manifest
from data_collection.mp4 import write_mp4
from data_collection.reader import iterate_messages
from data_collection.untrusted_pictures import decode_jpeg

COLUMNS = 8
_CELL_INCHES = 1.55
_INK = "#1d2733"
_MUTED = "#6b7a89"
_VERDICT_COLOURS = {True: "#1a7f4b", False: "#b3372f", None: _MUTED}


@dataclass(frozen=True, slots=True, eq=False)
class Film:
    """The pictures of one camera, still compressed.

    Attributes:
        camera: Name.
        times_s: Capture stamps [s], increasing.
        jpegs: One picture per stamp.
    """

    camera: str
    times_s: NDArray[np.float64]
    jpegs: list[NDArray[np.uint8]]

    def at(self, time_s: float) -> NDArray[np.uint8]:
        """Return the picture that was the newest at an instant, the first one before that."""
        # Stamps that mean the same instant differ by rounding.
        index = int(np.searchsorted(self.times_s, time_s + 1e-6, side="right")) - 1
        return decode_jpeg(self.jpegs[max(index, 0)])


def load_films(folder: Path, manifest: EpisodeManifest) -> list[Film]:
    """Read the pictures of all cameras. Raises EpisodeError if a camera has none."""
    stamps: dict[str, list[float]] = {camera: [] for camera in manifest.cameras}
    jpegs: dict[str, list[NDArray[np.uint8]]] = {camera: [] for camera in manifest.cameras}
    wanted = tuple(topics.image_topic(camera) for camera in manifest.cameras)
    for item in iterate_messages(folder, wanted):
        camera = topics.camera_of(item.topic)
        stamps[camera].append(messages.stamp_to_seconds(item.message.header.stamp))
        jpegs[camera].append(item.message.data)
    empty = [camera for camera, times_s in stamps.items() if not times_s]
    if empty:
        raise EpisodeError(f"{folder} holds no pictures of {', '.join(empty)}; nothing to show")
    films = []
    for camera, times_s in stamps.items():
        order = np.argsort(times_s, kind="stable")
        films.append(
            Film(camera, np.array(times_s)[order], [jpegs[camera][index] for index in order])
        )
    return films


def write_film_strip(folder: Path, png: Path, caption: str = "") -> None:
    """Draw eight instants of an episode, evenly spaced, one row per camera.

    Args:
        folder: The episode.
        png: The picture to write.
        caption: A line below the strip, for example the opening of the drawer.
    """
    manifest = load_manifest(folder)
    films = load_films(folder, manifest)
    start_s, end_s = _span(films)
    instants_s = np.linspace(start_s, end_s, COLUMNS)
    rows = len(films)
    width, height = COLUMNS * _CELL_INCHES + 0.6, rows * _CELL_INCHES + 1.15
    figure = Figure(figsize=(width, height), dpi=130, facecolor="white")
    grid = figure.add_gridspec(
        rows,
        COLUMNS,
        left=0.5 / width,
        right=1.0 - 0.1 / width,
        bottom=0.5 / height,
        top=1.0 - 0.62 / height,
        wspace=0.04,
        hspace=0.04,
    )
    for row, film in enumerate(films):
        for column, instant_s in enumerate(instants_s):
            axes = figure.add_subplot(grid[row, column])
            _draw_cell(axes, film.at(float(instant_s)))
            if column == 0:
                axes.set_ylabel(film.camera, color=_MUTED, fontsize=9)
            if row == rows - 1:
                axes.set_xlabel(f"{instant_s - start_s:.1f} s", color=_INK, fontsize=9)
    _draw_title(figure, manifest, caption, height)
    png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(png)


def write_video(folder: Path, mp4: Path) -> None:
    """Write an episode as H.264 video, the cameras side by side, paced by capture time.

    A picture that is missing in the recording shows as a picture that stays.
    """
    manifest = load_manifest(folder)
    films = load_films(folder, manifest)
    start_s, end_s = _span(films)
    frames = round((end_s - start_s) * manifest.rate_hz) + 1
    pictures = (_side_by_side(films, start_s + k / manifest.rate_hz) for k in range(frames))
    write_mp4(mp4, pictures, manifest.rate_hz)


def _span(films: list[Film]) -> tuple[float, float]:
    """Return the first and the last instant of all cameras together [s]."""
    return min(film.times_s[0] for film in films), max(film.times_s[-1] for film in films)


def _side_by_side(films: list[Film], time_s: float) -> NDArray[np.uint8]:
    """Return the pictures of all cameras at an instant, scaled to the height of the first."""
    pictures = [film.at(time_s) for film in films]
    height = pictures[0].shape[0]
    scaled = [
        picture
        if picture.shape[0] == height
        else cv2.resize(picture, (round(picture.shape[1] * height / picture.shape[0]), height))
        for picture in pictures
    ]
    return np.asarray(np.hstack(scaled), dtype=np.uint8)


def _draw_cell(axes: Any, image: NDArray[np.uint8]) -> None:
    axes.imshow(image, interpolation="antialiased")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_title(figure: Figure, manifest: EpisodeManifest, caption: str, height: float) -> None:
    """Write the task, the verdict and the caption around the strip."""
    top = 1.0 - 0.34 / height
    verdict = {True: "success", False: "failure", None: "not judged"}[manifest.success]
    if manifest.failure_reason:
        verdict = f"{verdict}: {manifest.failure_reason}"
    figure.text(0.042, top, manifest.task, fontsize=14, fontweight="bold", color=_INK)
    figure.text(
        0.992, top, verdict, fontsize=11, ha="right", color=_VERDICT_COLOURS[manifest.success]
    )
    facts = f"{manifest.source} on {manifest.robot_type}, {manifest.duration_s:.1f} s"
    text = f"{facts}; {caption}" if caption else facts
    figure.text(0.042, 0.1 / height, text, fontsize=9, color=_MUTED)
