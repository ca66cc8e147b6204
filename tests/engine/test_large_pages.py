"""Weights that move out of a mapped file into large pages: the same numbers at the same addresses."""

from __future__ import annotations

import itertools
import os
import sys
import threading
from typing import TYPE_CHECKING

import psutil
import pytest
import torch

from engine import large_pages, maps, memory
from engine.large_pages import PAGE, moving
from engine.types import LoadRequest
from engine.weights import reading
from engine.weights.mapped import MappedFile
from tests.engine import tiny
from tests.engine.small import VOCABULARY, ask, engine_on, request, write_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

THERE = sys.platform == "linux" and large_pages._gives_large_pages()
needs_them = pytest.mark.skipif(not THERE, reason="only Linux with large pages lets memory be moved so")


@pytest.fixture(autouse=True)
def little_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_pages, "WORTH_IT", 1)


def in_files(*tensors: Tensor) -> int:
    """Bytes of whole large pages that lie in mapped files."""
    spans = maps.overlaps(maps.spans(tensors, PAGE), maps.mapped_files())
    return sum(end - start for start, end in maps.whole_pages(spans, PAGE))


@pytest.fixture
def file(tmp_path: Path) -> MappedFile:
    """Five and a half large pages of random bytes."""
    path = tmp_path / "weights"
    path.write_bytes(os.urandom(11 * PAGE // 2))
    return MappedFile(path)


# ------------------------------------------------------------------------------------------------ where


def test_neighbours_are_one_span() -> None:
    spans = [(0, 10), (10, 20), (20 + PAGE - 1, 40 + PAGE), (40 + 2 * PAGE, 50 + 2 * PAGE)]
    assert maps.joined(spans, PAGE) == [(0, 40 + PAGE), (40 + 2 * PAGE, 50 + 2 * PAGE)]


def test_a_tensor_within_another_adds_nothing() -> None:
    assert maps.joined([(0, 90), (10, 20), (30, 100)], 1) == [(0, 100)]


def test_what_is_moved_is_made_of_whole_pages() -> None:
    spans = [(1, PAGE), (PAGE - 1, 3 * PAGE + 1), (5 * PAGE, 6 * PAGE)]
    assert maps.whole_pages(spans, PAGE) == [(PAGE, 3 * PAGE), (5 * PAGE, 6 * PAGE)]


def test_pieces_cover_a_span() -> None:
    pieces = list(large_pages._pieces([(PAGE, 10 * PAGE)]))
    assert pieces[0][0] == PAGE
    assert pieces[-1][1] == 10 * PAGE
    assert all(end - start <= large_pages.PIECE for start, end in pieces)
    assert all(one[1] == next_[0] for one, next_ in itertools.pairwise(pieces))


@pytest.mark.skipif(sys.platform != "linux", reason="the table is Linux's")
def test_private_mappings_of_files_are_found(tmp_path: Path) -> None:
    table = tmp_path / "maps"
    table.write_text(
        "1000-3000 rw-p 00000000 08:01 77 /models/a file with spaces.pth\n"
        "3000-4000 rw-p 00000000 00:00 0 [heap]\n"
        "4000-5000 r--p 00001000 08:01 78 /models/b.pth (deleted)\n"
        "5000-6000 rw-s 00000000 08:01 79 /shared/with/others\n"
        "6000-7000 rw-p 00000000 00:00 0\n"
        "7000-8000 ---p 00000000 08:01 80 /not/to/be/read\n"
    )
    assert maps.mapped_files(table) == [(0x1000, 0x3000), (0x4000, 0x5000)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is mapped")
def test_what_is_forgotten_is_read_again(file: MappedFile) -> None:
    x = file.tensor(0, "uint8", (file.size,))
    own = x.clone()
    before = psutil.Process().memory_info().rss
    maps.forget(x, own)
    assert psutil.Process().memory_info().rss < before - file.size // 2
    assert torch.equal(x, own)
    assert x.numpy().tobytes() == file.path.read_bytes()


# ------------------------------------------------------------------------------------------------ moving


@needs_them
def test_the_numbers_and_their_address_stay(file: MappedFile) -> None:
    x = file.tensor(0, "uint8", (file.size,))
    expected, address, before = x.clone(), x.data_ptr(), in_files(x)
    assert before >= 4 * PAGE
    assert sum(moving([x])) == before
    assert in_files(x) == 0
    assert x.data_ptr() == address
    assert torch.equal(x, expected)


@needs_them
def test_what_no_tensor_holds_stays_in_the_file(file: MappedFile) -> None:
    x = file.tensor(0, "uint8", (2 * PAGE,))
    rest = file.tensor(2 * PAGE, "uint8", (file.size - 2 * PAGE,))
    before = in_files(rest)
    assert sum(moving([x])) in {PAGE, 2 * PAGE}  # as the mapping happens to lie
    assert in_files(rest) == before


@needs_them
def test_a_turned_tensor_is_moved_and_a_crooked_one_stays(file: MappedFile) -> None:
    x = file.tensor(0, "uint8", (PAGE, 5))
    expected, before = x.clone(), in_files(x)
    assert sum(moving([x[:, ::2]])) == 0
    assert sum(moving([x.mT])) == before
    assert torch.equal(x, expected)


@needs_them
def test_memory_of_its_own_stays() -> None:
    assert list(moving([torch.zeros(4 * PAGE)])) == []


@needs_them
def test_the_file_is_no_longer_needed(file: MappedFile) -> None:
    """What was moved survives a file that is shortened in place, which would end the process else."""
    x = file.tensor(0, "uint8", (file.size,))
    (start, end), *_ = maps.whole_pages(maps.spans([x], PAGE), PAGE)
    inner = x[start - x.data_ptr() : end - x.data_ptr()]
    expected = inner.clone()
    assert sum(moving([x])) == end - start
    file.path.write_bytes(b"")
    assert torch.equal(inner, expected)


def test_where_memory_is_scarce_it_stays(file: MappedFile, monkeypatch: pytest.MonkeyPatch) -> None:
    x = file.tensor(0, "uint8", (file.size,))
    before = in_files(x)
    for free in (0, None, 2 * before - 1):
        monkeypatch.setattr(memory, "available_bytes", lambda free=free: free)
        assert list(moving([x])) == []
        assert in_files(x) == before


@needs_them
def test_it_ends_when_memory_becomes_scarce(file: MappedFile, monkeypatch: pytest.MonkeyPatch) -> None:
    x = file.tensor(0, "uint8", (file.size,))
    expected, before, free = x.clone(), in_files(x), iter([1 << 40, 0])
    monkeypatch.setattr(memory, "available_bytes", lambda: next(free))
    monkeypatch.setattr(large_pages, "PIECE", PAGE)
    assert list(moving([x])) == [PAGE]
    assert in_files(x) == before - PAGE
    assert torch.equal(x, expected)


@pytest.mark.parametrize("text", [None, "always madvise [never]\n"])
def test_where_large_pages_are_off_it_stays(
    text: str | None, file: MappedFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch = tmp_path / "enabled"
    if text:
        switch.write_text(text)
    monkeypatch.setattr(large_pages, "SWITCH", switch)
    assert list(moving([file.tensor(0, "uint8", (file.size,))])) == []


def test_little_stays(file: MappedFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_pages, "WORTH_IT", file.size)
    assert list(moving([file.tensor(0, "uint8", (file.size,))])) == []


# ------------------------------------------------------------------------------------------------ the engine


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoadRequest:
    """8 MB of weights that stay in their file."""
    monkeypatch.setattr(reading, "MAPPED_FROM", 0)
    spec = tiny.spec(n_layer=2, n_embd=256, vocab_size=VOCABULARY, rank=8)
    path = tiny.checkpoint(tmp_path / "model.safetensors", spec)
    return LoadRequest(str(path), write_tokenizer(tmp_path / "tokenizer.json"), "cpu", "fp32")


@needs_them
def test_an_engine_moves_them_while_nobody_waits_and_replies_alike(
    model: LoadRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved, done = [], threading.Event()

    def watched(tensors: Iterator[Tensor]) -> Iterator[int]:
        for nbytes in moving(tensors):
            moved.append(nbytes)
            yield nbytes
        done.set()

    with monkeypatch.context() as patch:
        patch.setattr(large_pages, "WORTH_IT", 1 << 60)
        with engine_on(tmp_path / "a", model) as engine:
            expected = ask(engine, request()).finished.tokens
    monkeypatch.setattr(large_pages, "moving", watched)
    with engine_on(tmp_path / "b", model) as engine:
        assert done.wait(60)
        assert sum(moved) >= 2 * PAGE
        assert ask(engine, request()).finished.tokens == expected
