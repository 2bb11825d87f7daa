"""Loads the compiled kernels, if this machine has them."""

import ctypes
import logging
import os
import sysconfig
from functools import cache
from pathlib import Path

import torch

# Set to anything but "" or "0" to use torch's own operations instead, for example to find out
# whether a kernel is to blame.
SWITCH_OFF_VARIABLE = "MAIL_NO_KERNELS"
# What torch calls the instruction set of this machine, and the libraries for it, best first.
_TARGETS = {
    "AVX512": ("avx512", "avx2"),
    "AVX512_VNNI": ("avx512", "avx2"),
    "AVX512_BF16": ("avx512", "avx2"),
    "AMX": ("avx512", "avx2"),
    "AVX2": ("avx2",),
}
_LOGGER = logging.getLogger(__name__)


def kernels_are_wanted() -> bool:
    """Return whether kernels may be used at all."""
    return os.environ.get(SWITCH_OFF_VARIABLE, "0") in ("", "0")


@cache
def load_library(name: str) -> ctypes.CDLL | None:
    """Return the compiled kernels of a source file.

    Args:
        name: Of the source, for example "mamba".

    Returns:
        None if they are switched off, or were not built for a processor like this one.
    """
    if not kernels_are_wanted():
        return None
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    for target in _TARGETS.get(torch.backends.cpu.get_cpu_capability(), ("generic",)):
        path = Path(__file__).with_name(f"_{name}_{target}{suffix}")
        if path.exists():
            return ctypes.CDLL(str(path))
    _LOGGER.warning(
        "the %s kernels are not built, so torch is used, which is slower; install a C++ compiler "
        "and run: pip install -e .",
        name,
    )
    return None
