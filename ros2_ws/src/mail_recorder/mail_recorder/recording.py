"""One running recording: a thread that encodes pictures and writes an episode."""

import logging
import threading

from data_collection import messages, topics
from data_collection.errors import EpisodeError
from data_collection.manifest import EpisodeManifest
from data_collection.writer import EpisodeWriter, Recorded, compressed_picture
from mail_recorder.message_queue import MessageQueue

IMAGE_TYPE = "sensor_msgs/msg/Image"
# More lost messages than this, and the episode is not worth to be continued.
MAX_DROPPED_SHARE = 0.01
_MESSAGES_BEFORE_JUDGING = 1000
_TAKE_TIMEOUT_S = 0.1

_log = logging.getLogger(__name__)


class Recording:
    """Writes what comes through a queue until it is told to end, or cannot go on.

    Args:
        writer: An open episode; the recording ends it.
        queue_limit: Messages of one topic that may wait to be written.
    """

    def __init__(self, writer: EpisodeWriter, queue_limit: int) -> None:
        self.folder = writer.folder
        self.queue = MessageQueue(queue_limit)
        self.manifest: EpisodeManifest | None = None
        self.fault = ""
        self._writer = writer
        self._notes: list[str] = []
        self._success: bool | None = None
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """True until the episode has ended, for whatever reason."""
        return self._thread.is_alive()

    def end(self, timeout_s: float, *, success: bool | None = None, note: str = "") -> bool:
        """Write what is waiting and end the episode; False if that takes too long."""
        self._success = success
        if note:
            self._notes.append(note)
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
        self._finish()

    def _write_until_closed(self) -> None:
        while not self.queue.is_drained:
            self._write(self.queue.take(_TAKE_TIMEOUT_S))
            share, offered = self.queue.dropped_share, self.queue.offered.total()
            if offered >= _MESSAGES_BEFORE_JUDGING and share > MAX_DROPPED_SHARE:
                raise EpisodeError(
                    f"{share:.1%} of the messages were lost, the limit is {MAX_DROPPED_SHARE:.0%}; "
                    "the disk or the processor is too slow"
                )

    def _write(self, taken: list[Recorded]) -> None:
        ready = []
        for message in taken:
            try:
                ready.append(_as_stored(message))
            except ValueError as error:
                _log.warning("dropped a message on %s: %s", message.topic, error)
                self.queue.count_as_dropped(message.topic)
        if ready:
            self._writer.write_messages(ready)

    def _fail(self, why: str) -> None:
        self.fault = why
        self._notes.append(why)
        self.queue.close()
        _log.error("recording of %s ended: %s", self.folder, why)

    def _finish(self) -> None:
        try:
            if self._writer.is_open:
                self._writer.finish(
                    self._success,
                    notes=tuple(self._notes),
                    dropped_messages=dict(self.queue.dropped),
                )
            self.manifest = self._writer.manifest
        except (EpisodeError, OSError) as error:
            self.fault = self.fault or str(error)
            _log.error("could not end %s properly: %s", self.folder, error)


def _as_stored(message: Recorded) -> Recorded:
    """Turn a raw picture into a JPEG one; everything else is stored as it came.

    Raises ValueError if the type is unknown or the picture's fields do not fit together.
    """
    schema = messages.schema_of(message.type_name)
    if message.type_name != IMAGE_TYPE:
        return message
    image = messages.decode(schema, message.cdr)
    if image.encoding != "rgb8" or image.step != 3 * image.width or image.height == 0:
        raise ValueError(
            f"a picture must be rgb8 with a step of 3 x width, got {image.encoding!r}, "
            f"{image.width}x{image.height}, step {image.step}"
        )
    if len(image.data) != image.height * image.step:
        raise ValueError(
            f"a picture of {image.width}x{image.height} must hold {image.height * image.step} "
            f"bytes, got {len(image.data)}"
        )
    topic = f"{message.topic}/compressed"
    stamp_ns = messages.stamp_to_ns(image.header.stamp)
    pixels = image.data.reshape(image.height, image.width, 3)
    cdr = compressed_picture(pixels, topics.camera_of(topic), stamp_ns)
    return Recorded(topic, topics.COMPRESSED_IMAGE_TYPE, cdr, message.log_time_ns)
