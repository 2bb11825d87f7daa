"""Summary, page and videos of an evaluation."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from mail_policy.core.types import Observation
from mail_policy.evaluation.job import EpisodeKey
from mail_policy.evaluation.plan import Plan, PolicyEntry, TaskEntry
from mail_policy.evaluation.report import report_page
from mail_policy.evaluation.rollout import EpisodeResult
from mail_policy.evaluation.summary import summarise
from mail_policy.evaluation.videos import Film, Videos, is_wanted, picture_beside, video_path

NASTY = """<script>alert("x")</script>&'"""


def policy(label: str) -> PolicyEntry:
    return PolicyEntry(
        label=label,
        name=f"policy {label} {NASTY}",
        sha256=label * 64,
        folder=Path("x"),
        period_s=0.05,
        exec_horizon=2,
    )


def plan(policies: str = "AB") -> Plan:
    tasks = ("open", "close")
    return Plan(
        robot="sim",
        suite=f"suite {NASTY}",
        policies=tuple(map(policy, policies)),
        tasks=tuple(TaskEntry(name=t, sentence=f"{t} {NASTY}", max_steps=9) for t in tasks),
        left_out=(f"left out {NASTY}",),
        seeds=(1, 2, 3, 4),
        latency_steps=1,
    )


def results(of: Plan) -> dict[EpisodeKey, EpisodeResult]:
    found = {}
    for trial in of.trials():
        key = trial.key
        success = key.seed != 1 and not (key.policy == "B" and key.task == "close")
        video = "" if success else video_path(f"{key.file_stem} {NASTY}", success)
        why = "" if success else f"fault: {NASTY}"
        found[key] = EpisodeResult(key.seed, success, 5, (1.0, 2.0), why, video, (NASTY,))
    return found


def summary(policies: str = "AB") -> dict:
    planned = plan(policies)
    return summarise(planned, results(planned), f"mailctl {NASTY}", {"mail-policy": NASTY})


class Tags(HTMLParser):
    """Collects start tags, and sources of films, and checks that tags are balanced."""

    VOID = ("meta", "img", "br")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.sources: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.sources += [str(value) for name, value in attrs if name in ("src", "poster")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_summary_counts_and_compares() -> None:
    found = summary()
    assert (found["episodes"], found["successes"], found["success_rate"]) == (8, 6, 0.75)
    assert (found["against"]["successes"], found["against"]["success_rate"]) == (3, 0.375)
    assert found["comparison"]["difference"] == pytest.approx(0.375)
    assert (found["comparison"]["only_a"], found["comparison"]["only_b"]) == (3, 0)
    assert len(found["faults"]) == 2
    assert found["timing"]["inference_ms"]["max"] == 2.0


def test_one_policy_has_no_comparison() -> None:
    found = summary("A")
    assert found["against"] is None
    assert found["comparison"] is None
    assert "A against B" not in report_page(found)


def test_the_page_is_sound_and_everything_in_it_is_escaped() -> None:
    page = report_page(summary())
    tags = Tags(page)
    assert tags.open == []
    assert "script" not in tags.seen
    assert NASTY not in page
    assert page.count("<figure>") == tags.seen.count("video") == 7


def test_the_page_needs_nothing_but_videos_and_their_pictures() -> None:
    page = report_page(summary("A"))
    embedded, *films = sorted(Tags(page).sources, key=lambda source: source[:5] != "data:")
    assert embedded.startswith("data:image/png;base64,")
    assert all(re.match(r"videos/.*\.(mp4|jpg)$", source) for source in films)
    assert "http" not in page


def observation(step: int) -> Observation:
    images = {
        "agentview": np.full((64, 64, 3), 3 * step, np.uint8),
        "wrist": np.full((32, 48, 3), 200, np.uint8),
    }
    return Observation(0.05 * step, images, np.zeros(7), 0.08)


def test_a_film_shows_every_step_with_the_cameras_side_by_side(tmp_path: Path) -> None:
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    film = Film(20.0)
    for step in range(11):
        film.add(observation(step))
    video = film.save(tmp_path, "A-open-1", success=False)
    frames = imageio_ffmpeg.read_frames(str(tmp_path / video))
    assert next(frames)["size"] == (64 + 96, 64)
    pictures = [np.frombuffer(frame, np.uint8).reshape(64, 160, 3) for frame in frames]
    assert len(pictures) == 11
    assert abs(int(pictures[10][30, 30, 0]) - 30) < 8
    assert abs(int(pictures[10][30, 120, 0]) - 200) < 8
    assert (tmp_path / picture_beside(video)).stat().st_size > 0


def test_without_cameras_there_is_no_video(tmp_path: Path) -> None:
    film = Film(20.0)
    film.add(Observation(0.0, {}, np.zeros(7), 0.08))
    assert film.save(tmp_path, "A-open-1", success=False) == ""
    assert list(tmp_path.iterdir()) == []


def test_failures_are_filmed_and_one_success_of_each_task(tmp_path: Path) -> None:
    def wanted(stem: str, success: bool, videos: Videos = Videos.FAILURES) -> bool:
        return is_wanted(videos, success, tmp_path, stem)

    assert wanted("A-open-1", success=False)
    assert wanted("A-open-1", success=True)
    film = tmp_path / video_path("A-open-1", success=True)
    film.parent.mkdir()
    film.touch()
    assert not wanted("A-open-2", success=True)
    assert wanted("A-open-2", success=False)
    assert wanted("B-open-2", success=True)
    assert wanted("A-open_top-2", success=True)
    assert wanted("A-open-2", success=True, videos=Videos.ALL)
    assert not wanted("A-open-2", success=False, videos=Videos.NONE)
