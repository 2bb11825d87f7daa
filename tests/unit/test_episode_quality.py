"""The quality gate: what it finds in the streams of an episode, live and afterwards."""

import dataclasses
import itertools
import struct
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_collection import messages, topics
from data_collection.errors import EpisodeError
from data_collection.manifest import EpisodeQuality, load_manifest
from data_collection.quality import QualityLimits, QualityMonitor, QualityVerdict
from data_collection.reader import read_steps
from data_collection.repair import check_episode
from data_collection.stamps import header_stamp_ns
from data_collection.stream_watch import GridWatch, StreamWatch, SyncWatch, quantile
from data_collection.writer import Recorded
from mail_policy.data.step_grid import StepGrid

CAMERAS = ("agentview", "wrist")
PICTURES = {camera: topics.image_topic(camera) for camera in CAMERAS}
SECOND_NS = 1_000_000_000
START_NS = 1_783_261_353 * SECOND_NS
FRAME_NS = SECOND_NS // 30
EMPTY = messages.encode(messages.compressed_image(0, "", b""))


def at(stamp_ns: int) -> bytes:
    """Return a picture without pixels, taken at a time."""
    return EMPTY[:4] + struct.pack("<iI", *divmod(stamp_ns, SECOND_NS)) + EMPTY[12:]


class Streams:
    """Two cameras at 30 Hz and joints at 100 Hz, which the test disturbs."""

    def __init__(self, seconds: float = 5.0) -> None:
        self.length_ns = round(seconds * SECOND_NS)
        periods = {**dict.fromkeys(PICTURES.values(), FRAME_NS), topics.JOINT_STATES: 10_000_000}
        # Stamp and arrival, by topic.
        self.stamps = {
            topic: [
                (START_NS + t, START_NS + t + 5_000_000) for t in range(0, self.length_ns, period)
            ]
            for topic, period in periods.items()
        }

    def disturb(self, topic: str, change: object) -> None:
        self.stamps[topic] = change(self.stamps[topic])

    def recorded(self) -> list[Recorded]:
        found = [
            Recorded(topic, topics.COMPRESSED_IMAGE_TYPE, at(stamp_ns), log_ns)
            for topic, stamps in self.stamps.items()
            for stamp_ns, log_ns in stamps
        ]
        return sorted(found, key=lambda message: message.log_time_ns)

    def verdict(self, now_ns: int | None = None) -> QualityVerdict:
        monitor = QualityMonitor(CAMERAS, 20.0)
        for message in self.recorded():
            monitor.add(message.topic, message.cdr, message.log_time_ns)
        return monitor.verdict(now_ns)


def test_good_streams_are_good():
    verdict = Streams().verdict()
    assert verdict.notes == ()
    assert not verdict.is_hopeless
    by_topic = {stream.topic: stream for stream in verdict.streams}
    assert by_topic[PICTURES["wrist"]].rate_hz == pytest.approx(30.0, rel=0.01)
    assert by_topic[topics.JOINT_STATES].rate_hz == pytest.approx(100.0, rel=0.01)
    assert [stream.drops for stream in verdict.streams] == [0, 0, 0]
    assert verdict.sync_spread_s == 0.0


def shift(offset_s: float, since: int = 0, until: int | None = None, arrival: bool = False):
    """Return a change that moves stamps, maybe with their arrival."""
    offset_ns = round(offset_s * SECOND_NS)

    def change(stamps):
        return [
            (s + offset_ns, r + offset_ns * arrival)
            if since <= i < (until or len(stamps))
            else (s, r)
            for i, (s, r) in enumerate(stamps)
        ]

    return change


def without(stamps, *numbers):
    return [stamp for number, stamp in enumerate(stamps) if number not in numbers]


WRIST = PICTURES["wrist"]


