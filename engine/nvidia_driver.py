"""The cards that CUDA sees, and how much of their memory is free, asked of NVIDIA's own libraries: no torch.

libcuda knows the cards under CUDA's numbers, without those that a person hides from it; NVML, the library of
`nvidia-smi`, knows their memory. No context is made, so nothing is taken of it.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import uuid
from dataclasses import dataclass

# system → the library that comes with the driver
CUDA = {"linux": "libcuda.so.1", "win32": "nvcuda.dll"}
NVML = {"linux": "libnvidia-ml.so.1", "win32": "nvml.dll"}

_CAPABILITY = (75, 76)  # cuDeviceGetAttribute's numbers for major and minor
_KINDS = (b"GPU-", b"MIG-")  # how NVML begins the name of a card, and of a slice of one
_UUID_BYTES = 16


class _Memory(ctypes.Structure):
    """nvmlMemory_t."""

    _fields_ = tuple((name, ctypes.c_ulonglong) for name in ("total", "free", "used"))


@dataclass(frozen=True, slots=True)
class Card:
    """A card: its compute capability, (8, 9) for 8.9, and its UUID, "" where the driver does not tell it."""

    capability: tuple[int, int]
    uuid: str = ""


@functools.cache
def cards() -> tuple[Card, ...]:
    """Those that CUDA sees, in its order; none where there is no driver, or it fails."""
    cuda = _library(CUDA.get(sys.platform))
    if cuda is None or cuda.cuInit(0):
        return ()
    count = ctypes.c_int()
    if cuda.cuDeviceGetCount(ctypes.byref(count)):
        return ()
    return tuple(_card(cuda, index) for index in range(count.value))


def card(device: str) -> Card | None:
    """That of "cuda" (the first), "cuda:1" …; None where CUDA sees none there."""
    kind, _, index = device.partition(":")
    number, seen = int(index or 0), cards()
    return seen[number] if kind == "cuda" and number < len(seen) else None


def free_bytes(device: str) -> int | None:
    """Bytes free on a card; None where there is none, or nobody knows."""
    found, nvml = card(device), _nvml()
    if found is None or nvml is None or not found.uuid:
        return None
    handle, memory = ctypes.c_void_p(), _Memory()
    names = (kind + found.uuid.encode() for kind in _KINDS)
    if all(nvml.nvmlDeviceGetHandleByUUID(name, ctypes.byref(handle)) for name in names):
        return None
    return None if nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) else int(memory.free)


@functools.cache
def _nvml() -> ctypes.CDLL | None:
    """Ready to be asked."""
    found = _library(NVML.get(sys.platform))
    return None if found is None or found.nvmlInit_v2() else found


def _library(name: str | None) -> ctypes.CDLL | None:
    """Every function of both returns an int, 0 where all is well."""
    try:
        return ctypes.CDLL(name) if name else None
    except OSError:  # no driver
        return None


def _card(cuda: ctypes.CDLL, index: int) -> Card:
    device = ctypes.c_int()
    cuda.cuDeviceGet(ctypes.byref(device), index)
    major, minor = (_attribute(cuda, which, device) for which in _CAPABILITY)
    return Card((major, minor), _uuid(cuda, device))


def _attribute(cuda: ctypes.CDLL, which: int, device: ctypes.c_int) -> int:
    found = ctypes.c_int()
    cuda.cuDeviceGetAttribute(ctypes.byref(found), which, device)
    return found.value


def _uuid(cuda: ctypes.CDLL, device: ctypes.c_int) -> str:
    """A slice of a card has one of its own, which drivers since CUDA 11.4 tell."""
    found = (ctypes.c_ubyte * _UUID_BYTES)()
    ask = getattr(cuda, "cuDeviceGetUuid_v2", None) or cuda.cuDeviceGetUuid
    return "" if ask(ctypes.byref(found), device) else str(uuid.UUID(bytes=bytes(found)))
