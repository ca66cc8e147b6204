"""The text catalogue and the source agree: every text that is asked for is there, with its placeholders, and
every text that is there is asked for.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import string
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
from rich.cells import cell_len

from engine import nvidia
from engine.types import SamplingParams, basics, tuning
from rwkv_chat import attachments, lint, texts, transcript
from rwkv_chat.cli.commands import COMMANDS
from rwkv_chat.doctor import finding
from rwkv_chat.importers import filters, forms, redaction
from rwkv_chat.language import choose
from rwkv_chat.library import models as kept_models
from rwkv_chat.library import verify
from rwkv_chat.paths import Paths
from rwkv_chat.phrases import clauses, either, listed, sentence, sentences
from rwkv_chat.session import examples_types, shelf_types, state_types, tune_types
from rwkv_chat.texts import DEFAULT_LANGUAGE, languages, lookup, say, use
from rwkv_chat.tui import bindings, keymap
from rwkv_chat.tui.bindings import BINDINGS
from rwkv_chat.tui.screens import library_files, states_work
from rwkv_chat.tui.widgets import status_line

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
CATALOGUE = ROOT / "rwkv_chat" / "texts" / DEFAULT_LANGUAGE
ASKING = ("say", "lookup")
# Texts whose names are made from one of a few values.
OF_VALUES = {
    "lint": lint.Kind,
    "app.states.kind": state_types.PersonaKind,
    "states.kind": state_types.PersonaKind,
    "app.states.view": states_work.View,
    "app.states.none": states_work.View,
    "app.library.none": library_files.View,
    "app.library.count": library_files.View,
    "app.library.view": library_files.View,
    "app.message.who": transcript.Role,
    "app.library.who": transcript.Role,
    "cli.chat.said_by": transcript.Role,
    "convs.speaker": transcript.Role,
    "tune.status": tune_types.Status,
    "tune_screen.status": tune_types.Status,
    "tune_screen.preset": tune_types.PresetName,
    "tune.compare.was": tune_types.Side,
    "tune_screen.compare.was": tune_types.Side,
    "tune.ended": tuning.StopReason,
    "tune.method": tuning.Method,
    "prompt.attach": attachments.Refusal,
    "app.keymap": keymap.TroubleKind,
    "app.status": status_line.Phase,
    "app.status.source": basics.StateSource,
    "app.help": bindings.Scope,
    "examples.caution": examples_types.Warned,
    "tune.caution": examples_types.Warned,
    "examples.secret": redaction.Secret,
    "models.tier_chosen": basics.TierReason,
    "models.not_fast": nvidia.Reason,
    "models.source": kept_models.Source,
    "app.models.source": kept_models.Source,
    "app.models.left_out": shelf_types.FoundKind,
    "models.import.kind": shelf_types.FoundKind,
    "verify": verify.FaultKind,
    "logs.kind": forms.Kind,
    "logs.skipped": examples_types.Left | forms.Reason | filters.Dropped,
    "doctor.mark": finding.Status,
}
# Families whose names are made from a table, and so never stand in the source as a whole.
TABLES = ("errors.", "keys.", "commands.", "sampling.", "settings.", "click.")


def _texts(language: str = DEFAULT_LANGUAGE) -> dict[str, str]:
    """Every text by its dotted name."""
    found: dict[str, str] = {}
    for file in sorted((CATALOGUE.parent / language).glob("*.toml")):
        _flatten(file.stem, tomllib.loads(file.read_text(encoding="utf-8")), found)
    return found


def _flatten(prefix: str, table: dict[str, Any], found: dict[str, str]) -> None:
    for name, value in table.items():
        if isinstance(value, dict):
            _flatten(f"{prefix}.{name}", value, found)
        else:
            found[f"{prefix}.{name}"] = value


@pytest.fixture(scope="module")
def calls() -> list[tuple[str, ast.Call]]:
    """Every call of `say` or `lookup` in the program, with where it stands."""
    return list(_calls())


def _calls() -> Iterator[tuple[str, ast.Call]]:
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
    """Those that a call has to fill: keys fill themselves."""
    return {name for _, name, _, _ in string.Formatter().parse(texts.KEY.sub("", text)) if name is not None}


TEXTS = _texts()
OTHERS = [each for each in languages() if each != DEFAULT_LANGUAGE]
GROUPS = "models|convs|states|settings|tune"
TYPED = re.compile(
    rf"(?<![\w-])--[a-z][a-z-]+|\brwkv-chat (?:(?:{GROUPS}) )?[a-z]+|\bCtrl[+-][A-Z]\b|\bF\d+\b"
)


def test_the_source_is_read_at_all(calls: list[tuple[str, ast.Call]]) -> None:
    assert len(calls) > 50
    assert len(TEXTS) > 100


def test_what_is_asked_for_is_there_with_its_placeholders(calls: list[tuple[str, ast.Call]]) -> None:
    asked = [(where, call, name) for where, call in calls for name in _words(call.args[0])]
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


@pytest.mark.parametrize("family", OF_VALUES)
def test_every_value_has_its_text(family: str) -> None:
    values = {value for part in _parts(OF_VALUES[family]) for value in get_args(part)}
    assert values
    names = {name.removeprefix(family)[1:].replace("-", "_") for name in TEXTS if name.startswith(family)}
    assert {each for each in values if re.sub("[ -]", "_", each) not in names} - {"model"} == set()


def _parts(kind: Any) -> list[Any]:
    """Of a union, each part."""
    inner = get_args(kind)
    return [kind] if isinstance(inner[0], str) else [each for part in inner for each in _parts(part)]


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


@pytest.mark.parametrize(("text", "width"), [("models", 10), ("模型", 10), ("", 3), ("longer than that", 3)])
def test_columns_count_cells(text: str, width: int) -> None:
    row = texts.CELLS.format(f"{{name:<{width}}}|{{name:>{width}}}|{{number:>4}}", name=text, number=7)
    left, right, number = row.split("|")
    assert cell_len(left) == cell_len(right) == max(width, cell_len(text))
    assert left.startswith(text)
    assert right.endswith(text)
    assert number == "   7"


def test_words_are_joined_as_the_language_does() -> None:
    assert (listed(()), listed(["a"]), listed(["a", "", "b", "c"])) == ("", "a", "a, b, c")
    assert (either(["a", "b"]), clauses(["a", "b"])) == ("a or b", "a; b")
    assert (sentences("One.", "", "Two."), sentence("do it")) == ("One. Two.", "Do it.")
    use("zh")
    assert (listed(["a", "b"]), either(["a", "b"]), clauses(["a", "b"])) == ("a、b", "a 或 b", "a；b")
    assert (sentences("一。", "二。"), sentence("发送消息")) == ("一。二。", "发送消息。")
    use(DEFAULT_LANGUAGE)


JOINED = re.compile(r"""(", "|"; "|" or "|" and ")\.join\(""")
OF_FORMATS = {  # where a comma is syntax, not language
    "rwkv_chat/own_words.py",
    "rwkv_chat/tools.py",
}


def test_no_words_are_joined_in_the_code() -> None:
    parts = [ROOT / "rwkv_chat" / each for each in ("cli", "doctor", "session", "tui")]
    files = [*(ROOT / "rwkv_chat").glob("*.py"), *(file for part in parts for file in part.rglob("*.py"))]
    found = [str(each.relative_to(ROOT)) for each in files if JOINED.search(each.read_text(encoding="utf-8"))]
    assert set(found) == OF_FORMATS


# ------------------------------------------------------------------------------------------- keys in texts

# A key as it is called in any language; in Chinese and Japanese, a capital letter alone is one, too.
CALLED = re.compile(
    r"Ctrl[+-]|Alt\+|Shift\+|\b(?:F\d{1,2}|Esc|Escape|Enter|Tab|Space|Del|PageUp|PageDown)\b|[←→↑↓]"
    r"|space bar|空格键|回车|スペースキー|エンターキー",
    re.ASCII,
)
LETTER = re.compile(r"(?<![A-Za-z0-9#.{~+-])(?:[A-Z]|Delete)(?![A-Za-z0-9'’.+}-])")
OF_BOXES = "Enter, Tab and the arrows in a box or a list are those of every box: no bindings of ours"
LINE_MODE = "in line mode the terminal makes a signal of the key"
SWAPPED = "the setting is about these two keys"
NO_KEY = "a sign or a name, no key"
NAMED_AS_THEY_ARE = {
    **dict.fromkeys(
        (
            *("app.greeting.guide", "app.sampling.hint", "app.presets.hint", "app.tokens.part"),
            *("app.dialog.file_hint", "app.dialog.ask_hint", "app.books.ask_hint", "app.chat_log.hint"),
            *("app.states.import.hint", "app.import.hint", "app.manner.hint", "app.welcome.choose"),
            *("app.settings.choose_hint", "prompt.waiting", "tune_screen.compare.ask"),
        ),
        OF_BOXES,
    ),
    "app.settings.press_hint": "any other key is the new one",
    **dict.fromkeys(
        ("cli.chat.reading", "models.pull.help", "tune.run.short", "tune.run.help", "tune.compare.which"),
        LINE_MODE,
    ),
    **dict.fromkeys(("settings.enter_sends.label", "settings.enter_sends.help"), SWAPPED),
    **dict.fromkeys(("tune.plan.redaction", "tune.plan.preset.chosen", "tune_screen.lowered"), NO_KEY),
    **dict.fromkeys(("cli.logits.help", "models.not_fast.no_compiler", "tune.option.names"), NO_KEY),
}


def _named_as_they_are(language: str) -> set[str]:
    """Texts in which a key stands as a word."""
    wanted = [CALLED] if language == DEFAULT_LANGUAGE else [CALLED, LETTER]
    bare = {name: texts.KEY.sub("", text) for name, text in _texts(language).items()}
    return {name for name, text in bare.items() if any(each.search(text) for each in wanted)}


def test_no_text_names_a_key_that_may_be_another() -> None:
    """Chinese and Japanese are looked at more closely, and every text has the same keys in every language."""
    found = {language: _named_as_they_are(language) for language in languages()}
    assert {language: names - NAMED_AS_THEY_ARE.keys() for language, names in found.items()} == {
        language: set() for language in found
    }
    assert NAMED_AS_THEY_ARE.keys() - set().union(*found.values()) == set(), "no longer needed"


def test_a_key_that_a_text_names_is_of_a_binding() -> None:
    named = {key for text in TEXTS.values() for key in _keys(text)}
    assert len(named) > 40
    assert named <= {each.id for each in BINDINGS}


def test_only_the_interface_names_keys() -> None:
    """The command line knows no key map."""
    naming = {name.partition(".")[0] for name, text in TEXTS.items() if _keys(text)}
    assert naming == {"app", "tune_screen"}


def test_a_text_names_the_key_in_force() -> None:
    try:
        assert say("app.tree.undone") == "Taken back. Ctrl+Y does it again."
        keymap.say_keys({"chat.redo": "f11,ctrl+x", "presets.remove": "left", "dialog.leave": "alt+delete"})
        assert say("app.tree.undone") == "Taken back. F11 does it again."
        assert "Left removes one of your own · Alt+Del leaves" in say("app.presets.hint")
        assert say("app.delete.done", name="x") == "Deleted x. F9 brings it back."
    finally:
        keymap.say_keys({})


# ------------------------------------------------------------------------------------------- other languages


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_has_every_text_and_no_other(language: str) -> None:
    there = _texts(language)
    assert sorted(TEXTS.keys() - there.keys()) == []
    assert sorted(there.keys() - TEXTS.keys()) == []
    assert [name for name, text in there.items() if not isinstance(text, str) or not text.strip()] == []


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_has_the_same_placeholders(language: str) -> None:
    there = _texts(language)
    assert [name for name in TEXTS if _placeholders(there[name]) != _placeholders(TEXTS[name])] == []
    assert [name for name in TEXTS if _keys(there[name]) != _keys(TEXTS[name])] == []


def _keys(text: str) -> list[str]:
    """Bindings whose keys a text names: languages may name them in another order."""
    return sorted(texts.KEY.findall(text))


@pytest.mark.parametrize("language", OTHERS)
def test_what_has_to_be_typed_is_the_same_in_every_language(language: str) -> None:
    """Options, the program's commands, keys."""
    there = _texts(language)
    lost = {name: set(TYPED.findall(text)) - set(TYPED.findall(there[name])) for name, text in TEXTS.items()}
    assert {name: each for name, each in lost.items() if each} == {}


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_has_a_name_of_its_own(language: str) -> None:
    assert lookup("settings.language_name", language) != lookup("settings.language_name", DEFAULT_LANGUAGE)


def test_what_a_language_lacks_is_said_in_english(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(CATALOGUE, tmp_path / "en")
    (tmp_path / "xx").mkdir()
    (tmp_path / "xx" / "app.toml").write_text('untitled = "Namnlös"\n', encoding="utf-8")
    with monkeypatch.context() as patched:
        patched.setattr(texts, "HERE", tmp_path)
        _forget()
        use("xx")
        assert say("app.untitled") == "Namnlös"
        assert say("app.models.title") == TEXTS["app.models.title"]
        assert say("cli.version", version="1.2") == "rwkv-chat 1.2"
    _forget()
    use(DEFAULT_LANGUAGE)


def _forget() -> None:
    texts.languages.cache_clear()
    texts._part.cache_clear()


@pytest.mark.parametrize(
    ("line", "language"),
    [
        ("--language zh", "zh"),
        ("--theme rwkv-light --language=ja chat", "ja"),
        ("tune new log.txt --language zh", "en"),  # whose messages are learnt
        ("--language", "en"),
        ("--language nonsense", "en"),
        ("", "en"),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_run_speaks_as_its_command_line_says(line: str, language: str) -> None:
    assert choose(line.split()) == language
    use(DEFAULT_LANGUAGE)


@pytest.mark.parametrize("language", languages())
def test_help_speaks_every_language(language: str, tmp_path: Path) -> None:
    """In a process of its own, as its settings say: help is worded on import."""
    settings = Paths.under(tmp_path).settings_file
    settings.parent.mkdir(parents=True)
    settings.write_text(f'language = "{language}"\n', encoding="utf-8")
    told = subprocess.run(
        [sys.executable, "-m", "rwkv_chat", "--help"],
        env={**os.environ, "RWKV_CHAT_HOME": str(tmp_path), "PYTHONIOENCODING": "utf-8", "COLUMNS": "80"},
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout
    words = "".join(told.split())
    assert [each for each in told.splitlines() if cell_len(each) > 80] == []
    names = ("cli.help", "cli.commands", "click.usage", "click.options", "click.help")
    for name in (*names, *(f"commands.{each.name}.short" for each in COMMANDS)):
        assert "".join((lookup(name, language) or name).split()) in words
