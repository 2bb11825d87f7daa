"""The quality gate: what is wrong with the streams of an episode, live and afterwards.

The recorder asks it while it writes, `check` and `repair` ask it about what was written: both feed
the same messages to the same class, so they come to the same verdict.
"""

from dataclasses import dataclass

from data_collection import topics
from data_collection.stamps import header_stamp_ns
from data_collection.stream_watch import GridWatch, StreamWatch, SyncWatch


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityLimits:
    """When a stream is not good enough.

    Attributes:
        start_s: A required stream begins so soon [s]. Ten periods of the slowest one, 20 Hz.
        missing_s: A camera without any picture for so long is not there [s]. A RealSense that was
            reset by the camera node delivers again after 1 to 2 s.
        lost_s: A required stream that is silent for so long has ended [s].
        gap_s: Longest pause between two stamps [s]: what the policy refuses as too old (W7, 0.1 s),
            plus one period of the 20 Hz grid, as one missing picture is counted as a drop.
        drop_share: Share of a camera's pictures that may be missing, as long as the time grid has
            one for every instant; F59 ends a recording above.
        rate_share: A camera's usual rate must reach this share of the grid's.
        ahead_s: A stamp may be so much later than its arrival [s]; simulated time comes in steps.
        delay_s: Stamps may be so much older than their arrival [s]; more is another clock.
        messages: Messages before rate, drops and clocks are judged.
    """

    start_s: float = 0.5
    missing_s: float = 2.0
    lost_s: float = 1.0
    gap_s: float = 0.15
    drop_share: float = 0.01
    rate_share: float = 0.95
    ahead_s: float = 0.25
    delay_s: float = 1.0
    messages: int = 10


@dataclass(frozen=True, slots=True)
class StreamHealth:
    """How one stream is doing.

    Attributes:
        topic: Absolute name.
        count: Messages so far.
        rate_hz: Stamps per second, 0 if there are too few to tell.
        largest_gap_s: Longest time between two stamps [s].
        drops: Messages that are missing from the grid of the stamps.
        problems: What is wrong, in words.
    """

    topic: str
    count: int
    rate_hz: float
    largest_gap_s: float
    drops: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QualityVerdict:
    """What the gate says.

    Attributes:
        streams: One line per stream, required ones first.
        sync_spread_s: How far the pictures of different cameras are apart in time [s].
        notes: What is wrong; nothing if the episode is good.
        is_hopeless: A camera is missing or lost: nothing can be learnt from the episode.
    """

    streams: tuple[StreamHealth, ...]
    sync_spread_s: float
    notes: tuple[str, ...]
    is_hopeless: bool


