"""Sums over a model's tensors cost the same for any depth, and are those over every tensor."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.models import int8_names, names, packed_names
from engine.models.int8_names import ROW_TIERS, bits_of_rows, copied_bytes, quantised_bytes
from engine.models.names import counted_shapes, expected_shapes, split_name
from engine.models.packed_names import BITS, bits_of, packed_bytes
from tests.engine import tiny

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.types import ModelSpec

DEPTHS = (1, 2, 5)
ARCHS = pytest.mark.parametrize("arch", tiny.ARCHS)


def spec_of(arch: str, depth: int) -> ModelSpec:
    return replace(tiny.spec(n_embd=64, arch=arch), n_layer=depth)


def kinds(shapes: Iterable[tuple[str, tuple[int, ...], int]]) -> Counter[tuple[str, tuple[int, ...]]]:
    """How many tensors of a name (without its layer) and shape there are."""
    found: Counter[tuple[str, tuple[int, ...]]] = Counter()
    for name, shape, times in shapes:
        split = split_name(name)
        found[split[1] if split else name, shape] += times
    return found


def one_by_one(spec: ModelSpec) -> Iterator[tuple[str, tuple[int, ...], int]]:
    yield from ((name, shape, 1) for name, shape in expected_shapes(spec).items())


@ARCHS
@pytest.mark.parametrize("depth", DEPTHS)
def test_as_many_of_each_kind_as_there_are(arch: str, depth: int) -> None:
    spec = spec_of(arch, depth)
    assert kinds(counted_shapes(spec)) == kinds(one_by_one(spec))
    assert {name for name, _, _ in counted_shapes(spec)} <= expected_shapes(spec).keys()


@ARCHS
@pytest.mark.parametrize("depth", DEPTHS)
def test_bytes_are_those_of_every_tensor(arch: str, depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the same sums over all tensors."""
    spec = spec_of(arch, depth)
    sums = [
        (of, tier) for of, tiers in ((packed_bytes, BITS), (quantised_bytes, ROW_TIERS)) for tier in tiers
    ]
    sums += [(copied_bytes, tier) for tier in ROW_TIERS]
    found = [of(spec, tier) for of, tier in sums]
    for module in (int8_names, packed_names):
        monkeypatch.setattr(module, "counted_shapes", one_by_one)
    assert found == [of(spec, tier) for of, tier in sums]


@ARCHS
def test_what_is_counted_is_what_is_in_few_bits(arch: str) -> None:
    spec = spec_of(arch, 3)
    shapes = expected_shapes(spec).items()
    for tier in ROW_TIERS:
        few = [math.prod(shape) for name, shape in shapes if bits_of_rows(name, shape, tier)]
        assert quantised_bytes(spec, tier)[0] == sum(few) > 0
    for tier in BITS:
        few = [math.prod(shape) for name, shape in shapes if bits_of(name, shape, tier)]
        assert packed_bytes(spec, tier)[0] == sum(few) > 0


@ARCHS
def test_a_deep_model_is_no_more_work(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    of_block = names.block_shapes

    def counted(spec: ModelSpec, layer: int) -> names.Shapes:
        asked.append(layer)
        return of_block(spec, layer)

    monkeypatch.setattr(names, "block_shapes", counted)
    quantised_bytes(spec_of(arch, 61), "int8")
    assert asked == [0, 1]
