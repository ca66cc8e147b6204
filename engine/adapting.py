"""Switching the adapter of the loaded model: a job like a load, of the matrices that are touched alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import FileChanged, OutOfMemory
from engine.models import ARCHITECTURES
from engine.store.fingerprint import mark
from engine.weights.adapt import Change, Changing
from engine.weights.adapters import check_adapter, read_adapter
from engine.weights.archive import open_archive
from engine.weights.fit import free_bytes
from engine.weights.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from engine.models.model import Model
    from engine.replying import Voice
    from engine.types import AdaptRequest, ModelSpec, Progress

FP32_COPIES = 3  # of the matrix that is changed: as stored, the product, the sum


class Switched(Exception):  # an outcome of ours, never seen outside
    """The model's tensors are of two adapters, and could not be brought back."""


def change_of(request: AdaptRequest, spec: ModelSpec) -> Change | None:
    """The adapter that is asked for.  Raises EngineError: it cannot be read, or is not for such a model."""
    if request.path is None:
        return None
    adapter = read_adapter(Path(request.path))
    check_adapter(adapter, spec, request.alpha)
    return Change(adapter, request.alpha)


def adapt(
    voice: Voice,
    before: Change | None,
    after: Change | None,
    cache: Path | None,
    should_stop: Callable[[], bool],
) -> Generator[Progress, None, Model | None]:
    """The voice's model with the other adapter; None if stopped: then the voice's is as it was.

    Raises:
        FileChanged, ModelNotFound: the model's file is not the one that was loaded.
        OutOfMemory: no room for what is renewed; nothing was changed.
        Switched: from what stopped it; the voice's model cannot be used any more.
    """
    path, model = Path(voice.info.path), voice.model
    if mark(path) != voice.states.mark:
        raise FileChanged(voice.info.path)
    reading = Reading(open_archive(path), model.spec, model.tier, model.device, should_stop)
    changing = Changing(reading, model.tensors, cache)
    _check_room(changing, reading, before, after)
    model.release()
    try:
        done = yield from changing.switch(before, after)
    except Exception as error:
        if changing.consistent:
            raise
        raise Switched from error
    return ARCHITECTURES[model.spec.arch](model.spec, model.tensors, tier=model.tier) if done else None


def _check_room(changing: Changing, reading: Reading, before: Change | None, after: Change | None) -> None:
    """On a CPU what is renewed takes memory beside the mapped file; on a card one matrix at a time does."""
    names = changing.renewed(before, after)
    largest = max((_count(reading, name) for name in names), default=0)
    needed = FP32_COPIES * 4 * largest + (changing.nbytes(names) if reading.device.type == "cpu" else 0)
    free = free_bytes(str(reading.device))
    if free is not None and needed > free:
        raise OutOfMemory(needed, free)


def _count(reading: Reading, name: str) -> int:
    count = 1
    for length in reading.shapes[name]:
        count *= length
    return count
