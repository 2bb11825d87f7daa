"""Records by itself while a person has taken the arm from the policy."""

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from data_collection import messages, topics
from data_collection.errors import EpisodeError
from data_collection.interventions import TakeoverWatch, Turn
from data_collection.writer import Recorded
from mail_recorder.episode_recorder import EpisodeRecorder

_log = logging.getLogger(__name__)


class InterventionStarter:
    """Starts an episode when a person takes over, ends it when the policy has the arm again.

    An episode that the operator started is left alone.

    Args:
        recorder: Records.
        now: Tells the date, for the names of episodes.
    """

    def __init__(self, recorder: EpisodeRecorder, now: Callable[[], datetime]) -> None:
        self._recorder = recorder
        self._now = now
        self._watch = TakeoverWatch()
        self._folder: Path | None = None

    def see(self, message: Recorded) -> None:
        """Look at a state of the arm that the recorder has just been given."""
        try:
            arm = messages.decode(messages.schema_of(topics.ARM_STATE_TYPE), message.cdr)
        except EpisodeError as error:
            _log.warning("cannot tell who moves the arm: %s", error)
            return
        self._act(self._watch.update(arm.lease_holder, arm.state, arm.task, message.log_time_ns))

    def look(self, now_ns: int) -> None:
        """Notice that the arm has gone; call it from time to time."""
        self._act(self._watch.end_if_silent(now_ns))

    def _act(self, turn: Turn) -> None:
        try:
            if turn is Turn.TAKEN_OVER and not self._recorder.is_recording:
                self._folder = self._recorder.start(self._watch.task, self._now(), is_takeover=True)
                _log.info("a person took over: recording %s", self._folder.name)
            elif turn is Turn.HANDED_BACK and self._folder is not None:
                # The operator may have ended ours meanwhile, and begun another one.
                is_ours, self._folder = self._recorder.folder == self._folder, None
                if is_ours:
                    _log.info("%s", self._recorder.save())
        except EpisodeError as error:
            _log.error("the intervention is not recorded: %s", error)
            self._recorder.complain(f"the intervention is not recorded: {error}")
