"""ROS messages without ROS: definitions, CDR encoding and decoding, through rosbags.

The standard types come with rosbags, ours are read from the .msg files of `mail_msgs`.
"""

import os
import re
import struct
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore

from data_collection.errors import EpisodeError
from mail_policy.core.action_schema import ActionSchema

_OUR_PACKAGE = "mail_msgs"
# rosbags turns a definition into Python code and runs it. It checks the words of the text, but not
# the name of the type, which comes from the file too.
_TYPE_NAME = re.compile(r"[a-z][a-z0-9_]*/msg/[A-Z][A-Za-z0-9]*")
_LARGEST_DEFINITION = 64 << 10


@dataclass(frozen=True, slots=True)
class MessageSchema:
    """The definition of a message type, as it is stored in an episode.

    Attributes:
        type_name: For example "sensor_msgs/msg/JointState".
        text: The .msg file, followed by those of all types that it uses.
        type_hash: The hash by which ROS 2 tells versions of a type apart; "" if unknown.
    """

    type_name: str
    text: str
    type_hash: str = ""


def our_message_folder() -> Path:
    """Find the .msg files of `mail_msgs`: in this repository, or where ROS has installed them."""
    prefixes = [sys.prefix, *os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)]
    candidates = [
        Path(__file__).parents[1] / "ros2_ws" / "src" / _OUR_PACKAGE / "msg",
        *(Path(prefix) / "share" / _OUR_PACKAGE / "msg" for prefix in prefixes if prefix),
    ]
    for folder in candidates:
        if any(folder.glob("*.msg")):
            return folder
    raise EpisodeError(
        f"cannot find the .msg files of {_OUR_PACKAGE}, looked in "
        f"{', '.join(map(str, candidates))}; source the workspace or run from the repository"
    )


@lru_cache(maxsize=1)
def _store() -> Any:
    """Return all message types that we know."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for file in sorted(our_message_folder().glob("*.msg")):
        store.register(get_types_from_msg(file.read_text(), f"{_OUR_PACKAGE}/msg/{file.stem}"))
    return store


@lru_cache(maxsize=256)
def _store_of(type_name: str, text: str) -> Any:
    """Return a store in which a type is as an episode defines it, maybe an older one."""
    if type_name in _store().types and schema_of(type_name).text == text:
        return _store()
    if not _TYPE_NAME.fullmatch(type_name) or len(text) > _LARGEST_DEFINITION:
        raise EpisodeError(
            f"{type_name[:100]!r} with a definition of {len(text)} characters is no message type; "
            "the recording was not made by this software, do not use it"
        )
    store = get_typestore(Stores.ROS2_JAZZY)
    try:
        definitions = get_types_from_msg(text, type_name)
        new = {name: value for name, value in definitions.items() if name not in store.types}
        store.register(new)
    except (TypesysError, KeyError, SyntaxError, RecursionError) as error:
        raise EpisodeError(
            f"the definition of {type_name} cannot be understood: {str(error)[:300]}; the "
            "recording was made by other software, or is damaged"
        ) from error
    return store


@lru_cache(maxsize=256)
def schema_of(type_name: str) -> MessageSchema:
    """Return the definition of a known type. Raises EpisodeError if it is unknown."""
    store = _store()
    if type_name not in store.types:
        raise EpisodeError(
            f"unknown message type {type_name!r}; only ROS 2 Jazzy's common types and "
            f"{_OUR_PACKAGE} can be recorded"
        )
    text, _ = store.generate_msgdef(type_name, ros_version=2)
    return MessageSchema(type_name, text, store.hash_rihs01(type_name))


def decode(schema: MessageSchema, cdr: bytes) -> Any:
    """Decode a message by the definition that its episode carries.

    Raises:
        EpisodeError: The bytes are no message of this type.
    """
    store = _store_of(schema.type_name, schema.text)
    try:
        return store.deserialize_cdr(cdr, schema.type_name)
    # A type that contains itself ends in a RecursionError, one that is not defined in a KeyError.
    except (
        *(SerdeError, AssertionError, IndexError, ValueError, struct.error),
        *(RecursionError, KeyError, MemoryError),
    ) as error:
        raise EpisodeError(
            f"{len(cdr)} bytes are no {schema.type_name} ({error!r}); sender and recorder may "
            "have been built from different message definitions"
        ) from error


def encode(message: Any) -> bytes:
    """Encode a message that was built by `message_type`."""
    return bytes(_store().serialize_cdr(message, message.__msgtype__))


def message_type(type_name: str) -> Any:
    """Return the class of a message, to be called with its fields by name."""
    return _store().types[type_name]


def stamp_to_ns(stamp: Any) -> int:
    """Convert a ROS time stamp to nanoseconds."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def stamp_to_seconds(stamp: Any) -> float:
    """Convert a ROS time stamp to seconds, with the rounding of the nodes' conversions."""
    return float(stamp.sec + 1e-9 * stamp.nanosec)


def seconds_to_ns(seconds: float) -> int:
    """Convert seconds to nanoseconds, by rounding as everywhere in the stack."""
    return round(seconds * 1e9)


def header(stamp_ns: int, frame_id: str = "") -> Any:
    """Build a std_msgs/Header."""
    return message_type("std_msgs/msg/Header")(stamp=_time(stamp_ns), frame_id=frame_id)


def compressed_image(stamp_ns: int, frame_id: str, jpeg: bytes) -> Any:
    """Build a sensor_msgs/CompressedImage of a JPEG picture."""
    return message_type("sensor_msgs/msg/CompressedImage")(
        header=header(stamp_ns, frame_id),
        format="jpeg",
        data=np.frombuffer(jpeg, dtype=np.uint8),
    )


def compressed_depth(depth_header: Any, png: NDArray[np.uint8]) -> Any:
    """Build a sensor_msgs/CompressedImage of depth [mm], named as image_transport does."""
    return message_type("sensor_msgs/msg/CompressedImage")(
        header=depth_header, format="16UC1; png compressed", data=png
    )


def joint_state(stamp_ns: int, names: list[str], positions: NDArray[np.float64]) -> Any:
    """Build a sensor_msgs/JointState; positions in rad, those of fingers in m."""
    nothing = np.empty(0)
    return message_type("sensor_msgs/msg/JointState")(
        header=header(stamp_ns),
        name=names,
        position=np.asarray(positions, dtype=np.float64),
        velocity=nothing,
        effort=nothing,
    )


def one_action(
    stamp_ns: int, action: NDArray[np.float64], *, schema: ActionSchema, task: str, sequence: int
) -> Any:
    """Build a mail_msgs/ActionChunk of a single row that was decided at a stamp."""
    return message_type("mail_msgs/msg/ActionChunk")(
        header=header(stamp_ns),
        observed_at=_time(stamp_ns),
        step_period=0.0,
        schema=schema.name,
        action_size=schema.size,
        values=np.asarray(action, dtype=np.float64),
        lease_epoch=0,
        sequence=sequence,
        task=task,
        inference_duration=0.0,
    )


def _time(stamp_ns: int) -> Any:
    return message_type("builtin_interfaces/msg/Time")(
        sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000
    )