@pytest.mark.fault("F1", "F61", bound="any disturbance of a required stream is named")
@pytest.mark.parametrize(
    ("topic", "change", "note"),
    [
        (WRIST, lambda s: [], "nothing from camera wrist; re-record"),
        (topics.JOINT_STATES, lambda s: [], "nothing from /joint_states"),
        (WRIST, lambda s: s[40:], "camera wrist began 1.3 s late"),
        (WRIST, lambda s: s[:60], "camera wrist lost for the last 3.0 s; re-record"),
        (WRIST, lambda s: s[:60] + s[80:], "camera wrist paused for 0.70 s"),
        (WRIST, lambda s: without(s, *range(0, 150, 20)), "misses 2 of 100 instants of the 20 Hz"),
        (WRIST, lambda s: without(s, 20, 80, 140), "camera wrist misses 3 of 151 pictures"),
        (PICTURES["agentview"], lambda s: s[::3], "delivers 10.0 Hz, the grid needs 20 Hz"),
        (WRIST, shift(-0.5, since=75), "1 stamps of camera wrist went back"),
        (WRIST, lambda s: s[:50] + s[49:], "1 pictures of camera wrist have the stamp of the last"),
        (WRIST, shift(2.0, since=140), "11 stamps of camera wrist lie in the future"),
        (WRIST, shift(-3.0), "stamps of camera wrist are 3.0 s old on arrival"),
        (WRIST, shift(-0.1), "camera wrist is 0.100 s apart from camera agentview"),
    ],
)
def test_what_is_wrong_is_named(topic, change, note):
    streams = Streams()
    streams.disturb(topic, change)
    notes = streams.verdict().notes
    assert any(note in found for found in notes), notes


def test_half_a_frame_between_cameras_that_run_freely_is_no_fault():
    streams = Streams()
    streams.disturb(WRIST, shift(1 / 60, arrival=True))
    verdict = streams.verdict()
    assert verdict.notes == ()
    assert verdict.sync_spread_s == pytest.approx(1 / 60, abs=0.001)


def test_one_lost_picture_in_a_hundred_is_no_fault():
    streams = Streams()
    streams.disturb(WRIST, lambda s: s[:70] + s[71:])
    verdict = streams.verdict()
    assert verdict.notes == ()
    assert next(s for s in verdict.streams if s.topic == WRIST).drops == 1


def test_one_missing_instant_of_the_grid_is_named_as_the_reader_refuses_it(episodes):
    with episodes.writer() as writer:
        for step in (0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12):
            writer.write_step(episodes.observation(step), episodes.action(step))
    assert load_manifest(writer.folder).quality_notes == tuple(
        f"camera {camera} misses 1 of 13 instants of the 20 Hz grid" for camera in CAMERAS
    )
    with pytest.raises(EpisodeError, match="1 of 13 instants are missing"):
        read_steps(writer.folder, episodes.cameras, 32, 48)


