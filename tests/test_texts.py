"""The text catalogue and the source agree: every text that is asked for is there, with its placeholders, and
every text that is there is asked for.
"""

from __future__ import annotations

import ast
import re
import string
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.types import SamplingParams
from rwkv_chat.cli.commands import COMMANDS
from rwkv_chat.texts import DEFAULT_LANGUAGE, lookup, say
from rwkv_chat.tui.bindings import BINDINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
CATALOGUE = ROOT / "rwkv_chat" / "texts" / DEFAULT_LANGUAGE
ASKING = ("say", "lookup")
# Families whose names are made from a table, and so never stand in the source as a whole.
TABLES = ("errors.", "keys.", "commands.", "sampling.", "settings.")


def _texts() -> dict[str, str]:
    """Every text by its dotted name."""
    found: dict[str, str] = {}
    for file in sorted(CATALOGUE.glob("*.toml")):
        _flatten(file.stem, tomllib.loads(file.read_text(encoding="utf-8")), found)
    return found


def _flatten(prefix: str, table: dict[str, Any], found: dict[str, str]) -> None:
    for name, value in table.items():
        if isinstance(value, dict):
            _flatten(f"{prefix}.{name}", value, found)
        else:
            found[f"{prefix}.{name}"] = value


def _calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call of `say` or `lookup` in the program, with where it stands."""
    for file in sorted((ROOT / "rwkv_chat").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ASKING:
                yield f"{file.relative_to(ROOT)}:{node.lineno}", node


def _words(node: ast.expr) -> list[str]:
    """The constant texts that an expression may be: "a" if x else "b" has two."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return _words(node.body) + _words(node.orelse)
    return []


def _placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


TEXTS = _texts()
CALLS = list(_calls())


def test_the_source_is_read_at_all() -> None:
    assert len(CALLS) > 50
    assert len(TEXTS) > 100


def test_what_is_asked_for_is_there_with_its_placeholders() -> None:
    asked = [(where, call, name) for where, call in CALLS for name in _words(call.args[0])]
    assert [(where, name) for where, _, name in asked if name not in TEXTS] == []
    wrong = [(where, name) for where, call, name in asked if not _fits(call, TEXTS[name])]
    assert wrong == []


def _fits(call: ast.Call, text: str) -> bool:
    """Whether a call gives the text's placeholders, no more and no less (unknown with **)."""
    given = {each.arg for each in call.keywords}
    raw = isinstance(call.func, ast.Name) and call.func.id == "lookup"
    return raw or None in given or given == _placeholders(text)


def _strings(tree: ast.AST) -> Iterator[str]:
    """Every string constant as a pattern; an f-string's gaps match anything."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.escape(node.value)
        elif isinstance(node, ast.JoinedStr):
            parts = [
                re.escape(str(each.value)) if isinstance(each, ast.Constant) else "[^ ]+"
                for each in node.values
            ]
            yield "".join(parts)


def test_no_text_is_forgotten() -> None:
    parts = tuple(f"{file.stem}\\." for file in CATALOGUE.glob("*.toml"))
    patterns = {
        pattern
        for file in (ROOT / "rwkv_chat").rglob("*.py")
        for pattern in _strings(ast.parse(file.read_text(encoding="utf-8")))
        if pattern.startswith(parts)
    }
    whole = re.compile("|".join(f"(?:{each})" for each in sorted(patterns)))
    unused = [name for name in TEXTS if not name.startswith(TABLES) and not whole.fullmatch(name)]
    assert unused == []


def test_texts_are_texts() -> None:
    assert [name for name, text in TEXTS.items() if not isinstance(text, str) or not text.strip()] == []
    odd = [name for name, text in TEXTS.items() if not all(map(str.isidentifier, _placeholders(text)))]
    assert odd == []


def test_every_binding_command_and_parameter_has_its_texts() -> None:
    wanted = [f"keys.{each.id}.{part}" for each in BINDINGS for part in ("label", "help")]
    wanted += [f"commands.{each.name}.short" for each in COMMANDS]
    parameters = [each.name for each in fields(SamplingParams) if each.metadata]
    wanted += [f"sampling.{name}.{part}" for name in parameters for part in ("label", "help")]
    assert [name for name in wanted if name not in TEXTS] == []


def test_no_text_speaks_of_what_is_gone() -> None:
    """A binding, command or parameter that was removed takes its texts with it."""
    known = {f"keys.{each.id}" for each in BINDINGS} | {f"commands.{each.name}" for each in COMMANDS}
    known |= {f"sampling.{each.name}" for each in fields(SamplingParams)}
    named = {
        name.rpartition(".")[0] for name in TEXTS if name.startswith(("keys.", "commands.", "sampling."))
    }
    assert named == known - {"sampling.bans", "sampling.biases"}


def test_a_text_that_is_not_there() -> None:
    assert lookup("cli.nothing.here") is None
    assert lookup("cli.option") is None
    with pytest.raises(KeyError):
        say("cli.nothing.here")


def test_placeholders_are_filled() -> None:
    assert say("cli.version", version="1.2") == "rwkv-chat 1.2"
