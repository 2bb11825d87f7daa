"""How training kernels are called: which tensors they take, and the batch shared out to threads."""

import ctypes
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mail_policy.kernels.library import load_library

# Says of a backward pass that it cannot be differentiated again. Its own types are too narrow.
first_order: Any = once_differentiable
_TYPES = {torch.float32: "float", torch.float64: "double"}
# Multiply-adds below which a second thread costs more than it saves.
_WORK_OF_A_THREAD = 1 << 19


def fits_kernels(library: str, tensors: Sequence[Tensor]) -> bool:
    """Return whether a kernel can take some tensors: plain ones, of one type that it knows."""
    if load_library(library) is None or any(tensor.device.type != "cpu" for tensor in tensors):
        return False
    # Under autocast everything is brought to float32 first.
    types = {tensor.dtype for tensor in tensors}
    return torch.is_autocast_enabled("cpu") or (len(types) == 1 and types <= _TYPES.keys())


def require_shapes(found: dict[str, Tensor], expected: dict[str, tuple[int, ...]]) -> None:
    """Refuse tensors that a kernel would read beyond their ends."""
    for name, shape in expected.items():
        if found[name].shape != shape:
            raise ValueError(f"{name} must be {shape}, got {tuple(found[name].shape)}")


def batch_parts(batch: int, work_per_row: int) -> list[slice]:
    """Share the rows of a batch out to the threads that torch may use."""
    threads = min(torch.get_num_threads(), batch, batch * work_per_row // _WORK_OF_A_THREAD)
    bounds = torch.linspace(0, batch, max(threads, 1) + 1).round().int().tolist()
    return [slice(low, high) for low, high in pairwise(bounds)]


def run_kernel(
    library: str, name: str, dtype: torch.dtype, calls: Sequence[Sequence[ctypes.Structure]]
) -> None:
    """Call a function of a library once per part of the batch, side by side.

    Args:
        library: Name of the source file.
        name: Of the function, without its type.
        dtype: Of the numbers.
        calls: Its arguments, part by part. What they point to must stay alive.
    """
    function = getattr(load_library(library), f"{name}_{_TYPES[dtype]}")
    function.restype = None
    if len(calls) == 1:
        function(*map(ctypes.byref, calls[0]))
        return
    with ThreadPoolExecutor(len(calls)) as pool:  # ctypes lets other threads run meanwhile
        list(pool.map(lambda call: function(*map(ctypes.byref, call)), calls))


def pointers(*names: str) -> list[tuple[str, type]]:
    """Return fields of a structure that hold addresses."""
    return [(name, ctypes.c_void_p) for name in names]


def sizes(*names: str) -> list[tuple[str, type]]:
    """Return fields of a structure that hold sizes."""
    return [(name, ctypes.c_int64) for name in names]


def addresses(*tensors: Tensor) -> list[int]:
    """Return where tensors begin. They must be contiguous."""
    return [tensor.data_ptr() for tensor in tensors]
