"""Training rows on the disk: what is written is what is read, and no file of another kind is believed."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.errors import EngineError, TuneDataInvalid
from engine.tune import rows
from tests.engine.mutations import ANY, safetensors

if TYPE_CHECKING:
    from pathlib import Path

    from engine.types import Row

MASKS: list[Row] = [([5, 6, 7], [0, 1, 1]), ([9], [0]), (list(range(3000)), [1.0] * 3000)]
SHARES: list[Row] = [([5, 6, 7], [0.1, 0.0, 2.5]), ([0, 65535], [0, 1e6])]


@pytest.mark.parametrize(("content", "stored"), [(MASKS, "u1"), (SHARES, "<f4"), ([], "u1")])
def test_what_is_written_is_read(content: list[Row], stored: str, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "rows.safetensors"
    assert rows.write(path, iter(content)) == len(content)
    found = rows.read(path)
    assert len(found) == len(content)
    assert found._weights.dtype == np.dtype(stored)
    for i, (tokens, weights) in enumerate(content):
        ids, counts = found.row(i)
        assert (ids.dtype, counts.dtype) == (np.int64, np.float32)
        assert ids.tolist() == list(tokens)
        np.testing.assert_array_equal(counts, np.array(weights, np.float32))
    assert found.lengths.tolist() == [len(tokens) for tokens, _ in content]
    assert found.tokens == sum(len(tokens) for tokens, _ in content)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_what_a_row_counts(tmp_path: Path) -> None:
    """The first token is predicted by nothing, so its weight is not used."""
    rows.write(tmp_path / "rows", [([1, 2, 3], [9, 0.5, 0.25]), ([4], [1])])
    found = rows.read(tmp_path / "rows")
    assert [found.trained(i) for i in range(2)] == [0.75, 0.0]
    assert found.largest_id == 4


def test_rows_in_memory_are_the_same(tmp_path: Path) -> None:
    rows.write(tmp_path / "rows", SHARES)
    stored, made = rows.read(tmp_path / "rows"), rows.plain(SHARES)
    for i in range(len(SHARES)):
        for x, y in zip(stored.row(i), made.row(i), strict=True):
            np.testing.assert_array_equal(x, y)
    assert len(rows.plain([])) == 0


WRONG: dict[str, tuple[list, list]] = {
    "no ids": ([], []),
    "fewer weights": ([1, 2], [1]),
    "a negative id": ([1, -2], [1, 1]),
    "an id above all": ([1, 1 << 31], [1, 1]),
    "a negative weight": ([1, 2], [1, -1]),
    "not a number": ([1, 2], [1, float("nan")]),
    "infinity": ([1, 2], [1, float("inf")]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_row_that_is_none_leaves_what_was_there(case: str, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    rows.write(path, MASKS)
    before = path.read_bytes()
    with pytest.raises(TuneDataInvalid) as error:
        rows.write(path, [([1], [1]), WRONG[case]])
    assert error.value.line == 2
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def with_arrays(path: Path, offsets: list[int], ids: list[int], weights: list[float]) -> Path:
    """A file whose header is right, of numbers that may not be."""
    sizes = {
        "offsets": ("<i8", len(offsets)),
        "ids": ("<i4", len(ids)),
        "weights": ("<f4", len(weights)),
    }
    arrays = (np.array(offsets, "<i8"), np.array(ids, "<i4"), np.array(weights, "<f4"))
    path.write_bytes(rows._header(sizes) + b"".join(x.tobytes() for x in arrays))
    return path


ARRAYS: dict[str, tuple[list[int], list[int], list[float], int]] = {
    "no offsets": ([], [1], [1], 0),
    "not from the start": ([1, 2], [1, 2], [1, 1], 0),
    "not to the end": ([0, 1], [1, 2], [1, 1], 0),
    "beyond the end": ([0, 3], [1, 2], [1, 1], 0),
    "backwards": ([0, 2, 1, 3], [1, 2, 3], [1, 1, 1], 2),
    "an empty row": ([0, 0, 3], [1, 2, 3], [1, 1, 1], 1),
    "fewer weights": ([0, 2], [1, 2], [1], 0),
    "a negative id": ([0, 1, 2], [1, -2], [1, 1], 2),
    "a weight that is none": ([0, 1, 2], [1, 2], [float("nan"), 1], 1),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_numbers_that_place_nothing(case: str, tmp_path: Path) -> None:
    offsets, ids, weights, line = ARRAYS[case]
    with pytest.raises(TuneDataInvalid) as error:
        rows.read(with_arrays(tmp_path / "rows", offsets, ids, weights))
    assert error.value.line == line


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_text(json.dumps({"rows": []}))
    with pytest.raises(TuneDataInvalid):
        rows.read(path)
    with pytest.raises(EngineError):
        rows.read(tmp_path / "missing")


def test_damaged_files(tmp_path: Path, sample) -> None:
    """Whatever is changed: rows whose every number is in its range, or one typed error."""
    path, rng = tmp_path / "rows", random.Random(7)
    rows.write(path, SHARES * 20)
    whole = path.read_bytes()
    for _ in range(sample("damaged rows", 200, 5000)):
        path.write_bytes(rng.choice((*ANY, safetensors))(whole, rng))
        try:
            found = rows.read(path)
        except EngineError:
            continue
        for i in range(len(found)):
            ids, weights = found.row(i)
            assert len(ids) == len(weights) > 0
            assert ids.min() >= 0
            assert np.isfinite(weights).all()
