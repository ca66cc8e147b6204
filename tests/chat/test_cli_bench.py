"""`rwkv-chat bench`: tables for people, a row in a line for programs, and a view for every kind of row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, get_args

import pytest

from engine.bench import rows
from engine.bench.rows import ContextRow, LeftOut, Machine, StartRow, Subject
from rwkv_chat.cli import bench_tables
from rwkv_chat.cli.main import run

if TYPE_CHECKING:
    from pathlib import Path

TABLES = ("prefill", "resume")
QUICK = ("--threads", "1", *(word for table in TABLES for word in ("--table", table)))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it takes: what is timed is no matter here."""
    monkeypatch.setattr(
        "rwkv_chat.cli.bench.Plan", lambda *given: rows.Plan(*given, seconds=0.0, prompts=(4,))
    )


def test_every_row_has_a_view_or_a_line() -> None:
    assert set(get_args(rows.Row)) == {*bench_tables.VIEWS, Machine, Subject, LeftOut}


def test_tables_for_people(short: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    monkeypatch.setenv("RWKV_CHAT_HOME", str(tmp_path))
    assert run(["bench", *QUICK]) == 0
    out = capfd.readouterr().out
    assert "rwkv7, 6 layers of 192, in fp32" in out
    assert "Reading at once" in out
    assert "Taking up a saved conversation" in out
    assert "Numeric forms" not in out


def test_a_row_in_a_line_for_programs(
    short: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    monkeypatch.setenv("RWKV_CHAT_HOME", str(tmp_path))
    assert run(["bench", *QUICK, "--json"]) == 0
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [each["row"] for each in found] == ["Machine", "Subject", "PrefillRow", "ResumeRow"]
    assert found[2]["tokens"] == 4


def test_a_model_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    monkeypatch.setenv("RWKV_CHAT_HOME", str(tmp_path))
    assert run(["bench", "no-such-model"]) == 3
    assert "Traceback" not in capfd.readouterr().err


def test_what_is_unknown_or_left_out_is_said(capfd) -> None:
    values = [StartRow(1.0, 2.0, 3.0, None), ContextRow(8, 4, 0.01, 5_000_000), LeftOut("peers", "x", "none")]
    bench_tables.show([*values, Machine("cpu", 2, 1, "cpu", "s", "3", "2", None)])
    out = capfd.readouterr().out
    assert "5.0 MB" in out
    assert out.count("?") == 2
    assert "left out: peers x: none" in out
