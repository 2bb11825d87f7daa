"""The thread in which a policy thinks, so that no executor callback ever waits for it."""

import logging
import threading
from collections import deque
from collections.abc import Callable

from mail_policy.core.types import ActionChunk, Observation
from mail_policy.inference.session import Lease, PolicySession

_LOGGER = logging.getLogger(__name__)
# Two seconds of observations at 20 Hz: more than any inference may take.
_QUEUE_LENGTH = 40
_TIMINGS_KEPT = 500


class PolicyWorker:
    """Feeds a session from a bounded queue and hands its chunks to a callable.

    Leaving the context ends the thread. If the session raises, the worker stops for good and
    `fault` says why; its silence then ends the policy's lease.

    Args:
        session: The policy under a lease; used by this thread only.
        publish: Called with every chunk, from this thread.
    """

    def __init__(self, session: PolicySession, publish: Callable[[ActionChunk], None]) -> None:
        self._session = session
        self._publish = publish
        self._wake = threading.Condition()
        self._observations: deque[Observation] = deque(maxlen=_QUEUE_LENGTH)
        self._wanted_lease: Lease | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="policy", daemon=True)
        self.inference_s: deque[float] = deque(maxlen=_TIMINGS_KEPT)
        self.chunks = 0
        self.fault = ""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """End the thread, waiting for an inference under way."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(timeout_s)

    @property
    def waiting_for(self) -> str:
        """What keeps the policy from planning, "" if nothing."""
        return self.fault or self._session.waiting_for

    @property
    def lease_epoch(self) -> int:
        """The newest lease that the worker was told of, 0 if none."""
        lease = self._wanted_lease
        return lease.epoch if lease is not None else 0

    def set_lease(self, lease: Lease | None) -> None:
        """Tell the worker the lease that holds now; the same epoch again changes nothing."""
        with self._wake:
            if (lease and lease.epoch) != (self._wanted_lease and self._wanted_lease.epoch):
                self._wanted_lease = lease
                self._observations.clear()
                self._wake.notify()

    def add(self, observation: Observation) -> None:
        """Queue an observation; the oldest is dropped when the policy cannot keep up."""
        with self._wake:
            self._observations.append(observation)
            self._wake.notify()

    def _run(self) -> None:
        try:
            while self._step():
                pass
        except Exception as error:
            self.fault = f"policy failed: {type(error).__name__}: {error}"
            _LOGGER.exception("the policy stops; the arm will hold when its lease runs out")

    def _step(self) -> bool:
        with self._wake:
            self._wake.wait_for(self._has_work)
            if self._stopping:
                return False
            lease = self._wanted_lease
            observations = list(self._observations)
            self._observations.clear()
        self._follow(lease)
        for observation in observations:
            self._session.observe(observation)
        chunk = self._session.plan()
        if chunk is None:
            self._session.prepare()
        else:
            self.inference_s.append(chunk.inference_s)
            self.chunks += 1
            self._publish(chunk)
        return True

    def _has_work(self) -> bool:
        return self._stopping or bool(self._observations) or self._lease_changed()

    def _lease_changed(self) -> bool:
        now, wanted = self._session.lease, self._wanted_lease
        return (now and now.epoch) != (wanted and wanted.epoch)

    def _follow(self, lease: Lease | None) -> None:
        now = self._session.lease
        if lease is None and now is not None:
            self._session.end()
        elif lease is not None and (now is None or now.epoch != lease.epoch):
            self._session.begin(lease)
