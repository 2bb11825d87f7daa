"""What the keys of a person ask of recorder, arm and supervisor. No ROS: clients are handed in."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from mail_teleop.readings import OperatorKey

ANSWER_LIMIT_S = 5.0


@dataclass(frozen=True, slots=True)
class OperatorRequest:
    """A call of a service.

    Attributes:
        service: Its name.
        kind: Its type.
        message: What is sent.
    """

    service: str
    kind: Any
    message: Any


class OperatorRequests:
    """Calls services without waiting, and tells how it went.

    Args:
        make_client: Makes a client of a type and name.
        requests_of: Says what a key asks for, in order.
        tell: Gets a sentence for the operator, and whether it is good news.
        clock: Steady time [s].
    """

    def __init__(
        self,
        make_client: Callable[[Any, str], Any],
        requests_of: Callable[[OperatorKey], Iterable[OperatorRequest]],
        tell: Callable[[str, bool], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._requests_of, self._tell, self._clock = requests_of, tell, clock
        # All at once: finding the other side takes a while, and an emergency stop has no time.
        self._clients: dict[str, Any] = {}
        for key in OperatorKey:
            for request in requests_of(key):
                if request.service not in self._clients:
                    client = make_client(request.kind, request.service)
                    self._clients[request.service] = client
        self._lock = threading.Lock()
        self._pending: dict[Any, tuple[float, str]] = {}

    def ask(self, key: OperatorKey) -> None:
        """Ask for what a key says; from any thread."""
        for request in self._requests_of(key):
            what = f"{key.value}: {request.service}"
            client = self._clients[request.service]
            if not client.service_is_ready():
                self._tell(f"{what} is offered by nobody", False)
                continue
            future = client.call_async(request.message)
            with self._lock:
                self._pending[future] = (self._clock(), what)
            future.add_done_callback(partial(self._on_answer, what))

    def report_unanswered(self) -> None:
        """Tell of calls that nobody answered in time; call it now and then."""
        with self._lock:
            late = {
                future: what
                for future, (asked_at_s, what) in self._pending.items()
                if self._clock() - asked_at_s > ANSWER_LIMIT_S
            }
            for future in late:
                del self._pending[future]
        for what in late.values():
            self._tell(f"{what} did not answer within {ANSWER_LIMIT_S:.0f} s", False)

    def _on_answer(self, what: str, future: Any) -> None:
        with self._lock:
            self._pending.pop(future, None)
        reply = future.result()
        if reply is not None:
            self._tell(f"{what}: {reply.message or 'done'}", bool(reply.success))
