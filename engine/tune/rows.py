"""Training rows in one file: written row by row, read where they lie in the mapped file. No torch in here.

A safetensors file with three tensors:

offsets   int64 [rows + 1]   where each row begins, from 0 to N
ids       int32 [N]          token ids
weights   fp32 or uint8 [N]  what the loss of predicting each id counts; uint8 where all are 0 or 1
"""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from engine.durable import into_place
from engine.errors import DiskFailed, EngineError, TuneDataInvalid
from engine.weights.safetensors_file import read_safetensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from engine.types import Row

    Array = np.ndarray[Any, Any]

LONGEST = 1 << 24  # tokens of a row
LARGEST_WEIGHT = 1e6
_ALIGNED = 64
_PIECE = 1 << 20  # numbers that are checked, or copied, at once
_DTYPES = {"I64": "int64", "I32": "int32", "F32": "fp32", "U8": "uint8"}
_NUMPY = {"int64": "<i8", "int32": "<i4", "fp32": "<f4", "uint8": "u1"}
_CODES = {"<i8": "I64", "<i4": "I32", "<f4": "F32", "u1": "U8"}


class Rows:
    """Rows that lie in a mapped file; a value of numbers, safe to be read from anywhere."""

    def __init__(self, offsets: Array, ids: Array, weights: Array) -> None:
        self._offsets, self._ids, self._weights = offsets, ids, weights

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def row(self, i: int) -> tuple[Any, Any]:
        """Ids int64 [n] and weights fp32 [n] of a row, in memory of their own."""
        start, end = self._offsets[i], self._offsets[i + 1]
        return self._ids[start:end].astype(np.int64), self._weights[start:end].astype(np.float32)

    @property
    def lengths(self) -> Array:
        """Tokens of each row, int64."""
        return np.diff(self._offsets)

    @property
    def tokens(self) -> int:
        return int(self._offsets[-1])

    @property
    def largest_id(self) -> int:
        """-1 without any."""
        return max((int(piece.max()) for piece in _pieces(self._ids)), default=-1)

    def trained(self, i: int) -> float:
        """What a row's loss counts in all: 0 where there is nothing to learn."""
        start, end = self._offsets[i], self._offsets[i + 1]
        return float(self._weights[start + 1 : end].sum(dtype=np.float64)) if end > start + 1 else 0.0


def _pieces(x: Array) -> Iterator[Array]:
    for start in range(0, len(x), _PIECE):
        yield x[start : start + _PIECE]


# ------------------------------------------------------------------------------------------------- writing


def write(path: Path, rows: Iterable[Row]) -> int:
    """Writes the rows as they come, whole or not at all; returns how many.  Raises: see `writing`."""
    number = 0
    with writing(path) as add:
        for number, row in enumerate(rows, 1):  # noqa: B007  the last one's is how many
            add(row)
    return number


@contextmanager
def writing(path: Path) -> Iterator[Callable[[Row], None]]:
    """A function that takes row after row; at the end they are in the file, or after an error nowhere.
    Memory: 8 bytes for each row.

    Raises:
        TuneDataInvalid: a row that is empty or too long, with other numbers of ids than of weights, or with a
            number out of range; `line` is the row's, from 1.
        DiskFailed.
    """
    with ExitStack() as begun:
        with _disk(path):
            ids, weights, whole = begun.enter_context(_spools(path))
            files = [begun.enter_context(each.open("wb")) for each in (ids, weights)]
        spool = _Spool(path, *files)
        yield spool.add
        with _disk(path):
            for each in files:
                each.close()
            stored = "u1" if spool.only_masks else "<f4"
            _join(whole, np.array(spool.offsets, "<i8"), ids, weights, stored)
            into_place(whole, path)


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """What fails inside is this file's disk, not where the rows come from.  Raises DiskFailed."""
    try:
        yield
    except OSError as error:
        raise DiskFailed(str(path), error.strerror or str(error)) from error


