"""The catalogue's own reader, held against tomllib: what it reads at all, it reads the same."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rwkv_chat.texts import HERE, quick

FILES = sorted(Path(HERE).glob("*/*.toml"))
LINES = (
    *("", "# word", "[a]", "[a.b-c]", "[b] # word", "  [d]", "[[e]]", '["f"]'),
    *('a = "x"', 'b = "é # \\" \\\\ \\n\\t" # word', 'c = ""', "d = 'x'", "e = 1", 'f = ["x"]', 'g="x"'),
    *(
        'h = "\\u00e9"',
        'i = "\\q"',
        ' j = "x"',
        '"k" = "x"',
        '"" = "x"',
        '"a.b" = "x"',
        'l.m = "x"',
        'n = "x',
        'o = "x" y',
        'p = "\t"',
    ),
    *(
        '"" = "x"',
        '"a.b" = "x"',
        'q = """x"""',
        'r = """\nx \\\n   y\n\nz"""',
        's = """\n\n"x" ""y"""',
        't = """x""""',
        'u = """',
    ),
    *('v = """\\\n  x"""', 'w = """x""" # word', 'x = """\\"""x"""', "y = '''x'''", "z = true", "= 1", "a"),
)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_file_of_the_catalogue_is_read_quickly_and_rightly(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert quick.read(text) == tomllib.loads(text)


@given(st.lists(st.sampled_from(LINES), max_size=6).map("\n".join), st.sampled_from(["", "\n"]))
@settings(max_examples=400, derandomize=True, deadline=None)
def test_what_is_toml_is_read_alike_or_left_to_tomllib(text: str, end: str) -> None:
    try:
        meant = tomllib.loads(text + end)
    except tomllib.TOMLDecodeError:
        return
    assert quick.read(text + end) in (None, meant)


@pytest.mark.parametrize("line", LINES)
def test_each_kind_of_line(line: str) -> None:
    try:
        meant = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return
    assert quick.read(line) in (None, meant)


def test_what_goes_beyond_is_left_to_tomllib() -> None:
    for text in ("a = 1", "a = 'x'", 'a = "\\u00e9"', '"\\u0061" = "x"', 'a.b = "x"', 'a = "x'):
        assert quick.read(text) is None
