"""File → spec → model on a device, as a generator of progress."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from engine.errors import DeviceUnavailable, InvalidRequest, OutOfMemory, WeightsCorrupt
from engine.models import ARCHITECTURES
from engine.models.names import expected_shapes
from engine.models.prepare import dtype_of, prepare_tensor, prepared_shapes
from engine.models.tiers import TIERS, tier_name  # noqa: F401  the second for whoever loads
from engine.types import Progress
from engine.weights.archive import open_archive
from engine.weights.recognise import recognise

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from torch import Tensor

    from engine.models.model import Model
    from engine.types import ModelSpec
    from engine.weights.archive import Archive

# "auto" on a CPU: below this many stored bytes fp32, exact and fastest there; above, bf16 halves the memory
SMALL_MODEL = 1_000_000_000


def read_spec(path: Path | str) -> ModelSpec:
    """What a file holds, told from its names and shapes without reading weights.

    Raises:
        ModelNotFound, UnsupportedFormat, WeightsCorrupt.
    """
    return recognise(str(path), open_archive(Path(path)).shapes)


def choose_device(name: str) -> torch.device:
    """ "auto" is the first CUDA device, or the CPU.  Raises DeviceUnavailable."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceUnavailable(name) from error
    missing = device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()
    if missing or device.type not in {"cpu", "cuda"}:
        raise DeviceUnavailable(name)
    return device


def choose_dtype(name: str, device: torch.device, stored_bytes: int) -> torch.dtype:
    """A tier's dtype; "auto" is bf16, but fp32 for a small model on the CPU."""
    if name in TIERS:
        return TIERS[name]
    if name != "auto":
        raise InvalidRequest(f"dtype {name}")
    return torch.float32 if device.type == "cpu" and stored_bytes < SMALL_MODEL else torch.bfloat16


def _check_finite(path: str, name: str, x: Tensor) -> None:
    low, high = torch.aminmax(x)
    if not (torch.isfinite(low) and torch.isfinite(high)):
        raise WeightsCorrupt(path, name, "finite numbers", "NaN or infinity")


def _check_room(device: torch.device, needed: int) -> None:
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if needed > free:
            raise OutOfMemory(needed, free)


def _bytes_needed(spec: ModelSpec, dtype: torch.dtype) -> int:
    shapes = prepared_shapes(spec)
    return sum(math.prod(shape) * dtype_of(name, spec, dtype).itemsize for name, shape in shapes.items())


def _read(
    archive: Archive, spec: ModelSpec, device: torch.device, dtype: torch.dtype
) -> Iterator[tuple[str, Tensor]]:
    """Name and value of each prepared tensor, in memory of its own: the file is not needed afterwards."""
    expected = expected_shapes(spec)

    def read(name: str) -> Tensor:
        stored = archive.get(name)
        _check_finite(str(archive.path), name, stored)
        return stored.reshape(expected[name])

    for name in prepared_shapes(spec):
        x = prepare_tensor(name, read, spec, dtype)
        yield name, x.to(device, copy=True).contiguous()


def _read_all(
    reading: Iterator[tuple[str, Tensor]], total: int, should_stop: Callable[[], bool]
) -> Generator[Progress, None, dict[str, Tensor] | None]:
    """Reports at most a hundred times."""
    tensors: dict[str, Tensor] = {}
    done, reported = 0, -1
    for name, x in reading:
        if should_stop():
            return None
        tensors[name] = x
        done += x.nbytes
        if done * 100 // total > reported:
            reported = done * 100 // total
            yield Progress("load", done, total)
    return tensors


def _memory_error(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def load(
    path: Path | str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    should_stop: Callable[[], bool] = lambda: False,
) -> Generator[Progress, None, Model | None]:
    """Yields Progress("load", bytes in memory, of all bytes); returns the model, or None if stopped.

    Every weight is checked for NaN and infinity while it is copied.

    Args:
        dtype: a key of `TIERS`, or "auto".

    Raises:
        ModelNotFound, UnsupportedFormat, WeightsCorrupt, DeviceUnavailable, InvalidRequest, OutOfMemory.
    """
    where = choose_device(device)
    archive = open_archive(Path(path))
    spec = recognise(str(path), archive.shapes)
    run_dtype = choose_dtype(dtype, where, archive.nbytes)
    needed = _bytes_needed(spec, run_dtype)
    _check_room(where, needed)
    if any(should_stop() for _ in archive.verify()):
        return None
    try:
        reading = _read(archive, spec, where, run_dtype)
        tensors = yield from _read_all(reading, needed, should_stop)
        return None if tensors is None else ARCHITECTURES[spec.arch](spec, tensors)
    except (RuntimeError, MemoryError) as error:
        if _memory_error(error):
            raise OutOfMemory(needed, 0) from error
        raise
