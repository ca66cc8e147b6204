"""File → spec → model on a device, as a generator of progress."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from engine.devices import supports
from engine.errors import DeviceUnavailable, OutOfMemory
from engine.models import ARCHITECTURES
from engine.models.rwkv7_rehearsal import rehearse
from engine.ops.token7 import keep_code_in
from engine.row_speeds import choose_ways
from engine.shortage import shortage
from engine.types import TierChosen
from engine.weights.archive import open_archive
from engine.weights.choice import choose
from engine.weights.fit import Size, check, free_bytes
from engine.weights.reading import Reading, tensors_of
from engine.weights.recognise import recognise

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from engine.models.model import Model
    from engine.types import ModelSpec, NotKept, Progress


def read_spec(path: Path | str) -> ModelSpec:
    """What a file holds, told from its names and shapes without reading weights.

    Raises:
        ModelNotFound, UnsupportedFormat, WeightsCorrupt.
    """
    return recognise(str(path), open_archive(Path(path)).shapes)


def choose_device(name: str) -> torch.device:
    """ "auto" is the first CUDA device if PyTorch can use it, or the CPU.  Raises DeviceUnavailable."""
    if name == "auto":
        return torch.device("cuda" if _has_card() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceUnavailable(name) from error
    missing = device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()
    if missing or device.type not in {"cpu", "cuda"}:
        raise DeviceUnavailable(name)
    return device


def _has_card() -> bool:
    if not torch.cuda.is_available():
        return False
    return supports(torch.cuda.get_arch_list(), torch.cuda.get_device_capability(0))


def load(
    path: Path | str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    cache: Path | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    releasable: int = 0,
) -> Generator[Progress | NotKept | TierChosen, None, Model | None]:
    """Yields Progress("load", bytes ready, of all bytes); returns the model, or None if stopped.

    `TierChosen` comes first where there is something to tell of the tier.

    On the CPU the weights of a large model stay where they are in the mapped file, or in a converted layout
    that is made once, with Progress("convert", …); `NotKept` says that there was no room for one. They must
    not be written to. Every weight is checked for NaN and infinity, at every load or when it is converted.

    Args:
        dtype: see `engine.weights.choice`.
        cache: where layouts are kept that cannot stand beside the model, machine code, and what `row_speeds`
            measured; None: nowhere.
        releasable: bytes on the device that will be given back if this model needs them.

    Raises:
        ModelNotFound, UnsupportedFormat, WeightsCorrupt, FileChanged, DeviceUnavailable, TierUnavailable,
        InvalidRequest, OutOfMemory, DiskFailed.
    """
    where = choose_device(device)
    archive = open_archive(Path(path))
    spec = recognise(str(path), archive.shapes)
    size, free = Size.of(spec), free_bytes(str(where))
    choice = choose(dtype, str(where), size, archive.nbytes, None if free is None else free + releasable)
    tier = choice.tier
    for reason in choice.reasons:
        yield TierChosen(str(path), tier, reason)
    needed = check(size, tier, str(where)).needed
    if where.type == "cpu":
        keep_code_in(cache)
        rehearse(spec, tier)
    try:
        reading = Reading(archive, spec, tier, where, should_stop)
        tensors = yield from tensors_of(reading, cache)
        if tensors is None:
            return None
        model = ARCHITECTURES[spec.arch](spec, tensors, tier=tier)
        if where.type == "cpu":
            choose_ways(model.projections(), model.dtype, cache)
        return model
    except (RuntimeError, MemoryError) as error:
        if found := shortage(error):
            raise OutOfMemory(needed, found.free) from error
        raise
