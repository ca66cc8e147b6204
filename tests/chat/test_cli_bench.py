"""`rwkv-chat bench`: tables for people, a row in a line for programs, and a view for every kind of row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, get_args

import pytest

from engine.bench import rows
from engine.bench.peers import PEERS
from engine.bench.rows import ContextRow, LeftOut, Machine, PeerRow, StartRow, StreamRow, Subject
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
    left_out = [LeftOut("peers", "x", "none"), LeftOut("tiers", "fp32", "OutOfMemory")]
    values = [StartRow(1.0, 2.0, 3.0, None), ContextRow(8, 4, 0.01, 5_000_000), *left_out]
    bench_tables.show([*values, Machine("cpu", 2, 1, "cpu", "s", "3", "2", None)])
    out = capfd.readouterr().out
    assert "5.0 MB" in out
    assert out.count("?") == 2
    assert "left out: peers x: none" in out
    assert "left out: tiers fp32: too little memory" in out


def test_other_programs_stand_beside_ours_in_their_units(capfd) -> None:
    beside = ("rwkv", "0.8", "cpu bf16", "bf16")
    bench_tables.show(
        [
            PeerRow(*beside, "decode", 20.0, 10.0, 2.0),
            PeerRow(*beside, "load", 0.5, 2.5, 5.0),
            PeerRow(*beside, "memory", 4e6, 8e6, 2.0),
            StreamRow(2_000_000, 0.86, 6e9, 1e10, 0.6),
        ]
    )
    decode, load, memory, stream = (
        line for line in capfd.readouterr().out.splitlines() if "0.8" in line or "86%" in line
    )
    assert decode.split()[-4:] == ["20", "10", "2.00", "×"]
    assert load.split()[-4:] == ["0.50", "2.50", "5.00", "×"]
    assert memory.split()[-6:] == ["4.0", "MB", "8.0", "MB", "2.00", "×"]
    assert stream.split() == ["2.0", "MB", "86%", "6.0", "10.0", "60%"]


def test_every_value_of_another_program_has_a_unit() -> None:
    assert set(bench_tables.UNITS) == {
        each for peers in PEERS.values() for peer in peers for each in peer.what
    }


def test_too_little_memory_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    monkeypatch.setenv("RWKV_CHAT_HOME", str(tmp_path))
    monkeypatch.setattr("engine.memory.available_bytes", lambda: 1000)
    assert run(["bench", *QUICK]) == 4
    assert "needs" in capfd.readouterr().err
