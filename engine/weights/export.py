"""Models into files: `convert` from any format that is read into any of `WRITERS`, tensor by tensor.

A file appears whole or not at all: it is written beside its place under another name, synced and renamed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from engine.errors import InvalidRequest, WeightsCorrupt
from engine.models.names import expected_shapes, stored_shape
from engine.types import Progress
from engine.weights.adapters import check_adapter, merged, read_adapter
from engine.weights.archive import open_archive
from engine.weights.export_pth import write_pth
from engine.weights.export_safetensors import write_safetensors
from engine.weights.export_tuned import official_tensors
from engine.weights.export_web_rwkv import ARCHS as WEB_RWKV_ARCHS
from engine.weights.export_web_rwkv import write_web_rwkv
from engine.weights.gguf_write import ARCHS as GGUF_ARCHS
from engine.weights.gguf_write import DTYPES as GGUF_DTYPES
from engine.weights.gguf_write import write_gguf
from engine.weights.outgoing import DTYPES, check_dtype, outgoing
from engine.weights.place import check_place, in_place_of
from engine.weights.recognise import recognise
from engine.weights.tuned import merged_state, read_tuned_state
from engine.weights.turns import WORLD, Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from torch import Tensor

    from engine.types import ModelSpec
    from engine.weights.archive import Archive
    from engine.weights.outgoing import Outgoing

EVERY_ARCH = ("rwkv4", "rwkv5.0", "rwkv5.1", "rwkv5.2", "rwkv6", "rwkv7")
PLAIN_DTYPES = ("stored", *DTYPES)
_SLACK = 16 << 20  # headers, tables and padding


@dataclass(frozen=True, slots=True)
class Writer:
    """A format that models can be written in.

    Attributes:
        suffix: of its files.
        write: (path, model) → the bytes of values written so far, after every piece.
        dtypes: what `convert` may be asked for, the default first; "stored" keeps the source's.
        archs: the versions that the format has a place for.
        states: whether a tuned state can be merged in.
    """

    suffix: str
    write: Callable[[Path, Outgoing], Iterator[int]]
    dtypes: tuple[str, ...] = PLAIN_DTYPES
    archs: tuple[str, ...] = EVERY_ARCH
    states: bool = True


# format → how it is written
WRITERS: dict[str, Writer] = {
    "pth": Writer(".pth", write_pth),
    "safetensors": Writer(".safetensors", write_safetensors),
    "web-rwkv": Writer(".st", write_web_rwkv, ("fp16",), WEB_RWKV_ARCHS),
    "gguf": Writer(".gguf", write_gguf, GGUF_DTYPES, GGUF_ARCHS, states=False),
}


class _Stopped(Exception):
    """Leaves `in_place_of` without a file."""


def _writer(format: str, dtype: str) -> tuple[Writer, str]:  # noqa: A002  that of `WRITERS`
    """The format's writer and the dtype that is meant: "stored" is its default where it cannot keep them."""
    if format not in WRITERS:
        raise InvalidRequest(f"format {format}, not one of {', '.join(WRITERS)}")
    writer = WRITERS[format]
    meant = writer.dtypes[0] if dtype == "stored" else dtype
    check_dtype(meant, writer.dtypes)
    return writer, meant


def _write(
    writer: Writer, model: Outgoing, target: Path, should_stop: Callable[[], bool], *, overwrite: bool
) -> Generator[Progress, None, Path | None]:
    try:
        with in_place_of(target, overwrite=overwrite) as temporary:
            for done in writer.write(temporary, model):
                if should_stop():
                    raise _Stopped
                yield Progress("convert", done, model.nbytes)
    except _Stopped:
        return None
    return target


def _with_adapter(
    archive: Archive, spec: ModelSpec, path: Path, alpha: float | None
) -> Callable[[str], Tensor]:
    """The archive's values with an adapter merged in, one at a time."""
    adapter = read_adapter(path)
    check_adapter(adapter, spec, alpha)
    return lambda name: merged(name, archive.get(name), adapter, alpha)


def _finite(path: Path, spec: ModelSpec, get: Callable[[str], Tensor]) -> Callable[[str], Tensor]:
    """`get`, for numbers alone: a model that would not be loaded is not written either."""
    used = expected_shapes(spec)

    def checked(name: str) -> Tensor:
        x = get(name)
        if name in used and not all(map(torch.isfinite, torch.aminmax(x))):
            raise WeightsCorrupt(str(path), name, "finite numbers", "NaN or infinity")
        return x

    return checked


def _with_state(model: Outgoing, writer: Writer, path: Path) -> Outgoing:
    """With the tuned state of the file at `path`, if that is one or has one merged in."""
    state = read_tuned_state(path, model.spec) if path != model.path else merged_state(path, model.spec)
    if state and not writer.states:
        raise InvalidRequest("this format has no place for a tuned state")
    return model.with_more(official_tensors(state)) if state else model


def convert(
    source: Path,
    target: Path,
    format: str,  # noqa: A002  that of `WRITERS`
    *,
    dtype: str = "stored",
    adapter: Path | None = None,
    alpha: float | None = None,
    tuned: Path | None = None,
    turns: Turns = WORLD,
    overwrite: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> Generator[Progress, None, Path | None]:
    """Writes the model at `source` as `target`, streaming; yields Progress("convert", bytes, of all bytes).

    Returns `target`, or None if stopped; then nothing is left behind.

    Args:
        format: a key of `WRITERS`.
        dtype: one of that writer's; "stored" keeps the source's, tensor by tensor.
        adapter: merged on the way, in fp32, one weight at a time.  alpha: a LoRA's, where its file says none.
        tuned: a tuned state, merged in; one that is in the source already stays if none is given.
        turns: how a conversation is spelt, for formats that carry it.
        overwrite: a file at `target` is replaced when the new one is complete.

    Raises:
        InvalidRequest: no such format or dtype, no place for the model's version or for a tuned state, an
            alpha not given.
        AdapterMismatch, DiskFailed, DiskFull, FileInTheWay, ModelNotFound, TunedStateMismatch,
        UnsupportedFormat, WeightsCorrupt.
    """
    writer, dtype = _writer(format, dtype)
    archive = open_archive(source)
    spec = recognise(str(source), archive.shapes)
    if spec.arch not in writer.archs:
        raise InvalidRequest(f"{format} holds {', '.join(writer.archs)}, not {spec.arch}")
    get = _with_adapter(archive, spec, adapter, alpha) if adapter else archive.get
    get = _finite(source, spec, get)
    model = replace(outgoing(archive, spec, dtype, get), turns=turns)
    model = _with_state(model, writer, tuned or source)
    check_place(target, model.nbytes + _SLACK, overwrite=overwrite)
    if any(should_stop() for _ in archive.verify()):
        return None
    return (yield from _write(writer, model, target, should_stop, overwrite=overwrite))


def export_safetensors(
    path: Path, tensors: dict[str, Tensor], *, dtype: torch.dtype = torch.bfloat16
) -> None:
    """`tensors` by official name (vectors as [C], ln0 not folded) → `path`, replaced as a whole."""
    spec = recognise(str(path), {name: tuple(x.shape) for name, x in tensors.items()})
    official = {
        name: x.detach().to("cpu", dtype).reshape(stored_shape(spec, name)).contiguous()
        for name, x in tensors.items()
    }
    with in_place_of(path) as temporary:
        save_file(official, temporary, metadata={"format": "pt"})
