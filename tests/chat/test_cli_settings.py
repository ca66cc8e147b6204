"""`rwkv-chat settings`, and settings as options for one run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from rwkv_chat.cli.main import group, run
from rwkv_chat.cli.setting_options import FOR_A_RUN, overrides
from rwkv_chat.paths import Paths
from rwkv_chat.setting_specs import SPECS

if TYPE_CHECKING:
    from pathlib import Path


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.strip()


def test_set_get_list_reset(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["settings", "set", "threads", "3"]) == 0
    assert run(["settings", "get", "threads"]) == 0
    assert told(capsys) == "3"
    assert run(["settings", "list"]) == 0
    lines = told(capsys).splitlines()
    assert [line.split()[:3] for line in lines if "threads" in line] == [["*", "threads", "3"]]
    assert len(lines) == sum(bool(each.group) for each in SPECS.values())
    assert run(["settings", "list", "--json"]) == 0
    rows = {each["name"]: each for each in json.loads(told(capsys))}
    assert rows["threads"] == {"name": "threads", "value": 3, "default": 0, "allowed": "0 … 1,024"}
    assert run(["settings", "reset", "threads"]) == 0
    assert run(["settings", "get", "threads"]) == 0
    assert told(capsys) == "0"
    assert run(["settings", "path"]) == 0
    assert told(capsys) == str(Paths.find().settings_file)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["settings", "set", "threads", "many"], "0 … 1,024"),
        (["settings", "set", "thread", "3"], "Near that: threads"),
        (["settings", "get", "thread"], "Near that: threads"),
        (["settings", "reset", "thread"], "Near that: threads"),
        (["--theme", "pink"], "it can be"),
        (["--threads", "-1", "tokens", "x"], "0 … 1,024"),
        (["settings", "lits"], "list"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_written(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert run(arguments) == 2
    assert words in capsys.readouterr().err
    assert not Paths.find().settings_file.exists()


def test_a_broken_line_of_the_file_is_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = Paths.find().make().settings_file
    file.write_text("theem = 'nord'\n")
    assert run(["settings", "get", "theme"]) == 0
    assert "did you mean theme?" in capsys.readouterr().err


def test_options_for_one_run_are_of_the_declaration() -> None:
    given = ["--theme", "nord", "--no-mouse", "--reduced-motion", "--device", "cpu", "--threads", "2"]
    with group.make_context("rwkv-chat", [*given, "doctor"]):
        assert overrides() == {
            "theme": "nord",
            "mouse": False,
            "reduced_motion": True,
            "device": "cpu",
            "threads": 2,
        }
    assert overrides() == {}
    named = {each.name for each in group.params}
    assert set(FOR_A_RUN) <= named
    metavars = {"switch": "", "choice": "NAME", "text": "NAME", "whole": "NUMBER", "number": "NUMBER"}
    assert {name: metavars[SPECS[name].kind] for name in FOR_A_RUN} == FOR_A_RUN
