"""A model on its way into another file: names, shapes and dtypes first, each value when its turn comes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from engine.errors import InvalidRequest, WeightsCorrupt
from engine.models.names import expected_shapes, stored_shape, unused
from engine.weights.turns import WORLD, Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

    from engine.types import ModelSpec
    from engine.weights.archive import Archive

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_PIECE = 16 << 20  # bytes between two looks at whether to stop

# what "stored" means for formats whose values are not stored as plain numbers; the dequantised values of
# all of them fit fp16, which keeps three bits more of them than bf16
_UNPACKED = {"gguf": torch.float16}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What a writer gets.

    Attributes:
        path: where the weights come from, for errors.
        shapes: official names and shapes as official files keep them, those that are never used included
            where the source has them.
        get: a value under an official name, in whatever dtype it comes.
        dtypes: what each is to be stored as.
        dtype: what was asked for: "stored", or one of the writer's own.
        notes: what the source says of itself.
        turns: how a conversation is spelt, for formats that carry it.
    """

    path: Path
    spec: ModelSpec
    shapes: dict[str, tuple[int, ...]]
    get: Callable[[str], Tensor]
    dtypes: dict[str, torch.dtype]
    dtype: str = "stored"
    notes: dict[str, str] = field(default_factory=dict)
    turns: Turns = WORLD

    @property
    def nbytes(self) -> int:
        """Bytes of all values in `dtypes`."""
        return sum(
            torch.Size(shape).numel() * self.dtypes[name].itemsize for name, shape in self.shapes.items()
        )

    def with_more(self, tensors: dict[str, Tensor]) -> Outgoing:
        """With other tensors after the model's own: bf16 where nothing else was asked for."""
        shapes = {name: tuple(x.shape) for name, x in tensors.items()}
        dtypes = dict.fromkeys(tensors, DTYPES.get(self.dtype, torch.bfloat16))

        def get(name: str) -> Tensor:
            return tensors[name] if name in tensors else self.get(name)

        return replace(self, shapes=self.shapes | shapes, dtypes=self.dtypes | dtypes, get=get)

    def value(self, name: str) -> Tensor:
        """The tensor as it is to be stored: shape, dtype, contiguous."""
        return cast(self.get(name), self.dtypes[name], self.path, name).reshape(self.shapes[name])


def cast(x: Tensor, dtype: torch.dtype, path: Path, name: str) -> Tensor:
    """`x` in `dtype`, contiguous.  Raises WeightsCorrupt where fp16 has no such numbers."""
    result = x.to(dtype).contiguous()
    if dtype == torch.float16 != x.dtype and result.isinf().any():
        raise WeightsCorrupt(str(path), name, "numbers between ±65504 (fp16)", "larger ones")
    return result


def pieces(x: Tensor) -> Iterator[memoryview]:
    """The bytes of a contiguous tensor, little-endian, in pieces of a few megabytes."""
    if x.numel() == 0:
        return
    data = x.detach().reshape(-1).view(torch.uint8).numpy().data
    for start in range(0, len(data), _PIECE):
        yield data[start : start + _PIECE]


def _dtype_of(archive: Archive, name: str, dtype: str) -> torch.dtype:
    if dtype in DTYPES:
        return DTYPES[dtype]
    return _UNPACKED[archive.format] if archive.format in _UNPACKED else archive.get(name).dtype


def outgoing(
    archive: Archive, spec: ModelSpec, dtype: str = "stored", get: Callable[[str], Tensor] | None = None
) -> Outgoing:
    """A whole model of an archive.

    Args:
        dtype: "stored" keeps every tensor's own, or a key of `DTYPES`; others are a writer's own.
        get: values in place of the archive's, e.g. with an adapter merged.
    """
    names = [*expected_shapes(spec), *(name for name in sorted(unused(spec)) if name in archive.shapes)]
    shapes = {name: stored_shape(spec, name) for name in names}
    dtypes = {name: _dtype_of(archive, name, dtype) for name in names}
    return Outgoing(archive.path, spec, shapes, get or archive.get, dtypes, dtype, archive.notes)


def check_dtype(dtype: str, known: tuple[str, ...]) -> None:
    """Raises InvalidRequest."""
    if dtype not in known:
        raise InvalidRequest(f"dtype {dtype}, not one of {', '.join(known)}")
