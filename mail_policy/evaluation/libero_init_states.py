"""Reads the fixed initial states of LIBERO's tasks, files `*.pruned_init`, without unpickling.

Such a file is a zip archive of `torch.save` that holds one pickled array of NumPy: a row per
initial state with MuJoCo's time, positions and velocities. A pickle is a program; running the one
of a stranger means to trust him. All 130 files of LIBERO hold the same short program but for the
shape and the numbers. It is therefore compared with that program, word by word, and never run.
"""

import pickletools
import zipfile
import zlib
from pathlib import Path

import numpy as np

from mail_policy.core.frames import Array

_PICKLE_NAME = "/data.pkl"
_LARGEST_BYTES = 64 << 20
_MOST_STATES = 10_000
_MOST_NUMBERS = 100_000
# Where words are kept for later use says nothing about the array.
_SILENT = {"PROTO", "BINPUT", "LONG_BINPUT"}
_BEFORE_SHAPE = (
    *("numpy.core.multiarray _reconstruct", "numpy ndarray", 0, "TUPLE1"),
    *("_codecs encode", "b", "latin1", "TUPLE2", "REDUCE", "TUPLE3", "REDUCE", "MARK", 1),
)
# Eight bytes per number, little endian, row after row.
_BEFORE_DATA = (
    *("TUPLE2", "numpy dtype", "f8", "NEWFALSE", "NEWTRUE", "TUPLE3", "REDUCE"),
    *("MARK", 3, "<", "NONE", "NONE", "NONE", -1, -1, 0, "TUPLE", "BUILD", "NEWFALSE", 3),
)
_AFTER_DATA = (5, "TUPLE2", "REDUCE", "TUPLE", "BUILD", "STOP")
_DATA_PLACE = len(_BEFORE_SHAPE) + 2 + len(_BEFORE_DATA)


class InitialStatesError(ValueError):
    """A file of initial states cannot be used. The text says why."""


def read_initial_states(path: Path) -> Array:
    """Return the initial states of a task, shape (states, 1 + positions + velocities).

    Args:
        path: A `.pruned_init` file. It need not be trusted.

    Raises:
        InitialStatesError: The file is missing, damaged, or holds anything but finite numbers.
    """
    try:
        return _array_of(_words(_pickle_of(path)))
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise InitialStatesError(
            f"{path} is no file of initial states as LIBERO's benchmark has them: {error}; "
            "install hf-libero again"
        ) from error


def _pickle_of(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(_PICKLE_NAME)]
        if len(names) != 1:
            raise ValueError(f"it must hold one {_PICKLE_NAME}, holds {len(names)}")
        size = archive.getinfo(names[0]).file_size
        if size > _LARGEST_BYTES:
            raise ValueError(f"it has {size} bytes, limit is {_LARGEST_BYTES}")
        return archive.read(names[0])


def _words(content: bytes) -> list[object]:
    """Return what a pickle says: the argument of each operation, or its name if it has none."""
    words: list[object] = []
    for operation, argument, _ in pickletools.genops(content):
        if operation.name == "GLOBAL":
            # NumPy 2 calls its own module by another name.
            words.append(str(argument).replace("numpy._core.", "numpy.core.", 1))
        elif operation.name not in _SILENT:
            words.append(operation.name if argument is None else argument)
    return words


def _array_of(words: list[object]) -> Array:
    start = len(_BEFORE_SHAPE)
    shape, text = words[start : start + 2], words[_DATA_PLACE : _DATA_PLACE + 1]
    if words != [*_BEFORE_SHAPE, *shape, *_BEFORE_DATA, *text, *_AFTER_DATA]:
        raise ValueError("it holds something else than an array of numbers")
    match [*shape, *text]:
        case [int(states), int(numbers), str(characters)]:
            return _numbers(states, numbers, characters.encode("latin1"))
    raise ValueError("its array has no shape, or no data")


def _numbers(states: int, numbers: int, data: bytes) -> Array:
    if not 0 < states <= _MOST_STATES or not 0 < numbers <= _MOST_NUMBERS:
        raise ValueError(f"{states} states of {numbers} numbers cannot be right")
    if len(data) != 8 * states * numbers:
        raise ValueError(f"{states} states of {numbers} numbers do not fit {len(data)} bytes")
    array = np.frombuffer(data, dtype="<f8").reshape(states, numbers)
    if not np.isfinite(array).all():
        raise ValueError("it holds values that are no numbers")
    return array
