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
from engine.maps import forget
from engine.models.int8 import forms, tier_tensors
from engine.models.int8_names import SCALE, VALUE, bits_of_rows
from engine.models.names import expected_shapes
from engine.models.packed import packed_tensors
from engine.models.packed_names import BITS
from engine.models.prepare import LN0, is_unchanged, prepared_shapes
from engine.models.tiers import RUN_DTYPES, TIERS
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

    from engine.models.int8 import Form
    from engine.types import ModelSpec
    from engine.weights.archive import Archive

Tensors = dict[str, torch.Tensor]

# Below this many bytes a model is copied: that takes no time, and its file may be changed afterwards.
MAPPED_FROM = 64 << 20
# Below this many bytes of converted tensors they are converted at every load, in a fraction of a second.
KEPT_FROM = 32 << 20
# From this many numbers on, a channel mix's second matrix is turned, so that decoding reads few of its rows.
TURNED_FROM = 1 << 20


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read, for which device and tier; `shapes` are `expected_shapes` of the spec.

    `change` gives the tensor to be used in place of one that was read, by official name.
    """

    archive: Archive
    spec: ModelSpec
    tier: str
    device: torch.device
    should_stop: Callable[[], bool]
    change: Callable[[str, Tensor], Tensor] = lambda _, x: x
    shapes: dict[str, tuple[int, ...]] = field(init=False)
    _scales: Tensors = field(init=False, default_factory=dict)  # made with their matrices, until asked for

    def __post_init__(self) -> None:
        object.__setattr__(self, "shapes", expected_shapes(self.spec))  # once: every tensor asks for it

    def checked(self, name: str) -> Tensor:
        """An official tensor, vectors as [C], all of its numbers finite."""
        x = self.archive.get(name)
        low, high = torch.aminmax(x)
        if not (torch.isfinite(low) and torch.isfinite(high)):
            raise WeightsCorrupt(str(self.archive.path), name, "finite numbers", "NaN or infinity")
        return self.change(name, x.reshape(self.shapes[name]))

    def converted(self, name: str) -> Tensor:
        """A prepared tensor of `forms`, contiguous."""
        if name not in self._scales:
            self._scales.update(tier_tensors(name.removesuffix(SCALE), self.checked, self.spec, self.tier))
        return self._scales.pop(name).contiguous()

    def made(self, name: str) -> Tensors:
        """All tensors of `forms` that an official one becomes, in memory of their own on the device."""
        if self.tier in BITS:
            return packed_tensors(name, self.checked, self.spec, self.tier, self.device)
        turned = _is_turned(name, self)
        made = ((key, self.converted(key)) for key in self.forms({name: self.shapes[name]}))
        return {key: _copy(x, self.device, turned=turned) for key, x in made}

    def forms(self, shapes: dict[str, tuple[int, ...]]) -> dict[str, Form]:
        """Names, shapes and dtypes of the tensors that the tier makes of these."""
        return forms(shapes, self.spec, self.tier)

    def is_in_place(self, name: str) -> bool:
        """Whether a tensor is right as it lies in the mapped file."""
        if not self.archive.mapped or name not in self.shapes or self._is_quantised(name):
            return False
        stored = self.archive.get(name)
        return stored.is_contiguous() and is_unchanged(name, stored.dtype, self.spec, RUN_DTYPES[self.tier])

    def _is_quantised(self, name: str) -> bool:
        return bits_of_rows(name, self.shapes[name], self.tier) > 0


def tensors_of(reading: Reading, cache: Path | None) -> Generator[Progress | NotKept, None, Tensors | None]:
    """The model's tensors on its device; None if stopped."""
    if is_copied(reading):
        return (yield from _copied(reading))
    return (yield from _mapped(reading, cache))


def is_copied(reading: Reading) -> bool:
    """Whether tensors get memory of their own; else they stay in the model's file or in a layout."""
    packed = reading.tier in BITS  # on the CPU only to be looked at: nothing there is quick with them
    return reading.device.type != "cpu" or packed or reading.archive.nbytes < MAPPED_FROM


