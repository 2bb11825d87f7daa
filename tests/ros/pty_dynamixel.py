"""A bus of Dynamixel motors behind a pseudo terminal, with lost, torn and corrupted packets.

Protocol 2.0 from its description (https://emanual.robotis.com/docs/en/dxl/protocol2/), not from
the library under test.
"""

import os
import select
import struct
import threading
import tty
from contextlib import suppress
from typing import Self

_HEADER = b"\xff\xff\xfd\x00"
_PING, _SYNC_READ, _STATUS = 0x01, 0x82, 0x55
_PRESENT_POSITION = 132
_BROADCAST = 0xFE


class PtyDynamixel:
    """Motors that answer; use as a context manager.

    Args:
        ids: Numbers of the motors.
    """

    def __init__(self, ids: list[int]) -> None:
        self.ticks = dict.fromkeys(ids, 2048)
        # Motors that do not answer, and motors whose answers arrive damaged.
        self.silent: set[int] = set()
        self.corrupting: set[int] = set()
        # Bytes before each answer, as a flickering plug makes them.
        self.noise = b""
        self.exchanges = 0

    def __enter__(self) -> Self:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dynamixel bus")
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.unplug()
        if self._slave >= 0:
            os.close(self._slave)
            self._slave = -1

    def unplug(self) -> None:
        """Pull the USB plug."""
        self._stop.set()
        self._thread.join(5.0)
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def _run(self) -> None:
        buffer = b""
        while not self._stop.is_set():
            if not select.select([self._master], [], [], 0.01)[0]:
                continue
            with suppress(BlockingIOError):
                buffer += os.read(self._master, 4096)
            buffer = self._answer_all(buffer)

    def _answer_all(self, buffer: bytes) -> bytes:
        while len(buffer) >= 7:
            assert buffer.startswith(_HEADER), buffer
            length = 7 + int.from_bytes(buffer[5:7], "little")
            if len(buffer) < length:
                break
            packet, buffer = buffer[:length], buffer[length:]
            assert crc16(packet[:-2]) == int.from_bytes(packet[-2:], "little"), "damaged request"
            self._answer(packet[4], packet[7], packet[8:-2])
        return buffer

    def _answer(self, motor: int, instruction: int, parameters: bytes) -> None:
        if instruction == _PING and motor in self.ticks:
            self._send(motor, struct.pack("<HB", 1190, 52))
        elif instruction == _SYNC_READ:
            assert motor == _BROADCAST
            assert struct.unpack("<HH", parameters[:4]) == (_PRESENT_POSITION, 4)
            self.exchanges += 1
            for asked in parameters[4:]:
                self._send(asked, struct.pack("<i", self.ticks[asked]))

    def _send(self, motor: int, parameters: bytes) -> None:
        if motor in self.silent:
            return
        body = bytes([_STATUS, 0]) + parameters
        body = body.replace(b"\xff\xff\xfd", b"\xff\xff\xfd\xfd")
        packet = _HEADER + bytes([motor]) + (len(body) + 2).to_bytes(2, "little") + body
        packet += crc16(packet).to_bytes(2, "little")
        if motor in self.corrupting:
            packet = packet[:-4] + bytes([packet[-4] ^ 0x10]) + packet[-3:]
        os.write(self._master, self.noise + packet)


def crc16(data: bytes) -> int:
    """CRC-16 with the polynomial 0x8005, most significant bit first, from zero."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ (0x8005 if crc & 0x8000 else 0)
            crc &= 0xFFFF
    return crc
