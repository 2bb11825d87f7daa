"""Does this machine know the time?"""

import ctypes
from dataclasses import dataclass

from mail_bringup.doctor.finding import Finding, ok, warning

# adjtimex(2): a bit of its status.
_UNSYNCHRONISED = 0x40
# Chunks of a machine whose clock is farther off than 50 ms are refused.
_MAX_ERROR_MS = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockFacts:
    """What the kernel knows about its clock.

    Attributes:
        is_synchronised: A service such as chrony steers it.
        error_ms: Estimated error [ms].
    """

    is_synchronised: bool
    error_ms: float


class _Timex(ctypes.Structure):
    """The first fields of the kernel's struct timex; the rest is only room."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("max_error_us", ctypes.c_long),
        ("estimated_error_us", ctypes.c_long),
        ("status", ctypes.c_int),
        ("room", ctypes.c_byte * 256),
    )


def gather() -> ClockFacts:
    """Ask the kernel; with no mode set nothing is changed."""
    values = _Timex()
    ctypes.CDLL(None).adjtimex(ctypes.byref(values))
    return ClockFacts(
        is_synchronised=not values.status & _UNSYNCHRONISED,
        error_ms=values.estimated_error_us / 1000.0,
    )


def judge(facts: ClockFacts) -> list[Finding]:
    """Judge the clock: recordings and other machines rely on it."""
    wanted = f"a clock within {_MAX_ERROR_MS:.0f} ms, steered by chrony"
    remedy = "sudo apt install chrony; see chronyc tracking"
    if not facts.is_synchronised:
        return [warning("clock", "nothing synchronises this clock", wanted, remedy)]
    if facts.error_ms > _MAX_ERROR_MS:
        found = f"the clock may be off by {facts.error_ms:.0f} ms"
        return [warning("clock", found, wanted, remedy)]
    return [ok("clock", f"synchronised, estimated error {facts.error_ms:.1f} ms")]
