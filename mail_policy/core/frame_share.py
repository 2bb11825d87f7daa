"""Hands frame rings to other processes by name, through a socket in Linux's abstract namespace.

The owner listens; whoever connects receives a description of all cameras and one read-only file
descriptor for each. The connection then stays open without traffic: its end tells the reader
that the owner has gone. Names vanish with their owner, so nothing needs cleaning up.
"""

import json
import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from mail_policy.core.config import build_config, to_plain
from mail_policy.core.frame_ring import FrameRingLayout, FrameRingReader, FrameRingWriter

_MAX_MESSAGE_BYTES = 65536
_MAX_CAMERAS = 16
_CONNECT_LIMIT_S = 2.0


class FrameShareError(RuntimeError):
    """Pictures cannot be offered or found under a name."""


class NoOfferError(FrameShareError):
    """Nobody offers pictures under a name, or not yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedCamera:
    """What a reader must know about a camera.

    Attributes:
        layout: How its pictures lie in memory.
        focal_length_px: Focal length of the pinhole [pixels], square pixels, centred.
        rate_hz: Pictures per second of the clock that stamps them.
    """

    layout: FrameRingLayout
    focal_length_px: float
    rate_hz: float


def share_address(run_id: str) -> bytes:
    """Return the abstract socket address of a run's pictures."""
    return f"\0mail/{run_id}/frames".encode()


class FrameOffer:
    """Offers the rings of all cameras of a run until it is closed."""

    def __init__(
        self, run_id: str, cameras: Mapping[str, tuple[SharedCamera, FrameRingWriter]]
    ) -> None:
        self._run_id = run_id
        self._cameras = dict(cameras)
        self._readers: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, name="frame offer", daemon=True)

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._socket.bind(share_address(self._run_id))
        except OSError as error:
            self._socket.close()
            raise FrameShareError(
                f"pictures of run_id {self._run_id!r} are already offered by another process "
                f"({error}); give this run another run_id"
            ) from error
        self._socket.listen(_MAX_CAMERAS)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        # Shutting down wakes the thread that waits in accept; closing alone does not.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for open_socket in (self._socket, *self._readers):
            open_socket.close()

    def _serve(self) -> None:
        while True:
            try:
                reader, _ = self._socket.accept()
            except OSError:
                return
            self._sweep()
            self._readers.append(reader)
            self._hand_over(reader)

    def _sweep(self) -> None:
        gone = [reader for reader in self._readers if _has_ended(reader)]
        for reader in gone:
            reader.close()
        self._readers = [reader for reader in self._readers if reader not in gone]

    def _hand_over(self, reader: socket.socket) -> None:
        message = {name: to_plain(camera) for name, (camera, _) in self._cameras.items()}
        descriptors = [ring.open_for_reading() for _, ring in self._cameras.values()]
        try:
            socket.send_fds(reader, [json.dumps(message).encode()], descriptors)
        except OSError:
            pass  # The reader has gone already; it is swept when the next one comes.
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


class SharedFrames:
    """A reader's connection to one camera of a run."""

    def __init__(self, run_id: str, camera_name: str) -> None:
        self._run_id = run_id
        self._camera_name = camera_name

    def __enter__(self) -> Self:
        self._socket = self._connect()
        try:
            self.camera, self.ring = self._receive()
        except FrameShareError:
            self._socket.close()
            raise
        # With a time limit, looking for the end of the connection would wait for it.
        self._socket.settimeout(None)
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    @property
    def has_ended(self) -> bool:
        """True once the owner of the pictures has gone."""
        return _has_ended(self._socket)

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(_CONNECT_LIMIT_S)
        try:
            connection.connect(share_address(self._run_id))
        except OSError as error:
            connection.close()
            raise NoOfferError(
                f"no twin offers pictures for run_id {self._run_id!r} ({error}); "
                f"start the twin with the same run_id first"
            ) from error
        return connection

    def _receive(self) -> tuple[SharedCamera, FrameRingReader]:
        try:
            data, descriptors, _, _ = socket.recv_fds(
                self._socket, _MAX_MESSAGE_BYTES, _MAX_CAMERAS
            )
        except OSError as error:
            raise FrameShareError(f"the twin did not answer: {error}") from error
        try:
            found = json.loads(data) if data else {}
            if self._camera_name not in found:
                raise FrameShareError(
                    f"the twin has no camera {self._camera_name!r}; "
                    f"cameras found: {', '.join(found) or 'none'}"
                )
            camera = build_config(SharedCamera, found[self._camera_name], "twin's cameras")
            descriptor = descriptors[list(found).index(self._camera_name)]
            return camera, FrameRingReader(camera.layout, descriptor)
        except ValueError as error:
            raise FrameShareError(f"the twin describes its cameras wrongly: {error}") from error
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def _has_ended(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