def read_again(reading: Reading, cache: Path | None) -> Callable[[str], Tensors]:
    """How a loaded model's tensors, those that one official name becomes, are had a second time."""
    if is_copied(reading):
        return reading.made
    made = reading.forms(_shapes(reading))
    layout = find_layout(_plan(reading, made, _turned(reading, made)), cache)

    def tensors(name: str) -> Tensors:
        return {key: _value(reading, layout, key) for key in reading.forms({name: reading.shapes[name]})}

    return tensors


def _copied(reading: Reading) -> Generator[Progress, None, Tensors | None]:
    """In memory of their own: the file is not needed afterwards."""
    if any(reading.should_stop() for _ in reading.archive.verify()):
        return None
    shapes = prepared_shapes(reading.spec)
    values = (pair for name in shapes for pair in reading.made(name).items())
    return (yield from _collected(values, _nbytes(reading.forms(shapes)), reading.should_stop))


def _copy(x: Tensor, device: torch.device, *, turned: bool) -> Tensor:
    x = x.to(device, copy=not turned)
    return x.mT.contiguous().mT if turned else x


def _nbytes(made: dict[str, Form]) -> int:
    return sum(torch.Size(shape).numel() * dtype.itemsize for shape, dtype in made.values())


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
    made = reading.forms(_shapes(reading))
    plan = _plan(reading, made, _turned(reading, made))
    layout = find_layout(plan, cache) if plan.nbytes >= KEPT_FROM else None
    if layout:
        try:
            return (yield from _together(reading, made, layout, plan))
        except Damaged:
            layout = None  # and is replaced
    if any(reading.should_stop() for _ in reading.archive.verify()):
        return None
    if plan.nbytes >= KEPT_FROM:
        if (yield from _kept(reading, plan, cache)) is None:
            return None
        layout = find_layout(plan, cache)
    try:
        return (yield from _together(reading, made, layout, plan))
    except Damaged as error:  # what was just written reads otherwise
        raise DiskFailed(str(layout.path if layout else plan.model), "another checksum") from error


def _shapes(reading: Reading) -> dict[str, tuple[int, ...]]:
    """An embedding that can stay in place keeps ln0 beside it, to be applied to the rows that are used."""
    return reading.shapes if reading.is_in_place("emb.weight") else prepared_shapes(reading.spec)


def _turned(reading: Reading, made: dict[str, Form]) -> frozenset[str]:
    return frozenset(name for name in made if _is_turned(name, reading))


def _is_turned(name: str, reading: Reading) -> bool:
    """Its rows are hidden units then; so they are on every CUDA device, whose kernels read units."""
    large = reading.spec.n_embd * reading.spec.n_ffn >= TURNED_FROM or reading.device.type != "cpu"
    return reading.tier in TIERS and name.endswith(VALUE) and large  # int8 has it turned by itself


def _plan(reading: Reading, made: dict[str, Form], turned: frozenset[str]) -> Plan:
    """What is not right in place, or lies turned there."""
    changed = {name: form for name, form in made.items() if name in turned or not reading.is_in_place(name)}
    scales_last = sorted(changed, key=lambda name: name.endswith(SCALE))  # matrices stay aligned
    entries = tuple((name, *changed[name]) for name in scales_last if name not in LN0)
    return Plan(reading.archive.path, file_marks(reading.archive.files), reading.tier, entries, turned)


def _together(
    reading: Reading, made: dict[str, Form], layout: Layout | None, plan: Plan
) -> Generator[Progress, None, Tensors | None]:
    """All tensors."""
    tensors = yield from _collected(
        ((name, _value(reading, layout, name)) for name in made), _nbytes(made), reading.should_stop
    )
    check_unchanged(plan)
    return tensors


def _value(reading: Reading, layout: Layout | None, name: str) -> Tensor:
    """From the layout, from the model's file, or converted now."""
    if layout and name in layout.names:
        found = layout.tensor(name)
    else:
        found = reading.checked(name) if reading.is_in_place(name) else reading.converted(name)
    if name == "emb.weight":  # checked as a whole; a token reads one row
        forget(found)
    return found


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
