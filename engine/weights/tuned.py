"""Tuned states: one initial wkv state for each layer, trained in place of zeros. Nothing complains when its
axes are swapped, so every form says which way it keeps them.

A head is [V,K] here (row = value channel, column = key channel), in every version. So it is on the disk of
RWKV-LM and RWKV-PEFT, whose kernels read `time_state` that way (`cuda/wkv6state_cuda.cu`,
`cuda/rwkv7_state_clampw.cu`), and of RWKV-Runner, which loads the same files. web-rwkv's conversion turns
`time_state` with the other tensors that it turns. flash-linear-attention's states are [K,V]; it has no file
of its own: ours has what its cache holds for each layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.errors import TunedStateMismatch, UnsupportedFormat, WeightsCorrupt
from engine.models.state import State
from engine.weights import web_rwkv
from engine.weights.archive import open_file
from engine.weights.export_pth import write_table
from engine.weights.export_safetensors import write_tensors
from engine.weights.merged_state import ENDING
from engine.weights.part_names import RECURRENT, TIME_STATE, layers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

    from engine.types import ModelSpec
    from engine.weights.archive import Archive

    Entry = tuple[str, tuple[int, ...], torch.dtype]


@dataclass(frozen=True, slots=True)
class TunedFormat:
    """One form of tuned states.

    Attributes:
        suffix: of its files.  container: of `READERS`.
        name: of a layer's tensor.
        dtype: what it is written as.
        write: (path, entries, get) → bytes written so far.
        turned: whether a head is [K,V].
        batched: whether the tensor is [1,H,…].
    """

    suffix: str
    container: str
    name: str
    dtype: torch.dtype
    write: Callable[[Path, list[Entry], Callable[[str], Tensor]], Iterator[int]]
    turned: bool = False
    batched: bool = False


# form → how it is kept; "pth" is RWKV-LM's, RWKV-PEFT's and RWKV-Runner's
TUNED_FORMATS: dict[str, TunedFormat] = {
    "pth": TunedFormat(".pth", "pth", TIME_STATE, torch.bfloat16, write_table),
    "web-rwkv": TunedFormat(".st", "safetensors", TIME_STATE, torch.float16, write_tensors, turned=True),
    "fla": TunedFormat(
        ".safetensors", "safetensors", RECURRENT, torch.float32, write_tensors, turned=True, batched=True
    ),
}


def _format_of(archive: Archive) -> str:
    """The form of an archive, told from its container and names; the first that has any layer.

    A whole model with official names keeps its state as official files do, whatever the container.
    """
    if "emb.weight" in archive.shapes and not web_rwkv.fits(archive.shapes):
        return "pth"
    for name, form in TUNED_FORMATS.items():
        if form.container == archive.format and layers_of(archive.shapes, form.name):
            return name
    raise UnsupportedFormat(str(archive.path), "no-tuned-state")


def _size(spec: ModelSpec) -> str:
    return f"{spec.n_layer} layers of [{spec.n_head}, {spec.head_size}, {spec.head_size}]"


def _check(archive: Archive, names: dict[int, str], spec: ModelSpec) -> None:
    """Before any value is read: all layers, every one [H,N,N].  Raises TunedStateMismatch."""
    expected = (spec.n_head, spec.head_size, spec.head_size)
    shapes = {layer: _without_batch(archive.shapes[name]) for layer, name in names.items()}
    wrong = [shape for shape in shapes.values() if shape != expected]
    if spec.arch == "rwkv4":
        raise TunedStateMismatch("no tuned states (RWKV-4)", "a tuned state", str(archive.path))
    if wrong or set(shapes) != set(range(spec.n_layer)):
        shape = wrong[0] if wrong else expected
        found = f"{len(shapes)} layers of {list(shape)}"
        raise TunedStateMismatch(_size(spec), found, str(archive.path))


def _without_batch(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[1:] if len(shape) == 4 and shape[0] == 1 else shape


def _read_layer(archive: Archive, name: str, *, turned: bool) -> Tensor:
    x = archive.get(name)
    if not x.isfinite().all():
        raise WeightsCorrupt(str(archive.path), name, "finite numbers", "NaN or infinity")
    x = x.reshape(_without_batch(tuple(x.shape))).to(torch.float32, copy=True)
    return (x.mT if turned else x).contiguous()


@dataclass(frozen=True, slots=True)
class TunedFile:
    """A file with a tuned state, opened: what it says without any value read.

    Attributes:
        form: a key of `TUNED_FORMATS`.
        names: layer → its tensor's name, in order.
        shape: of the first layer, [H,N,N].
    """

    archive: Archive
    form: str
    names: dict[int, str]
    shape: tuple[int, ...]

    def read(self) -> dict[int, Tensor]:
        """Layer → [H,V,K] fp32.  Raises WeightsCorrupt: not a number."""
        turned = TUNED_FORMATS[self.form].turned
        return {layer: _read_layer(self.archive, name, turned=turned) for layer, name in self.names.items()}


def open_tuned_state(path: Path, format: str | None = None) -> TunedFile:  # noqa: A002  the command's word
    """See `read_tuned_state`."""
    archive = open_file(path)
    form = format or _format_of(archive)
    names = dict(sorted(layers_of(archive.shapes, TUNED_FORMATS[form].name).items()))
    if any(".ts_state" in name for name in archive.shapes):  # RWKV-PEFT's "fullstate" trains shifts too
        raise UnsupportedFormat(str(path), "full-state")
    if not names:
        raise UnsupportedFormat(str(path), "no-tuned-state")
    return TunedFile(archive, form, names, _without_batch(archive.shapes[next(iter(names.values()))]))


def read_tuned_state(path: Path, spec: ModelSpec, format: str | None = None) -> dict[int, Tensor]:  # noqa: A002  the command's word
    """Layer → [H,V,K] fp32, of a tuned state or of a model's file with one merged in.

    Args:
        spec: the model that it is for.
        format: a key of `TUNED_FORMATS`, where the file's container and names do not tell.

    Raises:
        TunedStateMismatch: it is of a model of another size, with both sizes.
        ModelNotFound, UnsupportedFormat, WeightsCorrupt.
    """
    opened = open_tuned_state(path, format)
    _check(opened.archive, opened.names, spec)
    return opened.read()


def merged_state(path: Path, spec: ModelSpec) -> dict[int, Tensor]:
    """The tuned state that is merged into a model's file, as `read_tuned_state` gives it; {} for none."""
    archive = open_file(path)
    if not any(name.endswith(ENDING) for name in archive.shapes):
        return {}
    return read_tuned_state(path, spec)


def begun_from(layers: dict[int, Tensor], zero: State) -> State:
    """The state before the first token, with these wkv states in the place of zeros.

    Args:
        zero: the model's, of batch 1.
    """
    wkv = torch.stack([layers[layer] for layer in sorted(layers)])[None].to(zero.tensors["wkv_BLHVK"])
    return State(zero.arch, zero.tensors | {"wkv_BLHVK": wkv})
