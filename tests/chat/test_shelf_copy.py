"""Copies into our folder: whole, synced, or not there; nothing is ever replaced."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from engine.errors import DiskFailed, DiskFull
from engine.types import Progress
from rwkv_chat.session.shelf_copy import copy_model, sweep

Usage = namedtuple("Usage", "total used free")


def made(folder: Path, **files: bytes) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content)
    return folder


def run(
    source: Path, folder: Path, *beside: Path, stop_after: int = 10**9
) -> tuple[list[Progress], Path | None]:
    told: list[Progress] = []
    target = None
    for event in copy_model(source, beside, folder, lambda: len(told) >= stop_after):
        if isinstance(event, Progress):
            told.append(event)
        else:
            target = event
    return told, target


def test_a_file_alone_and_a_file_with_its_tokenizer(tmp_path: Path) -> None:
    theirs, ours = made(tmp_path / "a", m_pth=b"x" * 100, tokenizer_json=b"{}"), made(tmp_path / "ours")
    told, alone = run(theirs / "m.pth", ours)
    assert (alone, told[-1]) == (ours / "m.pth", Progress("copy", 100, 100))
    _, beside = run(theirs / "m.pth", ours, theirs / "tokenizer.json")
    assert beside == ours / "m" / "m.pth"
    assert sorted(each.name for each in (ours / "m").iterdir()) == ["m.pth", "tokenizer.json"]


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot sync a folder")
def test_files_and_their_names_are_on_the_disk_before_the_folder_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []
    sync, move = os.fsync, os.replace

    def synced(handle: int) -> None:
        sync(handle)
        asked.append(("sync", os.fstat(handle).st_ino))

    def moved(source: Path, target: Path) -> None:
        asked.append(("move", Path(source).stat().st_ino))
        move(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", moved)
    theirs, ours = made(tmp_path / "a", m_pth=b"x", tokenizer_json=b"{}"), made(tmp_path / "ours")
    _, target = run(theirs / "m.pth", ours, theirs / "tokenizer.json")
    assert target is not None
    folder = target.parent.stat().st_ino
    at = asked.index(("move", folder))
    files = {("sync", each.stat().st_ino) for each in target.parent.iterdir()}
    assert files | {("sync", folder)} <= set(asked[:at])
    assert ("sync", ours.stat().st_ino) in asked[at:]


def test_nothing_is_replaced(tmp_path: Path) -> None:
    theirs, ours = made(tmp_path / "a", m_pth=b"new"), made(tmp_path / "ours", m_pth=b"old")
    assert [run(theirs / "m.pth", ours)[1] for _ in range(2)] == [ours / "m-2.pth", ours / "m-3.pth"]
    assert (ours / "m.pth").read_bytes() == b"old"


def test_a_folder_is_copied_without_what_is_below_it(tmp_path: Path) -> None:
    theirs, ours = made(tmp_path / "G1-1.5B", config_json=b"{}", w_st=b"w"), made(tmp_path / "ours")
    made(theirs / "below", other_pth=b"x")
    _, target = run(theirs, ours)
    assert target == ours / "G1-1.5B"
    assert sorted(each.name for each in (ours / "G1-1.5B").iterdir()) == ["config.json", "w.st"]


def test_a_copy_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    theirs, ours = made(tmp_path / "a", m_pth=b"x"), made(tmp_path / "ours")
    assert run(theirs / "m.pth", ours, stop_after=0) == ([], None)
    assert list(ours.iterdir()) == []


def test_room_is_looked_for_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours = made(tmp_path / "a", m_pth=b"x" * 100), made(tmp_path / "ours")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(100, 1, 99))
    with pytest.raises(DiskFull) as raised:
        run(theirs / "m.pth", ours)
    assert (raised.value.needed, raised.value.free, list(ours.iterdir())) == (100, 99, [])


def test_a_source_that_cannot_be_read_leaves_nothing(tmp_path: Path) -> None:
    ours = made(tmp_path / "ours")
    with pytest.raises(DiskFailed):
        run(tmp_path / "gone.pth", ours)
    assert list(ours.iterdir()) == []


def test_what_a_killed_program_left_is_no_part_of_the_next_copy(tmp_path: Path) -> None:
    theirs, ours = made(tmp_path / "a", m_pth=b"new", tokenizer_json=b"{}"), made(tmp_path / "ours")
    for name in ("m", "m.pth", "other.pth"):
        left = made(ours / f".{name}.part", m_pth=b"longer than the new one", more_json=b"")
        (ours / f"{left.name}.lock").touch()
    assert run(theirs / "m.pth", ours)[1] == ours / "m.pth"
    assert (ours / "m.pth").read_bytes() == b"new"
    run(theirs / "m.pth", ours, theirs / "tokenizer.json")
    assert sorted(each.name for each in ours.iterdir()) == ["m", "m.pth"]
    assert sorted(each.name for each in (ours / "m").iterdir()) == ["m.pth", "tokenizer.json"]


def test_two_programs_that_copy_to_one_name_get_two(tmp_path: Path) -> None:
    ours = made(tmp_path / "ours")
    one, two = made(tmp_path / "a", m_pth=b"one"), made(tmp_path / "b", m_pth=b"two")
    copying = copy_model(one / "m.pth", (), ours, lambda: False)
    next(copying)
    sweep(ours)  # as the other program does
    assert run(two / "m.pth", ours)[1] == ours / "m-2.pth"
    assert list(copying) == [ours / "m.pth"]
    assert [(ours / name).read_bytes() for name in ("m.pth", "m-2.pth")] == [b"one", b"two"]
    assert sorted(each.name for each in ours.iterdir()) == ["m-2.pth", "m.pth"]
