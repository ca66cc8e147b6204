"""An archive's tensors as a model takes them: in place where they are right as stored, else converted.

Every official tensor is checked for NaN and infinity when it is read, by one pass over the mapping, far
faster than a disk (tests/bench/README.md). What comes from a converted layout was checked when that was made,
and is compared with its checksum.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from engine.errors import DiskFailed, WeightsCorrupt
from engine.models.names import expected_shapes
from engine.models.prepare import LN0, dtype_of, is_unchanged, prepare_tensor, prepared_shapes
from engine.models.tiers import tier_name
from engine.types import NotKept, Progress
from engine.weights.layout import (
    Damaged,
    Layout,
    Plan,
    check_unchanged,
    file_marks,
    find_layout,
    room_for,
    write_layout,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from torch import Tensor

    from engine.types import ModelSpec
    from engine.weights.archive import Archive

Tensors = dict[str, torch.Tensor]

# Below this many bytes a model is copied: that takes no time, and its file may be changed afterwards.
MAPPED_FROM = 64 << 20
# Below this many bytes of converted tensors they are converted at every load, in a fraction of a second.
KEPT_FROM = 32 << 20
# From this many numbers on, a channel mix's second matrix is turned, so that decoding reads few of its rows.
TURNED_FROM = 1 << 20
_TURNED = ".ffn.value.weight"


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read, for which device and run dtype; `shapes` are `expected_shapes` of the spec."""

    archive: Archive
    spec: ModelSpec
    dtype: torch.dtype
    device: torch.device
    should_stop: Callable[[], bool]
    shapes: dict[str, tuple[int, ...]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shapes", expected_shapes(self.spec))  # once: every tensor asks for it

    def checked(self, name: str) -> Tensor:
        """An official tensor, vectors as [C], all of its numbers finite."""
        x = self.archive.get(name)
        low, high = torch.aminmax(x)
        if not (torch.isfinite(low) and torch.isfinite(high)):
            raise WeightsCorrupt(str(self.archive.path), name, "finite numbers", "NaN or infinity")
        return x.reshape(self.shapes[name])

    def converted(self, name: str) -> Tensor:
        """A prepared tensor, contiguous."""
        return prepare_tensor(name, self.checked, self.spec, self.dtype).contiguous()

    def is_in_place(self, name: str) -> bool:
        """Whether a tensor is right as it lies in the mapped file."""
        if not self.archive.mapped:
            return False
        stored = self.archive.get(name)
        return stored.is_contiguous() and is_unchanged(name, stored.dtype, self.spec, self.dtype)


def tensors_of(reading: Reading, cache: Path | None) -> Generator[Progress | NotKept, None, Tensors | None]:
    """The model's tensors on its device; None if stopped."""
    if reading.device.type != "cpu" or reading.archive.nbytes < MAPPED_FROM:
        return (yield from _copied(reading))
    return (yield from _mapped(reading, cache))


def _copied(reading: Reading) -> Generator[Progress, None, Tensors | None]:
    """In memory of their own: the file is not needed afterwards."""
    if any(reading.should_stop() for _ in reading.archive.verify()):
        return None
    shapes = prepared_shapes(reading.spec)
    total = sum(_nbytes(shape, dtype_of(n, reading.spec, reading.dtype)) for n, shape in shapes.items())
    values = ((name, reading.converted(name).to(reading.device, copy=True)) for name in shapes)
    return (yield from _collected(values, total, reading.should_stop))


def _nbytes(shape: tuple[int, ...], dtype: torch.dtype) -> int:
    return torch.Size(shape).numel() * dtype.itemsize


def _collected(
    values: Iterator[tuple[str, Tensor]], total: int, should_stop: Callable[[], bool]
) -> Generator[Progress, None, Tensors | None]:
    """Reports at most a hundred times."""
    tensors: Tensors = {}
    done, reported = 0, -1
    for name, x in values:
        if should_stop():
            return None
        tensors[name] = x
        done += x.nbytes
        if done * 100 // total > reported:
            reported = done * 100 // total
            yield Progress("load", done, total)
    return tensors


# --------------------------------------------------------------------------------------- where the file lies


def _mapped(reading: Reading, cache: Path | None) -> Generator[Progress | NotKept, None, Tensors | None]:
    names = _names(reading)
    in_place = {name for name in names if reading.is_in_place(name)}
    turned = frozenset(name for name in names if _is_turned(name, reading))
    plan = _plan(reading, [name for name in names if name not in in_place - turned], turned)
    layout = find_layout(plan, cache) if plan.nbytes >= KEPT_FROM else None
    if layout:
        try:
            return (yield from _together(reading, names, layout, plan))
        except Damaged:
            layout = None  # and is replaced
    if any(reading.should_stop() for _ in reading.archive.verify()):
        return None
    if plan.nbytes >= KEPT_FROM:
        if (yield from _kept(reading, plan, cache)) is None:
            return None
        layout = find_layout(plan, cache)
    try:
        return (yield from _together(reading, names, layout, plan))
    except Damaged as error:  # what was just written reads otherwise
        raise DiskFailed(str(layout.path if layout else plan.model), "another checksum") from error


def _names(reading: Reading) -> list[str]:
    """An embedding that can stay in place keeps ln0 beside it, to be applied to the rows that are used."""
    if reading.is_in_place("emb.weight"):
        return list(reading.shapes)
    return list(prepared_shapes(reading.spec))


def _is_turned(name: str, reading: Reading) -> bool:
    return name.endswith(_TURNED) and reading.spec.n_embd * reading.spec.n_ffn >= TURNED_FROM


def _plan(reading: Reading, changed: list[str], turned: frozenset[str]) -> Plan:
    shapes = prepared_shapes(reading.spec)
    entries = tuple((n, shapes[n], dtype_of(n, reading.spec, reading.dtype)) for n in changed if n not in LN0)
    files = file_marks(reading.archive.files)
    return Plan(reading.archive.path, files, tier_name(reading.dtype), entries, turned)


def _together(
    reading: Reading, names: list[str], layout: Layout | None, plan: Plan
) -> Generator[Progress, None, Tensors | None]:
    """All tensors: from the layout, from the model's file, or converted now."""
    total = sum(_nbytes(reading.shapes[name], dtype_of(name, reading.spec, reading.dtype)) for name in names)

    def value(name: str) -> Tensor:
        if layout and name in layout.names:
            return layout.tensor(name)
        return reading.checked(name) if reading.is_in_place(name) else reading.converted(name)

    tensors = yield from _collected(((name, value(name)) for name in names), total, reading.should_stop)
    check_unchanged(plan)
    return tensors


def _kept(
    reading: Reading, plan: Plan, cache: Path | None
) -> Generator[Progress | NotKept, None, bool | None]:
    """Writes the layout where there is room; None if stopped, False if nowhere."""
    for place in room_for(plan, cache):
        try:
            for done in write_layout(place, plan, reading.converted):
                if reading.should_stop():
                    return None
                yield Progress("convert", done, plan.nbytes)
        except DiskFailed:
            continue  # not to be written to, or full meanwhile
        return True
    yield NotKept(str(plan.model), plan.nbytes)
    return False
