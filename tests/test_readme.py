"""What the README says of keys, commands, dependencies and exit codes is what the program has."""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path

from engine.weights.archive import NAMINGS, READERS
from engine.weights.export import WRITERS
from rwkv_chat.cli.commands import COMMANDS
from rwkv_chat.cli.convs import CONVS
from rwkv_chat.cli.models import MODELS
from rwkv_chat.cli.settings import SETTINGS
from rwkv_chat.cli.slash import SLASH_COMMANDS
from rwkv_chat.cli.states import STATES
from rwkv_chat.cli.tune import TUNES
from rwkv_chat.importers.formats import FORMATS, label
from rwkv_chat.texts import say
from rwkv_chat.tui.bindings import ALTERNATES, BINDINGS, shown_keys
from rwkv_chat.tui.keymap import split
from rwkv_chat.tui.slash import SLASH
from rwkv_chat.tui.terminal_keys import TERMINALS, WITHOUT_KEY, Terminal
from tests.tui.screenshots import SHOTS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def rows(name: str) -> list[list[str]]:
    """Cells of the table that follows `<!-- name … -->`."""
    table = README.split(f"<!-- {name}", 1)[1].split("<!-- /", 1)[0]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines[2:]]


def test_the_keys_are_those_of_the_table() -> None:
    expected = [[shown_keys(row.keys), say(f"keys.{row.id}.help"), f"`{row.id}`"] for row in BINDINGS]
    assert rows("keys") == expected


def instead(terminal: Terminal) -> str:
    """For each action whose keys a terminal keeps: the key that it passes on, or another way."""
    lost = [row for row in BINDINGS if set(split(row.keys)) <= terminal.keeps]
    ways = WITHOUT_KEY | {name: shown_keys(keys) for name, keys in ALTERNATES.items()}
    pairs = dict.fromkeys(f"{shown_keys(row.keys)} → {ways[row.id]}" for row in lost)
    return " · ".join(pairs) or "nothing that matters"


def test_the_terminals_are_those_of_the_table() -> None:
    assert rows("terminals") == [[each.name, instead(each)] for each in TERMINALS]


def test_the_tour_shows_the_pictures_that_the_script_takes() -> None:
    names = [f"assets/screenshots/{name}.svg" for name in SHOTS]
    assert re.findall(r"\]\((assets/screenshots/[^)]+)\)", README) == names
    assert len(names) == 6
    for name in names:
        picture = (ROOT / name).read_text(encoding="utf-8")
        assert len(picture) < 100_000
        assert "@font-face" not in picture  # a reader's browser fetches nothing
        assert "/home/me/" in picture or "File:" not in picture  # nobody's own folder


def test_the_commands_are_those_of_the_table() -> None:
    listed = {cells[0]: cells[1] for cells in rows("commands")}
    for command in COMMANDS:
        shown = next((key for key in listed if key.startswith(f"`rwkv-chat {command.name}")), None)
        assert shown, f"the README does not list {command.name}"
        assert listed[shown] == say(f"commands.{command.name}.short")
    assert len(listed) == len(COMMANDS) + 1  # and the program itself, without a command


def test_the_models_commands_are_those_of_the_table() -> None:
    listed = {cells[0]: cells[1] for cells in rows("models commands")}
    for name in MODELS:
        shown = next((key for key in listed if key.startswith(f"`rwkv-chat models {name}")), None)
        assert shown, f"the README does not list models {name}"
        assert listed[shown] == say(f"models.{name}.short")
    assert len(listed) == len(MODELS)


def test_the_convs_commands_are_those_of_the_table() -> None:
    listed = {
        re.split(r"[ `]", cells[0].removeprefix("`rwkv-chat convs "))[0]: cells[1] for cells in rows("convs")
    }
    assert listed == {name: say(f"convs.{name}.short") for name in CONVS}


def test_the_chat_logs_are_those_of_the_table() -> None:
    assert [(cells[0].strip("`"), cells[1]) for cells in rows("chat logs")] == [
        (name, label(name)) for name in FORMATS
    ]


def test_the_states_commands_are_those_of_the_table() -> None:
    listed = {
        re.split(r"[ `]", cells[0].removeprefix("`rwkv-chat states "))[0]: cells[1]
        for cells in rows("states commands")
    }
    assert listed == {name: say(f"states.{name}.short") for name in STATES}


def test_the_settings_commands_are_those_of_the_table() -> None:
    listed = {
        re.split(r"[ `]", cells[0].removeprefix("`rwkv-chat settings "))[0]: cells[1]
        for cells in rows("settings commands")
    }
    assert listed == {name: say(f"settings.command.{name}") for name in SETTINGS}


def test_the_tune_commands_are_those_of_the_table() -> None:
    listed = {
        re.split(r"[ `]", cells[0].removeprefix("`rwkv-chat tune "))[0]: cells[1]
        for cells in rows("tune commands")
    }
    assert listed == {name: say(f"tune.{name}.short") for name in TUNES}


def test_the_line_mode_commands_are_those_of_the_table() -> None:
    told = [(say(f"cli.slash.{row.name}.usage"), say(f"cli.slash.{row.name}.help")) for row in SLASH_COMMANDS]
    assert [(cells[0].strip("`"), cells[1]) for cells in rows("line mode")] == told


def test_the_prompts_commands_are_those_of_the_table() -> None:
    told = [(say(f"prompt.slash.{row.name}.usage"), say(f"prompt.slash.{row.name}.help")) for row in SLASH]
    assert [(cells[0].strip("`"), cells[1]) for cells in rows("prompt commands")] == told


def test_every_dependency_is_named_with_a_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    names = {re.split(r"[\[<>=;! ]", each, maxsplit=1)[0] for each in wanted}
    section = README.split("### Dependencies", 1)[1].split("\n## ", 1)[0]
    assert [name for name in sorted(names) if name not in section] == []


def test_the_exit_codes_are_those_of_the_help() -> None:
    helped = re.findall(r"^  (\d+) +(.+)$", say("cli.epilog"), re.MULTILINE)
    assert [tuple(cells) for cells in rows("exit codes")] == helped


def test_the_formats_are_those_that_are_read_and_written() -> None:
    listed = {name: cells for cells in rows("formats") for name in re.findall("`([a-z0-9-]+)`", cells[0])}
    assert {name for name, cells in listed.items() if cells[1] == "yes"} == {*READERS, *NAMINGS}
    assert {name for name, cells in listed.items() if cells[2] == "yes"} == set(WRITERS)


def test_every_linked_file_is_there() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []
