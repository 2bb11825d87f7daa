"""Chooses how MuJoCo draws without a screen, and says what to install where it cannot."""

import ctypes
import os

_LIBRARIES = {"egl": "libEGL.so.1", "osmesa": "libOSMesa.so.8"}
_INSTALL = {
    "egl": "apt install libegl1 libegl-mesa0 libgl1-mesa-dri",
    "osmesa": "apt install libosmesa6",
}


class GraphicsError(RuntimeError):
    """Pictures cannot be rendered on this machine. The text names the remedy."""


def choose_graphics() -> None:
    """Set MuJoCo's environment variables where the user has not.

    Without the graphics library MuJoCo cannot even be imported, so drawing is switched off then:
    physics needs none. `require_graphics` explains it to whoever wants pictures.
    """
    wanted = os.environ.setdefault("MUJOCO_GL", "egl")
    # The rasteriser's threads would fight the physics of other processes for the cores.
    os.environ.setdefault("LP_NUM_THREADS", "1")
    if wanted in _LIBRARIES and not _can_load(_LIBRARIES[wanted]):
        os.environ["MUJOCO_GL"] = "disable"


def require_graphics() -> None:
    """Raise GraphicsError if pictures cannot be rendered."""
    backend = os.environ.get("MUJOCO_GL", "egl")
    if backend in ("disable", "disabled", "off", "false", "0"):
        raise GraphicsError(
            f"cannot render pictures: {_LIBRARIES['egl']} is missing or MUJOCO_GL={backend}; "
            f"run: {_INSTALL['egl']}; then run again with MUJOCO_GL=egl or unset"
        )
    if backend in _LIBRARIES and not _can_load(_LIBRARIES[backend]):
        raise GraphicsError(
            f"cannot render pictures: {_LIBRARIES[backend]} is missing; run: {_INSTALL[backend]}"
        )
    if backend == "egl" and not _egl_finds_a_device():
        raise GraphicsError(f"cannot render pictures: EGL finds no device; run: {_INSTALL['egl']}")


def _egl_finds_a_device() -> bool:
    egl = ctypes.CDLL(_LIBRARIES["egl"])
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    address = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    if not address:
        return False
    query = ctypes.CFUNCTYPE(
        ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int)
    )(address)
    count = ctypes.c_int(0)
    return bool(query(0, None, ctypes.byref(count))) and count.value > 0


def _can_load(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
