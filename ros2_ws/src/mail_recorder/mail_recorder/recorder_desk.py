"""Everything of a recorder that needs no ROS: recording, interventions, recovery, the clock."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from data_collection import topics
from data_collection.recovery import Recovery
from data_collection.writer import Recorded
from mail_recorder.config import RecorderConfig, StartOn
from mail_recorder.episode_recorder import EpisodeRecorder
from mail_recorder.intervention_starter import InterventionStarter
from mail_recorder.recorder_view import ClockWatch

_RECOVERY_LIMIT_S = 1.0
_log = logging.getLogger(__name__)


class RecorderDesk:
    """Where messages, requests and time come in.

    Attributes:
        recorder: Records one episode after another.

    Args:
        config: What all episodes have in common.
        date: Tells the date, for the names of episodes.
    """

    def __init__(
        self, config: RecorderConfig, date: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.recorder = EpisodeRecorder(config)
        self._date = date
        self._starter = InterventionStarter(self.recorder, date)
        self._starts_by_itself = config.start_on is StartOn.TAKEOVER
        self._clock_watch = ClockWatch()
        self._recovery = Recovery(config.episodes_dir)
        self._recovery.start()

    def put(self, message: Recorded) -> None:
        """Take a message, which may itself begin or end an episode."""
        self.recorder.put(message)
        if self._starts_by_itself and message.topic == topics.ARM_STATE:
            self._starter.see(message)

    def look(self, now_ns: int, steady_s: float | None) -> None:
        """Notice what no message tells; call it from time to time.

        Args:
            now_ns: The time, on the clock of arrival [ns].
            steady_s: The time on a clock that is never set [s]; None if the time is simulated.
        """
        self._starter.look(now_ns)
        jump_s = 0.0 if steady_s is None else self._clock_watch.jump_s(now_ns * 1e-9, steady_s)
        if jump_s:
            self.recorder.note(f"the clock of this computer was set by {jump_s:+.2f} s")

    def start(self, task: str, now_ns: int) -> tuple[str, str]:
        """Begin an episode; return its folder, and a sentence that names what is missing."""
        silent = self.recorder.silent_streams(now_ns)
        folder = self.recorder.start(task, self._date())
        warning = f"; nothing comes from {', '.join(silent)}" if silent else ""
        return str(folder), f"recording {folder.name}{warning}"

    def rerecord(self) -> str:
        """Delete the running episode and begin it anew; return a sentence."""
        return f"recording {self.recorder.rerecord(self._date()).name}"

    def close(self) -> str:
        """Save what is being recorded; return a sentence, "" if nothing was."""
        try:
            return self.recorder.close()
        finally:
            self._recovery.stop(_RECOVERY_LIMIT_S)
