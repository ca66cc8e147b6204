"""The identity of files and folders: read once, remembered while they stay as they are."""

from __future__ import annotations

import hashlib
import os
import threading
from typing import TYPE_CHECKING

import pytest

from engine import errors
from engine.store.fingerprint import FILE, identify, known, mark, remember

if TYPE_CHECKING:
    from pathlib import Path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def folder_of(tmp_path: Path) -> Path:
    folder = tmp_path / "shards"
    folder.mkdir()
    for name, content in (("b.safetensors", b"two"), ("a.safetensors", b"one"), ("optimizer.bin", b"no")):
        (folder / name).write_bytes(content)
    (folder / "config.json").write_text("{}")
    return folder


def test_a_folder_is_identified_by_its_weights_files(tmp_path: Path) -> None:
    lines = [
        f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        for name, content in (("a.safetensors", b"one"), ("b.safetensors", b"two"))
    ]
    expected = hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
    folder = folder_of(tmp_path)
    assert identify(mark(folder), None) == expected
    (folder / "a.safetensors").rename(folder / "c.safetensors")
    assert identify(mark(folder), None) != expected


def test_of_a_folder_only_the_files_that_changed_are_read_again(tmp_path: Path) -> None:
    folder, cache = folder_of(tmp_path), tmp_path / "cache"
    identify(mark(folder), cache)
    assert known(mark(folder), cache) == identify(mark(folder), None)
    (folder / "b.safetensors").write_bytes(b"three")
    assert known(mark(folder), cache) is None
    read: list[int] = []
    identify(mark(folder), cache, progress=read.append)
    assert read == [3, 8, 8]  # a (3 bytes) at once, then the block of b


def test_a_download_lends_its_hash(tmp_path: Path) -> None:
    path, cache = tmp_path / "w.pth", tmp_path / "cache"
    path.write_bytes(b"one")
    remember(path, cache, "a" * 64)
    assert known(mark(path), cache) == "a" * 64
    assert identify(mark(path), cache) == "a" * 64
    remember(path, cache, "not a hash")
    assert known(mark(path), cache) is None


def test_a_link_and_its_file_share_their_hash(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"one")
    (tmp_path / "w.pth").symlink_to(tmp_path / "blob")
    assert mark(tmp_path / "w.pth") == mark(tmp_path / "blob")
    identify(mark(tmp_path / "w.pth"), tmp_path)
    assert known(mark(tmp_path / "blob"), tmp_path) is not None


@pytest.mark.parametrize("change", ["grows", "is cut", "is rewritten"])
def test_a_file_that_changes_while_it_is_hashed_is_noticed(tmp_path: Path, change: str) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(b"one")
    before = mark(path)

    def meddle(done: int) -> None:
        path.write_bytes({"grows": b"more", "is cut": b"o", "is rewritten": b"two"}[change])
        os.utime(path, ns=(before.files[0].changed + 1, before.files[0].changed + 1))

    with pytest.raises(errors.FileChanged):
        identify(before, tmp_path, progress=meddle)
    assert not (tmp_path / FILE).exists()


def test_two_threads_remember_without_losing_an_entry(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.pth" for n in range(20)]
    for path in paths:
        path.write_bytes(path.name.encode())
    threads = [threading.Thread(target=remember, args=(path, tmp_path, sha256(path))) for path in paths]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [known(mark(path), tmp_path) for path in paths] == [sha256(path) for path in paths]
