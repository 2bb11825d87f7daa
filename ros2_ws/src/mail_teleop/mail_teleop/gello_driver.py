"""A GELLO leader arm: seven Dynamixel motors that are only read, and a trigger.

Control table and protocol: https://emanual.robotis.com/docs/en/dxl/x/xl330-m288/
"""

import logging
import termios
import time
from pathlib import Path
from typing import Any, Self

import dynamixel_sdk

from mail_teleop.device import TeleopError
from mail_teleop.gello_angles import GelloAngles, GelloConfig, TriggerUse
from mail_teleop.readings import DeviceReading

logger = logging.getLogger(__name__)

_PRESENT_POSITION, _POSITION_BYTES = 132, 4
_SQUEEZED_SHARE = 0.5
_PINGS = 3
# The serial library lets the second one through when a port is gone.
_FAULTS = (OSError, termios.error)
# A read returns after this time at the latest even without an answer [s].
_POLL_S = 0.001
_USB_SERIAL = Path("/sys/bus/usb-serial/devices")


class _Port(dynamixel_sdk.PortHandler):  # type: ignore[misc]
    """The vendor's port with a bounded wait that does not spin.

    The vendor's one polls without a pause, waits 34 ms for a lost packet, and measures that on the
    wall clock, which may be set.
    """

    def __init__(self, path: str, answer_s: float) -> None:
        super().__init__(path)
        self._answer_ms = 1000.0 * answer_s

    def setupPort(self, cflag_baud: int) -> bool:  # noqa: N802
        is_open = bool(super().setupPort(cflag_baud))
        self.ser.timeout = _POLL_S
        return is_open

    def setPacketTimeout(self, packet_length: int) -> None:  # noqa: N802
        self.packet_start_time = self.getCurrentTime()
        self.packet_timeout = self.tx_time_per_byte * packet_length + self._answer_ms

    def getCurrentTime(self) -> float:  # noqa: N802
        return 1000.0 * time.monotonic()


class Gello:
    """Reads all motors of a GELLO in one exchange.

    Args:
        config: Port, motors, signs, offsets.
        usb_serial: Where the kernel keeps settings of USB serial ports; tests give their own.
    """

    def __init__(self, config: GelloConfig, usb_serial: Path = _USB_SERIAL) -> None:
        self._config, self._usb_serial = config, usb_serial
        self._ids = list(config.joint_ids)
        if config.trigger_id is not None:
            self._ids.append(config.trigger_id)
        self._port: _Port | None = None

    def __enter__(self) -> Self:
        port = _Port(self._config.port, self._config.answer_s)
        self._packets: Any = dynamixel_sdk.PacketHandler(2.0)
        try:
            if not port.setBaudRate(self._config.baud_rate):
                raise TeleopError(f"baud_rate {self._config.baud_rate} is not supported")
            self._port = port
            _shorten_latency(self._config.port, self._usb_serial)
            self._require_motors(port)
        except _FAULTS as error:
            self.__exit__()
            raise TeleopError(self._explain(error)) from error
        except TeleopError:
            self.__exit__()
            raise
        self._group = dynamixel_sdk.GroupSyncRead(
            port, self._packets, _PRESENT_POSITION, _POSITION_BYTES
        )
        for motor in self._ids:
            self._group.addParam(motor)
        self._angles = GelloAngles(self._config)
        self._heard_at_s = time.monotonic()
        return self

    def __exit__(self, *error: object) -> None:
        port, self._port = self._port, None
        if port is not None:
            port.closePort()

    def read(self, timeout_s: float) -> DeviceReading | None:
        """Read all motors; None if an answer was lost. The bus sets the pace, not the timeout."""
        if self._port is None:
            raise TeleopError("the GELLO is not open")
        try:
            result = self._group.txRxPacket()
        except _FAULTS as error:
            raise TeleopError(self._explain(error)) from error
        if result != dynamixel_sdk.COMM_SUCCESS:
            self._require_life(result)
            return None
        self._heard_at_s = time.monotonic()
        ticks = [_signed(self._group.getData(i, _PRESENT_POSITION, 4)) for i in self._ids]
        dead_man, width_m = False, None
        if self._config.trigger_id is not None:
            if self._config.trigger_use is TriggerUse.SWITCH:
                dead_man = self._angles.squeezed_share(ticks[-1]) > _SQUEEZED_SHARE
            else:
                width_m = self._angles.trigger_width_m(ticks[-1])
        return DeviceReading(
            dead_man=dead_man,
            joint_positions=self._angles.joint_positions(ticks[: len(self._config.joint_ids)]),
            trigger_width_m=width_m,
        )

    def _require_life(self, result: int) -> None:
        silent_s = time.monotonic() - self._heard_at_s
        if silent_s > self._config.lost_s:
            raise TeleopError(
                f"the GELLO at {self._config.port} has not answered for {silent_s:.1f} s "
                f"({self._packets.getTxRxResult(result)}); check its power and its cables"
            )

    def _require_motors(self, port: _Port) -> None:
        missing = [motor for motor in self._ids if not self._answers(port, motor)]
        if missing:
            raise TeleopError(
                f"motors {', '.join(map(str, missing))} of the GELLO at {self._config.port} do not "
                f"answer at {self._config.baud_rate} baud; check power, cables, gello.joint_ids, "
                "gello.trigger_id and gello.baud_rate (Dynamixel Wizard shows them)"
            )

    def _answers(self, port: _Port, motor: int) -> bool:
        for _ in range(_PINGS):
            _, result, _ = self._packets.ping(port, motor)
            if result == dynamixel_sdk.COMM_SUCCESS:
                return True
        return False

    def _explain(self, error: Exception) -> str:
        return (
            f"the GELLO's port {self._config.port} cannot be used ({error}); is it plugged in "
            "(ls /dev/serial/by-id), and are you in the group dialout "
            "(sudo usermod -aG dialout $USER, then log in again)?"
        )


def _signed(value: int) -> int:
    """Return a position of 32 bits as a signed number: motors turn below zero too."""
    return value - (1 << 32) if value >= 1 << 31 else value


def _shorten_latency(port: str, usb_serial: Path) -> None:
    """Let an FTDI adapter hand on what it got after 1 ms; by default it collects for 16 ms."""
    timer = usb_serial / Path(port).resolve().name / "latency_timer"
    try:
        if int(timer.read_text()) <= 1:
            return
    except (OSError, ValueError):
        # Not an FTDI adapter: nothing is collected.
        return
    try:
        timer.write_text("1")
    except OSError:
        logger.warning(
            "the GELLO's adapter collects data for %s ms; that makes it slow. Run once: "
            "echo 1 | sudo tee %s ; or for ever, in /etc/udev/rules.d/70-gello.rules: "
            'ACTION=="add", SUBSYSTEM=="usb-serial", DRIVER=="ftdi_sio", '
            'ATTR{latency_timer}="1"',
            timer.read_text().strip(),
            timer,
        )
