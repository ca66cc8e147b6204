"""What a command that keeps nothing said is gone, even if it was killed."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

import pytest

from rwkv_chat.cli.throwaway import throwaway

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left_by_a_killed_one(place: Path, name: str = "rwkv-chat-dead") -> Path:
    folder = place / name
    folder.mkdir()
    (folder / "library.sqlite").write_text("what was said")
    (folder / ".lock").touch()
    return folder


def test_nothing_stays(place: Path) -> None:
    left_by_a_killed_one(place)
    with throwaway() as folder:
        (folder / "library.sqlite").write_text("what is said")
        assert list(place.iterdir()) == [folder]
    assert list(place.iterdir()) == []


def test_a_living_one_keeps_its_folder(place: Path) -> None:
    with throwaway() as one:
        (one / "library.sqlite").write_text("what is said")
        with throwaway() as other:
            assert {one, other} == set(place.iterdir())
        assert (one / "library.sqlite").read_text() == "what is said"


def test_what_is_not_ours_stays(place: Path) -> None:
    (place / "rwkv-chat-notes").mkdir()  # without a lock: somebody else's
    (place / "rwkv-chat-file").touch()
    theirs = left_by_a_killed_one(place, "theirs")
    (place / "rwkv-chat-link").symlink_to(theirs)
    with throwaway():
        pass
    assert len(list(place.iterdir())) == 4
    assert len(list(theirs.iterdir())) == 2


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="nobody owns a folder by number there")
def test_another_persons_folder_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = left_by_a_killed_one(place)
    monkeypatch.setattr(os, "getuid", lambda: theirs.stat().st_uid + 1)
    with throwaway():
        pass
    assert theirs.is_dir()
