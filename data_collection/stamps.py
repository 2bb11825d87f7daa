"""Reads the stamp of a serialized message from its first bytes, without decoding the rest."""

import struct

# Encapsulation kinds of plain CDR, old and new; the last bit says little endian.
_PLAIN_CDR = (0x00, 0x01, 0x06, 0x07)
_LITTLE, _BIG = struct.Struct("<iI"), struct.Struct(">iI")
# Behind the four bytes of encapsulation.
_STAMP_OFFSET = 4
STAMP_END = 12


def header_stamp_ns(cdr: bytes) -> int | None:
    """Return the stamp of a message that begins with a std_msgs/Header [ns].

    None if the bytes are too few, or cannot be such a message.
    """
    if len(cdr) < STAMP_END or cdr[0] != 0 or cdr[1] not in _PLAIN_CDR:
        return None
    layout = _LITTLE if cdr[1] & 1 else _BIG
    sec, nanosec = layout.unpack_from(cdr, _STAMP_OFFSET)
    if sec < 0 or nanosec >= 1_000_000_000:
        return None
    return int(sec) * 1_000_000_000 + int(nanosec)
