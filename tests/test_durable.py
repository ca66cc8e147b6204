"""Whatever takes the place of a file is on the disk before it has its name, and the name is after it.

A kill does not show this (a power cut would), so what the program asks of the system is recorded.
"""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.durable import into_place, link_into_place, sync_within
from rwkv_chat.library import backup
from rwkv_chat.library.database import connect
from rwkv_chat.settings_file import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parent.parent
# Moves that need no syncing of their own: what a file was called before matters to nobody.
EXCUSED = {
    "engine/durable.py": "the one place",
    "rwkv_chat/settings_file.py": "a damaged settings file is put aside; the new one is written durably",
    "rwkv_chat/library/restore.py": "a damaged library is put aside; the good one is written by SQLite",
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, Any]]]:
    """What was asked of the system, in order: ("sync", inode) and ("move", (inode, folder's inode))."""
    found: list[tuple[str, Any]] = []
    sync = os.fsync

    def fsync(handle: int) -> None:
        sync(handle)
        found.append(("sync", os.fstat(handle).st_ino))

    def moving(name: str) -> Callable[..., None]:
        real = getattr(os, name)

        def move(source: Any, target: Any, *rest: Any, **named: Any) -> None:
            place = Path(source).stat().st_ino, Path(target).parent.stat().st_ino
            real(source, target, *rest, **named)
            found.append(("move", place))

        return move

    monkeypatch.setattr(os, "fsync", fsync)
    for name in ("replace", "rename", "link"):
        monkeypatch.setattr(os, name, moving(name))
    yield found
    assert_durable(found)


def assert_durable(asked: list[tuple[str, Any]]) -> None:
    """The file is synced before each move, the folder after it."""
    moves = [(at, place) for at, (what, place) in enumerate(asked) if what == "move"]
    assert moves
    for at, (file, folder) in moves:
        assert ("sync", file) in asked[:at]
        assert ("sync", folder) in asked[at:]


def written(path: Path) -> Path:
    path.write_text("text")
    return path


def test_into_place(asked: list, tmp_path: Path) -> None:
    into_place(written(tmp_path / "part"), tmp_path / "whole")
    assert (tmp_path / "whole").read_text() == "text"


def test_a_folder_and_what_is_in_it(asked: list, tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    places = [written(tmp_path / "part" / name).stat().st_ino for name in ("one", "two")]
    sync_within(tmp_path / "part")
    assert {("sync", place) for place in places} < set(asked)
    into_place(tmp_path / "part", tmp_path / "whole")
    assert len([*(tmp_path / "whole").iterdir()]) == 2


def test_link_into_place(asked: list, tmp_path: Path) -> None:
    link_into_place(written(tmp_path / "part"), tmp_path / "whole")
    with pytest.raises(FileExistsError):
        link_into_place(tmp_path / "part", tmp_path / "whole")


def test_settings(asked: list, tmp_path: Path) -> None:
    write_atomically(tmp_path / "settings.toml", "a = 1")


def test_copies_of_the_library(asked: list, tmp_path: Path) -> None:
    connect(tmp_path / "library.sqlite").close()
    backup.rotate(tmp_path / "library.sqlite", tmp_path)
    backup.make(tmp_path / "library.sqlite", tmp_path)
    assert len(backup.copies(tmp_path)) == 2


def test_what_is_not_synced_is_noticed() -> None:
    file, folder = 1, 2
    assert_durable([("sync", file), ("move", (file, folder)), ("sync", folder)])
    for wrong in (
        [("move", (file, folder)), ("sync", file), ("sync", folder)],
        [("sync", file), ("move", (file, folder))],
        [("sync", folder), ("move", (file, folder)), ("sync", folder)],
    ):
        with pytest.raises(AssertionError):
            assert_durable(wrong)


def moves(source: str) -> list[int]:
    """Lines where a path may be moved: `x.replace(y)` (text's own has two arguments), `rename`, `os.link`."""
    calls = (each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.Call))
    return [each.lineno for each in calls if isinstance(each.func, ast.Attribute) and _moves(each, each.func)]


def _moves(call: ast.Call, called: ast.Attribute) -> bool:
    of_os = isinstance(called.value, ast.Name) and called.value.id in ("os", "shutil")
    if of_os:
        return called.attr in ("replace", "rename", "renames", "link", "move")
    return called.attr in ("replace", "rename", "hardlink_to") and len(call.args) == 1 and not call.keywords


def test_nothing_else_moves_files() -> None:
    found = {
        str(path.relative_to(ROOT)): lines
        for folder in ("engine", "rwkv_chat")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if (lines := moves(path.read_text(encoding="utf-8")))
    }
    assert found.keys() == EXCUSED.keys()
    assert len(found["rwkv_chat/settings_file.py"]) == 1
    assert moves("path.replace(other)\nos.rename(a, b)\ntext.replace(a, b)\nreplace(x, y=1)") == [1, 2]
