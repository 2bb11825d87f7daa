"""What the messages of an episode add up to, while it is written and when it is read again."""

import dataclasses

from data_collection import messages, topics
from data_collection.errors import EpisodeError
from data_collection.interventions import PersonCount
from data_collection.manifest import EpisodeManifest, EpisodeSource
from data_collection.messages import MessageSchema
from data_collection.quality import QualityMonitor
from mail_policy.core.motion.status import POLICY_HOLDER


class EpisodeTally:
    """Counts messages and steps, judges the streams, notes who moved the arm.

    Attributes:
        messages: How many there are.
        steps: How many pictures of the first camera there are.
        quality: Judges the streams.
        person: Counts interventions.

    Args:
        manifest: Of the episode.
    """

    def __init__(self, manifest: EpisodeManifest) -> None:
        self.messages = 0
        self.steps = 0
        self.quality = QualityMonitor(manifest.cameras, manifest.rate_hz)
        # An intervention that is recorded from its first moment on had the policy before.
        is_intervention = manifest.source is EpisodeSource.INTERVENTION
        self.person = PersonCount(POLICY_HOLDER if is_intervention else "")
        self._image_topic = topics.image_topic(manifest.cameras[0])
        self._first_ns = 0
        self._last_ns = 0

    def add(self, topic: str, schema: MessageSchema, cdr: bytes, log_time_ns: int) -> None:
        """Take a message."""
        if self.messages == 0:
            self._first_ns = self._last_ns = log_time_ns
        self.messages += 1
        self.steps += topic == self._image_topic
        self._first_ns = min(self._first_ns, log_time_ns)
        self._last_ns = max(self._last_ns, log_time_ns)
        self.quality.add(topic, cdr, log_time_ns)
        if topic == topics.ARM_STATE:
            self._add_arm_state(schema, cdr, log_time_ns)

    @property
    def duration_s(self) -> float:
        """From the first to the last message [s]."""
        return (self._last_ns - self._first_ns) * 1e-9

    def filled(self, manifest: EpisodeManifest) -> EpisodeManifest:
        """Return a manifest with what the messages say."""
        return dataclasses.replace(
            manifest,
            steps=self.steps,
            duration_s=self.duration_s,
            interventions=self.person.takeovers,
            person_s=self.person.person_s,
        )

    def _add_arm_state(self, schema: MessageSchema, cdr: bytes, log_time_ns: int) -> None:
        try:
            holder = messages.decode(schema, cdr).lease_holder
        except (EpisodeError, AttributeError):
            # From an episode of an older or broken sender: it tells nothing about a person.
            return
        self.person.add(holder, log_time_ns)