class QualityMonitor:
    """Watches the streams of one episode.

    Args:
        cameras: The cameras that must deliver; the first one sets the time grid.
        rate_hz: Rate of the time grid [Hz].
        limits: When a stream is not good enough.
    """

    def __init__(
        self, cameras: tuple[str, ...], rate_hz: float, limits: QualityLimits | None = None
    ) -> None:
        self._limits = limits or QualityLimits()
        self._rate_hz = rate_hz
        self._cameras = tuple(topics.image_topic(camera) for camera in cameras)
        self._required = (*self._cameras, topics.JOINT_STATES)
        self._streams = {topic: self._new_stream() for topic in self._required}
        self._grids = {topic: GridWatch(rate_hz) for topic in self._cameras}
        self._syncs = {topic: SyncWatch() for topic in self._cameras[1:]}
        self._began_ns: int | None = None
        self._newest_ns = 0
        self._clock_backward = 0

    def add(self, topic: str, cdr: bytes, log_time_ns: int) -> None:
        """Take a message that was written."""
        self._note_time(log_time_ns)
        if topics.is_info(topic):
            return
        if topic not in self._streams:
            self._streams[topic] = self._new_stream()
        stamp_ns = header_stamp_ns(cdr)
        self._streams[topic].add(stamp_ns, log_time_ns)
        if stamp_ns is None:
            return
        if topic in self._grids:
            self._grids[topic].add(stamp_ns)
        if topic == self._cameras[0]:
            for sync in self._syncs.values():
                sync.add(stamp_ns, is_first=True)
        elif topic in self._syncs:
            self._syncs[topic].add(stamp_ns, is_first=False)

    def verdict(self, now_ns: int | None = None) -> QualityVerdict:
        """Judge the episode so far.

        Args:
            now_ns: The time, on the clock of arrival [ns]; None if the episode has ended.
        """
        if self._began_ns is None:
            # Simulated time is 0 until it is known.
            self._began_ns = now_ns or None
        end_ns = max(self._newest_ns, now_ns or 0)
        streams = tuple(
            self._health(topic, stream, end_ns, has_ended=now_ns is None)
            for topic, stream in list(self._streams.items())
        )
        notes = [problem for stream in streams for problem in stream.problems]
        notes += self._disagreements()
        if self._clock_backward:
            notes.append("the clock of the recorder was set back")
        return QualityVerdict(
            streams=streams,
            sync_spread_s=max((sync.spread_s for sync in self._syncs.values()), default=0.0),
            notes=tuple(notes),
            is_hopeless=any(self._is_hopeless(topic, end_ns) for topic in self._cameras),
        )

    def _new_stream(self) -> StreamWatch:
        return StreamWatch(round(1e9 * self._limits.ahead_s))

    def _note_time(self, now_ns: int) -> None:
        if self._began_ns is None:
            self._began_ns = now_ns
        # Messages of several threads or of a ring come in a slightly different order.
        self._clock_backward += now_ns < self._newest_ns - round(1e9 * self._limits.ahead_s)
        self._newest_ns = max(self._newest_ns, now_ns)

    def _health(
        self, topic: str, stream: StreamWatch, end_ns: int, *, has_ended: bool
    ) -> StreamHealth:
        problems = []
        if topic in self._required:
            problems += self._presence_problems(topic, stream, end_ns, has_ended=has_ended)
            problems += self._rhythm_problems(topic, stream)
            problems += self._clock_problems(topic, stream)
        return StreamHealth(
            topic,
            stream.count,
            stream.rate_hz,
            stream.largest_gap_s,
            stream.drops,
            tuple(problems),
        )

    def _presence_problems(
        self, topic: str, stream: StreamWatch, end_ns: int, *, has_ended: bool
    ) -> list[str]:
        name, limits = topics.spoken(topic), self._limits
        began_ns = end_ns if self._began_ns is None else self._began_ns
        first_ns = stream.first_log_ns if stream.count else end_ns
        waited_s = (first_ns - began_ns) * 1e-9
        if not stream.count:
            advice = "; re-record" if self._is_hopeless(topic, end_ns) else ""
            is_due = has_ended or waited_s > limits.start_s
            return [f"nothing from {name}{advice}"] if is_due else []
        problems = []
        if waited_s > limits.start_s:
            problems.append(f"{name} began {waited_s:.1f} s late")
        silent_s = (end_ns - stream.last_log_ns) * 1e-9
        if silent_s > limits.lost_s:
            problems.append(f"{name} lost for the last {silent_s:.1f} s; re-record")
        return problems

    def _is_hopeless(self, topic: str, end_ns: int) -> bool:
        stream, began_ns = self._streams[topic], self._began_ns
        if stream.count:
            return (end_ns - stream.last_log_ns) * 1e-9 > self._limits.lost_s
        return began_ns is not None and (end_ns - began_ns) * 1e-9 > self._limits.missing_s

    def _rhythm_problems(self, topic: str, stream: StreamWatch) -> list[str]:
        name, limits, problems = topics.spoken(topic), self._limits, []
        if stream.largest_gap_s > limits.gap_s:
            problems.append(f"{name} paused for {stream.largest_gap_s:.2f} s")
        if topic not in self._cameras or stream.count < limits.messages:
            return problems
        drops, grid = stream.drops, self._grids[topic]
        usual_hz = 1.0 / max(stream.period_s, 1e-6)
        # The first of these that holds explains the others.
        if usual_hz < limits.rate_share * self._rate_hz:
            problems.append(
                f"{name} delivers {usual_hz:.1f} Hz, the grid needs {self._rate_hz:.0f} Hz"
            )
        elif grid.missing:
            problems.append(
                f"{name} misses {grid.missing} of {grid.instants} instants of the "
                f"{self._rate_hz:.0f} Hz grid"
            )
        elif drops > limits.drop_share * (stream.count + drops):
            problems.append(f"{name} misses {drops} of {stream.count + drops} pictures")
        return problems

    def _clock_problems(self, topic: str, stream: StreamWatch) -> list[str]:
        name, problems = topics.spoken(topic), []
        if stream.unreadable:
            problems.append(f"{stream.unreadable} unreadable stamps on {name}")
        if stream.backward:
            problems.append(f"{stream.backward} stamps of {name} went back")
        if stream.repeated and topic in self._cameras:
            problems.append(f"{stream.repeated} pictures of {name} have the stamp of the last one")
        if stream.ahead:
            problems.append(f"{stream.ahead} stamps of {name} lie in the future")
        elif stream.count >= self._limits.messages and stream.delay_s > self._limits.delay_s:
            problems.append(f"stamps of {name} are {stream.delay_s:.1f} s old on arrival")
        return problems

    def _disagreements(self) -> list[str]:
        """Compare the cameras with the first one: their instants, and their clocks (F61)."""
        first, problems = self._streams[self._cameras[0]], []
        for topic, sync in self._syncs.items():
            other = self._streams[topic]
            if min(first.count, other.count) < self._limits.messages:
                continue
            frame_s = max(first.period_s, other.period_s)
            # Nearest pictures are never further apart than half a frame while both deliver, so
            # a wrong clock shows in the delays only.
            skew_s = max(abs(first.delay_s - other.delay_s), sync.usual_s)
            if skew_s > frame_s:
                problems.append(
                    f"{topics.spoken(topic)} is {skew_s:.3f} s apart from "
                    f"{topics.spoken(self._cameras[0])}, a frame takes {frame_s:.3f} s"
                )
        return problems