@given(st.lists(st.integers(0, 400), min_size=1, max_size=80, unique=True))
def test_missing_instants_are_those_that_a_reader_of_steps_will_miss(frames):
    watch, grid = GridWatch(20.0), StepGrid(1.0 / 20.0)
    stamps_ns = [START_NS + frame * SECOND_NS // 60 for frame in sorted(frames)]
    for stamp_ns in stamps_ns:
        watch.add(stamp_ns)
    steps = {step for s in stamps_ns if (step := grid.take(s * 1e-9)) is not None}
    assert watch.instants == max(steps) + 1
    assert watch.missing == watch.instants - len(steps)


def test_a_camera_that_is_missing_is_told_live_and_given_up_after_two_seconds():
    monitor = QualityMonitor(CAMERAS, 20.0)
    streams = Streams()
    streams.disturb(WRIST, lambda s: [])
    waiting = {0.3: (), 1.0: ("nothing from camera wrist",)}
    for message in streams.recorded():
        monitor.add(message.topic, message.cdr, message.log_time_ns)
        passed_s = (message.log_time_ns - START_NS) / SECOND_NS
        for after_s in [s for s in waiting if s <= passed_s]:
            verdict = monitor.verdict(message.log_time_ns)
            assert verdict.notes == waiting.pop(after_s)
            assert not verdict.is_hopeless
    verdict = monitor.verdict(START_NS + 5 * SECOND_NS)
    assert verdict.notes == ("nothing from camera wrist; re-record",)
    assert verdict.is_hopeless


def test_silence_of_everything_is_noticed_without_any_message():
    monitor = QualityMonitor(CAMERAS, 20.0)
    assert monitor.verdict(START_NS).notes == ()
    assert len(monitor.verdict(START_NS + SECOND_NS).notes) == 3
    assert monitor.verdict(START_NS + 3 * SECOND_NS).is_hopeless


def test_looking_ahead_in_time_is_not_taken_for_a_clock_that_went_back():
    monitor = QualityMonitor(CAMERAS, 20.0)
    for message in Streams().recorded():
        # Messages wait in a queue, so the clock is ahead of the newest one.
        monitor.verdict(message.log_time_ns + SECOND_NS // 2)
        monitor.add(message.topic, message.cdr, message.log_time_ns)
    assert monitor.verdict().notes == ()


def test_a_clock_of_the_recorder_that_is_set_back_is_noticed():
    streams = Streams()
    for topic in streams.stamps:
        streams.disturb(
            topic, lambda s: [(a, b - 3600 * SECOND_NS * (i > 50)) for i, (a, b) in enumerate(s)]
        )
    monitor = QualityMonitor(CAMERAS, 20.0)
    for message in sorted(streams.recorded(), key=lambda m: header_stamp_ns(m.cdr)):
        monitor.add(message.topic, message.cdr, message.log_time_ns)
    assert "the clock of the recorder was set back" in monitor.verdict().notes


@pytest.mark.parametrize("broken", ["none", "late", "lost", "drops"])
def test_the_verdict_while_writing_is_the_verdict_of_check(episodes, broken):
    streams = Streams()
    changes = {"late": lambda s: s[40:], "lost": lambda s: s[:60], "drops": lambda s: s[::2]}
    streams.disturb(WRIST, changes.get(broken, lambda s: s))
    with episodes.writer() as writer:
        writer.write_messages(streams.recorded())
    manifest = load_manifest(writer.folder)
    assert manifest.quality_notes == streams.verdict().notes
    assert check_episode(writer.folder).remarks == manifest.quality_notes
    good = EpisodeQuality.GOOD if broken == "none" else EpisodeQuality.FLAGGED
    assert manifest.quality is good


def test_limits_are_a_matter_of_configuration():
    streams = Streams()
    streams.disturb(WRIST, lambda s: without(s, 20, 80, 140))
    lax = dataclasses.replace(QualityLimits(), drop_share=0.05)
    monitor = QualityMonitor(CAMERAS, 20.0, lax)
    for message in streams.recorded():
        monitor.add(message.topic, message.cdr, message.log_time_ns)
    assert monitor.verdict().notes == ()


# Stamps.


@given(st.integers(0, 2**31 * SECOND_NS - 1), st.text(max_size=20))
def test_the_stamp_of_a_message_is_that_of_its_decoder(stamp_ns, frame_id):
    cdr = messages.encode(messages.compressed_image(stamp_ns, frame_id.replace("\0", ""), b"x"))
    assert header_stamp_ns(cdr) == stamp_ns
    big = cdr[:1] + b"\0" + cdr[2:4] + struct.pack(">iI", *divmod(stamp_ns, SECOND_NS))
    assert header_stamp_ns(big) == stamp_ns


@given(st.binary(max_size=40))
def test_any_bytes_have_a_plausible_stamp_or_none(cdr):
    stamp_ns = header_stamp_ns(cdr)
    assert stamp_ns is None or 0 <= stamp_ns < 2**31 * SECOND_NS


@pytest.mark.parametrize(
    "cdr",
    [
        b"",
        b"\0\1\0\0" + b"\1" * 7,
        b"\0\1\0\0" + struct.pack("<iI", -1, 0),
        b"\0\1\0\0" + struct.pack("<iI", 1, SECOND_NS),
        b"\0\2\0\0" + struct.pack("<iI", 1, 1),
        b"\7\1\0\0" + struct.pack("<iI", 1, 1),
    ],
    ids=["empty", "short", "negative", "nanoseconds", "parameter list", "encapsulation"],
)
def test_what_is_no_stamp_is_none(cdr):
    assert header_stamp_ns(cdr) is None


def test_unreadable_stamps_are_counted():
    monitor = QualityMonitor(CAMERAS, 20.0)
    monitor.add(topics.JOINT_STATES, b"\0\1\0\0", START_NS)
    assert "1 unreadable stamps on /joint_states" in monitor.verdict().notes


def test_time_that_comes_in_steps_is_no_fault_of_the_joints():
    streams = Streams()
    streams.disturb(topics.JOINT_STATES, lambda s: [s[i - i % 2] for i in range(len(s))])
    assert streams.verdict().notes == ()


def test_streams_that_nothing_is_learnt_from_are_not_judged():
    streams = Streams()
    streams.stamps["/teleop/command"] = [(START_NS, START_NS), (0, START_NS + SECOND_NS)] * 20
    streams.stamps["/teleop/command"].sort(key=lambda pair: pair[1])
    assert streams.verdict().notes == ()


# Counting in bounded memory.


@given(st.lists(st.integers(-20, 60), max_size=200), st.floats(0.0, 1.0))
def test_a_quantile_is_that_of_the_sorted_numbers(numbers, share):
    expected = np.quantile(numbers, share, method="inverted_cdf") if numbers else 0
    assert quantile(Counter(numbers), share) == expected


@given(
    st.lists(st.sampled_from([True] * 5 + [False]), min_size=20, max_size=300),
    st.sampled_from([20, 30, 60, 100]),
)
def test_drops_are_the_holes_between_the_first_and_the_last_message(kept, rate_hz):
    watch = StreamWatch(SECOND_NS)
    present = [i for i, is_kept in enumerate(kept) if is_kept]
    for i in present:
        watch.add(i * SECOND_NS // rate_hz, i * SECOND_NS // rate_hz)
    neighbours = sum(b - a == 1 for a, b in itertools.pairwise(present))
    if neighbours > 0.5 * (len(present) - 1):
        assert watch.drops == present[-1] - present[0] + 1 - len(present)


@given(st.lists(st.tuples(st.integers(0, 2**62), st.integers(0, 2**62)), max_size=300))
def test_wild_stamps_cannot_fill_the_memory(pairs):
    watch = StreamWatch(SECOND_NS)
    for stamp_ns, log_ns in pairs:
        watch.add(stamp_ns, log_ns)
    assert watch.count == len(pairs)
    assert all(abs(interval) <= 100_000 for interval in watch._intervals)
    assert all(abs(delay) <= 10_000 for delay in watch._delays)


@given(st.lists(st.integers(1, 50), min_size=5, max_size=60), st.integers(0, 16))
def test_sync_finds_the_nearest_picture(steps_ms, offset_ms):
    own = np.cumsum(steps_ms) * 1_000_000
    sync, apart = SyncWatch(), []
    events = sorted(
        [(int(t), True) for t in own] + [(int(t) + offset_ms * 1_000_000, False) for t in own]
    )
    for stamp_ns, is_first in events:
        sync.add(stamp_ns, is_first=is_first)
    others = own + offset_ms * 1_000_000
    apart = [int(np.abs(others - t).min()) / 1e9 for t in own]
    assert sync.spread_s == pytest.approx(np.quantile(apart, 0.95, method="inverted_cdf"), abs=1e-9)