@contextmanager
def _spools(path: Path) -> Iterator[tuple[Path, Path, Path]]:
    """Three temporary files beside `path`, gone at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    places = [path.with_name(f".{path.name}.{each}.tmp") for each in ("ids", "weights", "whole")]
    with ExitStack() as gone:
        for place in places:
            gone.callback(place.unlink, missing_ok=True)
        yield places[0], places[1], places[2]


class _Spool:
    """Every row's numbers as they come.

    Attributes:
        offsets: where rows begin.  only_masks: all weights are 0 or 1.
    """

    def __init__(self, path: Path, ids: IO[bytes], weights: IO[bytes]) -> None:
        self._path, self._ids, self._weights = path, ids, weights
        self.offsets, self.only_masks = [0], True

    def add(self, row: Row) -> None:
        tokens, counts = _checked(self._path, len(self.offsets), row)
        self.only_masks = self.only_masks and bool(((counts == 0) | (counts == 1)).all())
        with _disk(self._path):
            self._ids.write(tokens.tobytes())
            self._weights.write(counts.tobytes())
        self.offsets.append(self.offsets[-1] + len(tokens))


def _checked(path: Path, number: int, row: Row) -> tuple[Array, Array]:
    """Ids int32 and weights fp32 of a row."""
    tokens, counts = np.asarray(row[0], np.int64), np.asarray(row[1], np.float64)
    if not 0 < len(tokens) <= LONGEST or len(tokens) != len(counts):
        raise TuneDataInvalid(str(path), number, f"{len(tokens)} ids and {len(counts)} weights")
    if tokens.min() < 0 or tokens.max() >= 1 << 31:
        raise TuneDataInvalid(str(path), number, "an id that is none")
    if not ((counts >= 0) & (counts <= LARGEST_WEIGHT)).all():
        raise TuneDataInvalid(str(path), number, f"a weight outside 0…{LARGEST_WEIGHT:g}")
    return tokens.astype("<i4"), counts.astype("<f4")


def _join(whole: Path, offsets: Array, ids: Path, weights: Path, stored: str) -> None:
    """The header, then the three tensors."""
    sizes = {
        "offsets": ("<i8", len(offsets)),
        "ids": ("<i4", int(offsets[-1])),
        "weights": (stored, int(offsets[-1])),
    }
    with whole.open("wb") as out:
        out.write(_header(sizes))
        out.write(offsets.tobytes())
        with ids.open("rb") as source:
            shutil.copyfileobj(source, out, _PIECE)
        with weights.open("rb") as source:
            while block := source.read(4 * _PIECE):
                out.write(np.frombuffer(block, "<f4").astype(stored).tobytes())


def _header(sizes: dict[str, tuple[str, int]]) -> bytes:
    table: dict[str, Any] = {"__metadata__": {"format": "tune-rows"}}
    place = 0
    for name, (dtype, length) in sizes.items():
        end = place + np.dtype(dtype).itemsize * length
        table[name] = {"dtype": _CODES[dtype], "shape": [length], "data_offsets": [place, end]}
        place = end
    text = json.dumps(table).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNED)
    return len(text).to_bytes(8, "little") + text


# ------------------------------------------------------------------------------------------------- reading


def read(path: Path) -> Rows:
    """Maps the file; every number that places a row, every id and every weight is checked once.

    Raises:
        TuneDataInvalid: it is no such file, or damaged; `line` is the row's where one is to blame, else 0.
    """
    try:
        found = read_safetensors(path, _DTYPES)
        arrays = {name: _array(found.file.bytes, each) for name, each in found.places.items()}
    except EngineError as error:
        raise TuneDataInvalid(str(path), 0, "no file of training rows, or a damaged one") from error
    kinds = {name: (x.dtype.str.lstrip("|"), x.ndim) for name, x in arrays.items()}
    weight = kinds.pop("weights", None)
    if kinds != {"offsets": ("<i8", 1), "ids": ("<i4", 1)} or weight not in {("<f4", 1), ("u1", 1)}:
        raise TuneDataInvalid(str(path), 0, "other tensors than offsets, ids and weights")
    rows = arrays["offsets"], arrays["ids"], arrays["weights"]
    _check_offsets(path, *rows)
    _check_numbers(path, *rows)
    return Rows(*rows)


def _array(content: memoryview, place: Any) -> Array:
    return np.frombuffer(content[place.start : place.end], _NUMPY[place.dtype]).reshape(place.shape)


def _check_offsets(path: Path, offsets: Array, ids: Array, weights: Array) -> None:
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(ids) or len(weights) != len(ids):
        raise TuneDataInvalid(str(path), 0, "rows that do not fill the file")
    for start in range(0, len(offsets) - 1, _PIECE):
        steps = np.diff(offsets[start : start + _PIECE + 1])
        wrong = np.flatnonzero((steps <= 0) | (steps > LONGEST))
        if len(wrong):
            raise TuneDataInvalid(str(path), start + int(wrong[0]) + 1, "a row of no possible length")


def _check_numbers(path: Path, offsets: Array, ids: Array, weights: Array) -> None:
    for start in range(0, len(ids), _PIECE):
        tokens, counts = ids[start : start + _PIECE], weights[start : start + _PIECE]
        wrong = np.flatnonzero((tokens < 0) | ~((counts >= 0) & (counts <= LARGEST_WEIGHT)))
        if len(wrong):
            line = int(np.searchsorted(offsets, start + int(wrong[0]), "right"))
            raise TuneDataInvalid(str(path), line, "an id or a weight that is none")


def plain(rows: Sequence[Row]) -> Rows:
    """The same from rows in memory."""
    offsets = np.cumsum([0, *(len(tokens) for tokens, _ in rows)], dtype=np.int64)
    if not rows:
        return Rows(offsets, np.zeros(0, "<i4"), np.zeros(0, "<f4"))
    ids = np.concatenate([np.asarray(tokens, "<i4") for tokens, _ in rows])
    return Rows(offsets, ids, np.concatenate([np.asarray(weights, "<f4") for _, weights in rows]))
