"""One running recording: a thread that encodes pictures and writes an episode."""

import dataclasses
import logging
import threading
from collections.abc import Sequence

from data_collection import topics
from data_collection.errors import EpisodeError
from data_collection.manifest import (
    EpisodeManifest,
    EpisodeQuality,
    load_manifest,
    save_manifest,
)
from data_collection.repair import repair_episode
from data_collection.stamps import STAMP_END
from data_collection.writer import EpisodeWriter, Recorded
from mail_recorder.message_queue import LINGER_S, MessageQueue
from mail_recorder.stored import as_stored

# More lost messages than this, and the episode is not worth to be continued (F59).
MAX_DROPPED_SHARE = 0.01
_MESSAGES_BEFORE_JUDGING = 1000

_log = logging.getLogger(__name__)


class Recording:
    """Writes what comes through a queue until it is told to end, or cannot go on.

    Attributes:
        folder: Of the episode.
        queue: Takes messages.
        fault: Why the recording has ended by itself, "" while all is well.

    Args:
        writer: An open episode; the recording ends it.
        queue_limit: Messages of one topic that may wait to be written.
        pre_roll: Messages from before the start.
    """

    def __init__(
        self, writer: EpisodeWriter, queue_limit: int, pre_roll: Sequence[Recorded] = ()
    ) -> None:
        self.folder = writer.folder
        self.queue = MessageQueue(queue_limit, ahead=pre_roll)
        self.fault = ""
        self._writer = writer
        self._notes: list[str] = []
        self._success: bool | None = None
        self._failure_reason = ""
        self._manifest = writer.manifest
        self._optics: dict[str, bytes] = {}
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """True until the episode has ended, for whatever reason."""
        return self._thread.is_alive()

    @property
    def writer(self) -> EpisodeWriter:
        """What has been written so far; to look at."""
        return self._writer

    @property
    def manifest(self) -> EpisodeManifest:
        """The newest manifest; its quality is `recording` until the episode is whole."""
        return self._manifest

    def note(self, text: str) -> None:
        """Flag the episode with something that a user of the data should know."""
        self._notes.append(text)

    def end(
        self,
        timeout_s: float,
        *,
        success: bool | None = None,
        failure_reason: str = "",
        note: str = "",
    ) -> bool:
        """Write what is waiting and end the episode; False if that takes too long."""
        self._success, self._failure_reason = success, failure_reason
        if note:
            self.note(note)
        self.queue.close()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._write_until_closed()
        except EpisodeError as error:
            self._fail(str(error))
        except Exception as error:  # the top of the thread: the recorder must not die silently
            _log.exception("the recorder failed")
            self._fail(f"the recorder failed: {error!r}")
        try:
            self._finish()
        except (EpisodeError, OSError) as error:
            self.fault = self.fault or str(error)
            _log.error("could not end %s properly: %s", self.folder, error)

    def _write_until_closed(self) -> None:
        while not self.queue.is_drained:
            self._write(self.queue.take(LINGER_S))
            share, offered = self.queue.dropped_share, self.queue.offered.total()
            if offered >= _MESSAGES_BEFORE_JUDGING and share > MAX_DROPPED_SHARE:
                raise EpisodeError(
                    f"{share:.1%} of the messages were lost, the limit is {MAX_DROPPED_SHARE:.0%}; "
                    "the disk or the processor is too slow"
                )

    def _write(self, taken: list[Recorded]) -> None:
        ready = []
        for message in taken:
            if self._is_known(message):
                continue
            try:
                ready.append(as_stored(message))
            except ValueError as error:
                # The others of the kind are counted: a log must not fill the disk.
                if not self.queue.dropped[message.topic]:
                    _log.warning("dropped a message on %s: %s", message.topic, error)
                self.queue.count_as_dropped(message.topic)
        if ready:
            self._writer.write_messages(ready)

    def _is_known(self, message: Recorded) -> bool:
        """Whether a message tells optics again that have not changed since it was last stored."""
        if not topics.is_info(message.topic):
            return False
        optics = message.cdr[STAMP_END:]
        is_known = self._optics.get(message.topic) == optics
        self._optics[message.topic] = optics
        return is_known

    def _fail(self, why: str) -> None:
        self.fault = why
        self.note(why)
        self.queue.close()
        _log.error("recording of %s ended: %s", self.folder, why)

    def _finish(self) -> None:
        dropped = dict(self.queue.dropped)
        try:
            if self._writer.is_open:
                self._writer.finish(
                    self._success,
                    self._failure_reason,
                    notes=tuple(self._notes),
                    dropped_messages=dropped,
                )
        except EpisodeError as error:
            self._fail(str(error))
        self._manifest = self._writer.manifest
        if self._manifest.quality is EpisodeQuality.RECORDING:
            self._mend(dropped)

    def _mend(self, dropped: dict[str, int]) -> None:
        """Complete an episode whose log could not be written any more."""
        _, sentence = repair_episode(self.folder)
        _log.warning("%s", sentence)
        mended = load_manifest(self.folder)
        self._manifest = dataclasses.replace(
            mended,
            success=self._success,
            failure_reason=self._failure_reason,
            quality_notes=(*self._notes, *mended.quality_notes),
            dropped_messages=dropped,
        )
        save_manifest(self.folder, self._manifest)
