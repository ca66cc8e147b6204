"""The quickest way for one row: measured once for each shape, remembered, and never another arithmetic."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest
import torch

from engine import row_speeds
from engine.models.int8 import quantised
from engine.ops.linear import ways
from engine.ops.linear.digits import DigitRow, rows_for
from engine.ops.linear.one_row import NativeRow, PlainRow
from engine.ops.linear.ways import WAYS, CommonRow, name_of, one_row, use
from engine.quant import pack4, unpack4
from engine.row_speeds import FILE, choose_ways, fastest, machine
from engine.weights.load import load
from tests.engine import tiny

BF16 = torch.bfloat16
PLAIN = (torch.randn(32, 64).bfloat16(), None)
EIGHT = quantised(torch.randn(32, 64))


@pytest.fixture(autouse=True)
def forgotten():
    yield
    use({})


KINDS: tuple[Any, ...] = (NativeRow, PlainRow, ways.LinearRow, DigitRow, CommonRow)


class Slow:
    """A clock by which every product takes 10 seconds, but those of one way."""

    def __init__(self, quick: type) -> None:
        self._quick, self._now = quick, 0.0

    def __enter__(self) -> Slow:
        self._calls: dict[Any, Any] = {each: each.__call__ for each in KINDS}
        for each, call in self._calls.items():
            each.__call__ = self._timed(each, call)
        return self

    def _timed(self, kind: Any, call: Any) -> Any:
        def timed(matrix: Any, rows: Any, i: int, out: Any) -> Any:
            self._now += 1 if kind is self._quick else 10
            return call(matrix, rows, i, out)

        return timed

    def __exit__(self, *_: object) -> None:
        for each, call in self._calls.items():
            each.__call__ = call

    def __call__(self) -> float:
        return self._now


@pytest.mark.parametrize(
    ("quick", "name"), [(NativeRow, "native"), (PlainRow, "onednn"), (ways.LinearRow, "linear")]
)
def test_the_quickest_is_found(quick, name):
    with Slow(quick) as now:
        assert fastest({name_of(*PLAIN): [PLAIN]}, BF16, now) == {"16-bit 32x64": name}


def test_a_little_quicker_is_not_enough():
    """What is measured on a busy machine is not certain."""
    ticks = count()
    assert fastest({name_of(*EIGHT): [EIGHT]}, BF16, lambda: next(ticks) * 1e-6) == {"int8 32x64": "digits"}


def test_it_is_measured_once_and_remembered(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        row_speeds,
        "fastest",
        lambda shapes, dtype: asked.append(sorted(shapes)) or {"16-bit 32x64": "linear"},
    )
    assert choose_ways([PLAIN], BF16, tmp_path) == {"16-bit 32x64": "linear"}
    assert isinstance(one_row(*PLAIN), ways.LinearRow)
    choose_ways([PLAIN], BF16, tmp_path)
    choose_ways([PLAIN, EIGHT], BF16, tmp_path)
    assert asked == [["16-bit 32x64"], ["int8 32x64"]]
    assert list(json.loads((tmp_path / FILE).read_text())) == [machine()]
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_another_processor_torch_or_number_of_threads_is_measured_anew(tmp_path, monkeypatch):
    choose_ways([PLAIN], BF16, tmp_path)
    monkeypatch.setattr(row_speeds, "machine", lambda: "another")
    choose_ways([PLAIN], BF16, tmp_path)
    assert set(json.loads((tmp_path / FILE).read_text())) == {machine(), "another"}


def test_without_a_folder_nothing_is_measured(monkeypatch):
    use({"16-bit 32x64": "linear"})
    monkeypatch.setattr(row_speeds, "fastest", None)
    assert choose_ways([PLAIN], BF16, None) == {}
    assert type(one_row(*PLAIN)) is NativeRow


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b"[" * 100_000,
        b'{"HERE": 3}',
        b'{"HERE": {"16-bit 32x64": "shell"}}',
        b'{"HERE": {"16-bit 32x64": []}}',
    ],
)
def test_a_file_that_is_not_ours_is_as_none(content, tmp_path):
    (tmp_path / FILE).write_bytes(content.replace(b"HERE", machine().encode()))
    assert choose_ways([PLAIN], BF16, tmp_path)["16-bit 32x64"] in WAYS["16-bit"]


def test_a_folder_that_cannot_be_written_to_is_no_fault(tmp_path):
    (tmp_path / "file").write_text("")
    assert choose_ways([PLAIN], BF16, tmp_path / "file" / "folder")


def test_the_time_is_bounded():
    ticks = count()
    many = {f"16-bit {n}x64": [PLAIN] for n in range(50)}
    found = fastest(many, BF16, lambda: next(ticks) * 0.01)
    assert 0 < len(found) < 10


@pytest.mark.parametrize("kind", ["16-bit", "int8", "int4"])
def test_no_way_of_a_kind_changes_what_a_tier_means(kind):
    """All within one rounding to bf16 of the exact product, so of each other within two."""
    rng = torch.Generator().manual_seed(0)
    numbers, x = torch.randn(48, 256, generator=rng), torch.randn(1, 256, generator=rng).bfloat16()
    made = {"16-bit": (numbers.bfloat16(),), "int8": quantised(numbers), "int4": pack4(numbers, BF16)}[kind]
    meant = {
        "16-bit": lambda w: w.double(),
        "int8": lambda w, scale: w.double() * scale.double()[:, None],
        "int4": lambda w, scale: unpack4(w, scale).double(),
    }[kind](*made)
    truth = (x.double() @ meant.mT)[0]
    for way in WAYS[kind].values():
        matrix = way(*made)
        rows, out = rows_for(matrix, 1, 256, BF16), torch.empty(48, dtype=matrix.dtype)
        rows.x.copy_(x)
        rows.ready()
        matrix(rows, 0, out)
        bound = 2.0**-8 if kind != "int4" or not isinstance(matrix, CommonRow) else 3 * 2.0**-8
        assert (out.double() * rows.step - truth).norm() <= bound * truth.norm()


def test_a_model_that_is_loaded_is_measured(tmp_path):
    path = tiny.checkpoint(tmp_path / "a.pth", tiny.spec(2, 64, 32, 100, 8))
    for tier in ("bf16", "int8", "int4"):
        list(load(path, device="cpu", dtype=tier, cache=tmp_path / "cache"))
    (names,) = json.loads((tmp_path / "cache" / FILE).read_text()).values()
    assert {"16-bit 64x64", "16-bit 256x64", "16-bit 100x64", "int8 64x64", "int4 64x32"} <= set(names)
