"""Registered models as rows: written, read tolerantly, and added to libraries made before there were any."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from rwkv_chat.library import migrations, models, threads
from rwkv_chat.library.database import connect
from rwkv_chat.library.models import ModelRow
from tests.engine import tiny

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

ROW = ModelRow(
    *("/m/a.pth", "downloaded", "f" * 64, "pth", tiny.spec(), 12, "12:34:1", "g1d-0.1b", "known"),
    *("g1-bot", "classic", 5.0, 6.0),
)


def test_a_row_comes_back_as_it_was(db: sqlite3.Connection) -> None:
    models.put(db, [ROW])
    assert models.every(db) == (ROW,)
    assert models.find(db, "/m/a.pth") == ROW
    assert models.find(db, "/m/b.pth") is None


@pytest.mark.parametrize("arch", tiny.ARCHS)
def test_the_numbers_of_every_version_come_back(db: sqlite3.Connection, arch: str) -> None:
    row = replace(ROW, spec=tiny.spec(arch=arch))
    models.put(db, [row])
    assert models.find(db, row.path) == row


def test_rows_are_replaced_by_path_and_listed_newest_first(db: sqlite3.Connection) -> None:
    newer = replace(ROW, path="/m/b.pth", added=9.0, spec=None, verified=None)
    models.put(db, [ROW, newer])
    models.put(db, [replace(ROW, template="bot")])
    assert [(each.path, each.template) for each in models.every(db)] == [
        ("/m/b.pth", "classic"),
        ("/m/a.pth", "bot"),
    ]
    models.remove(db, "/m/b.pth")
    assert [each.path for each in models.every(db)] == ["/m/a.pth"]


@pytest.mark.parametrize(
    "spec",
    ["", "{", "[]", '{"arch": 1}', '{"arch": "rwkv7", "n_layer": 2}', "[" * 100_000, b"\xff"],
    ids=["empty", "broken", "list", "wrong", "part", "nested", "bytes"],
)
def test_a_damaged_row_is_read_as_far_as_it_goes(db: sqlite3.Connection, spec: object) -> None:
    models.put(db, [ROW])
    db.execute("UPDATE models SET spec = ?, source = 'nobody', bytes = 'x', added = 'y'", (spec,))
    (row,) = models.every(db)
    assert row == replace(ROW, spec=None, source="in place", nbytes=0, added=0.0)


def test_an_old_library_gets_the_table_and_loses_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:1])
        patch.setattr("rwkv_chat.library.database.MIGRATIONS", migrations.MIGRATIONS[:1])
        with closing(connect(file)) as old:
            old.execute("INSERT INTO threads (id, tree, title) VALUES ('t', 't', 'Old')")
        assert models.look(file) == ()
    with closing(connect(file)) as new:
        assert threads.get(new, "t").title == "Old"
        models.put(new, [ROW])
    assert models.look(file) == (ROW,)


def test_a_look_at_what_is_no_library(tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"no database" * 100)
    assert models.look(tmp_path / "junk") == models.look(tmp_path / "nowhere") == ()
