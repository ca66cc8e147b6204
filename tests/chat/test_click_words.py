"""What click itself says, in every language, and help that is measured in terminal cells."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from rwkv_chat.cli.click_words import CellFormatter, places
from rwkv_chat.cli.wrapping import paragraphs, wrapped
from rwkv_chat.texts import DEFAULT_LANGUAGE, languages, lookup, use

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHERS = [each for each in languages() if each != DEFAULT_LANGUAGE]
NAMED = re.compile(r"'[^']*'|--?[A-Za-z]+")  # what a message quotes
WRONG = {
    "an option that there is not": ["--other", "A"],
    "nearly an option": ["--siz", "A"],
    "no value": ["A", "--size"],
    "a value too many": ["A", "--loud=1"],
    "no number": ["A", "--size", "x"],
    "out of range": ["A", "--size", "9"],
    "none of the choices": ["A", "--kind", "x"],
    "no argument": [],
    "too many arguments": ["A", "B", "C"],
    "a folder": ["A", "--out", "/"],
    "no file": ["A", "--there", "/no/such/file"],
    "no date": ["A", "--day", "x"],
}


class Count(click.IntRange):
    name = "1"  # a type of click's own says its name in English


def _command() -> click.Command:
    """Made anew: a command keeps the words of its help."""
    file = click.Path(path_type=Path, dir_okay=False)
    options = [
        click.Argument(["name"]),
        click.Option(["--size"], type=Count(1, 5)),
        click.Option(["--loud"], is_flag=True),
        click.Option(["--kind"], type=click.Choice(["1", "2"])),
        click.Option(["--out"], type=file),
        click.Option(["--there"], type=click.Path(exists=True)),
        click.Option(["--day"], type=click.DateTime(["%Y"])),
    ]
    return click.Command("x", params=[*options], callback=lambda **_: None)


@pytest.fixture(params=OTHERS)
def language(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for module, name, ours in places():
        monkeypatch.setattr(module, name, ours)
    use(request.param)
    yield request.param
    use(DEFAULT_LANGUAGE)


def _told(arguments: list[str]) -> str:
    with pytest.raises(click.ClickException) as caught:
        _command().main(arguments, "x", standalone_mode=False)
    return NAMED.sub("", caught.value.format_message())


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.usefixtures("language")
def test_what_is_wrong_is_said_in_the_language(what: str) -> None:
    assert re.findall("[A-Za-z]{2,}", _told(WRONG[what])) == []
    use(DEFAULT_LANGUAGE)
    assert re.findall("[A-Za-z]{2,}", _told(WRONG[what])) != []


def test_what_is_missing_ends_as_sentences_of_the_language_do(language: str) -> None:
    with pytest.raises(click.ClickException) as caught:
        _command().main([], "x", standalone_mode=False)
    told = caught.value.format_message()
    assert told == f"{lookup('click.argument_missing', language)} 'NAME'。"
    with pytest.raises(click.ClickException) as caught:
        _needing_a_kind().main([], "x", standalone_mode=False)
    told = caught.value.format_message()
    assert "'--kind'。" in told
    assert "." not in told
    use(DEFAULT_LANGUAGE)
    assert "'--kind'. Choose from:" in caught.value.format_message()


def _needing_a_kind() -> click.Command:
    kind = click.Option(["--kind"], type=click.Choice(["1", "2"]), required=True)
    return click.Command("x", params=[kind], callback=lambda **_: None)


@pytest.mark.usefixtures("language")
def test_help_has_no_english_word_of_click() -> None:
    made = _command()
    told = made.get_help(click.Context(made, info_name="x"))
    for word in ("Usage", "Options", "Show this message"):
        assert word not in told


@given(st.lists(st.text("abcdefgh", min_size=1, max_size=12), min_size=1), st.integers(12, 60))
def test_words_with_spaces_are_wrapped_as_always(words: list[str], cells: int) -> None:
    assert wrapped(" ".join(words), cells) == textwrap.wrap(" ".join(words), cells)


@given(st.lists(st.sampled_from(["模", "型", "写", "abc", " "]), min_size=1), st.integers(10, 40))
def test_wide_characters_are_measured_in_cells(pieces: list[str], cells: int) -> None:
    text = "".join(pieces)
    lines = wrapped(text, cells)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(cell_len(each) <= cells or each.isascii() for each in lines)


def test_a_line_is_as_long_as_it_may_be() -> None:
    assert wrapped("模型接着写下去。好", 10) == ["模型接着写", "下去。好"]
    assert wrapped("模型接着写。好", 10) == ["模型接着", "写。好"], "no line begins with what closes"
    assert wrapped("说 --help 即可", 10) == ["说 --help", "即可"]
    assert wrapped("", 10) == [""]


def test_paragraphs_and_what_stays_as_it_stands() -> None:
    text = "one\ntwo\n\n\b\n  a   b\n  c\n\nthree"
    assert list(paragraphs(text, 20)) == [["one two"], ["  a   b", "  c"], ["three"]]


def test_the_columns_of_a_list_are_those_of_click() -> None:
    rows = [
        ("-h, --help", "Show this message and exit."),
        ("--a-very-long-option-of-its-own FILE", "words " * 30),
    ]
    ours, theirs = CellFormatter(width=60), click.HelpFormatter(width=60)
    for each in (ours, theirs):
        each.indent()
        each.write_dl(rows)
    assert ours.getvalue() == theirs.getvalue()
