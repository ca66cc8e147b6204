"""Text to lines: nothing is lost, everything fits, and a streamed reply looks like a finished one."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from rwkv_chat.plain_text import clean
from rwkv_chat.tui.prose import LiveText, literal_lines, markdown_lines
from rwkv_chat.tui.prose.entry import Entry, entry_rows
from rwkv_chat.tui.prose.line import Line, copy_text
from tests.tui.texts import TEXTS

SAMPLES = {
    "think": "<think>secret thoughts</think> the answer",
    "generics": "Use `Array<int>` or Array<int> or List<String>, <br> and <b>bold</b>.",
    "definition": "[x]: http://example.org/gone\n\nsee [x]",
    "link": '[text](http://example.org "title") ![alt](pic.png) <http://auto.example>',
    "list": "1986. A great year\n\n- a\n- b\n    - nested\n\n      deeper\n",
    "empty item": "- one\n-\n- three",
    "comment": "before <!-- comment --> after",
    "html block": "<div>\ninside\n</div>\n\nafter",
    "table": "| a | b |\n|---|:-:|\n| one | two **bold** |\n",
    "quote": "> a\n> b\n>\n> c",
    "fence": "text\n```python title=x\ndef f(): pass\n```\nafter",
    "open fence": "```js\nlet x = 1;",
    "indented": "para\n\n    code here\n\nback",
    "rule": "a\n\n---\n\nb",
    "setext": "Title\n=====\n\ntext",
    "entities": "a &amp; b &lt;c&gt;",
    "tabs": "a\tb\n\n\tcode\twith tabs",
}


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


@pytest.mark.parametrize("name", SAMPLES)
def test_markdown_loses_no_word(name: str) -> None:
    text = SAMPLES[name].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
    seen = copy_text(markdown_lines(SAMPLES[name], 60))
    assert [word for word in words(text) if word not in words(seen)] == []


@given(st.text(st.sampled_from("ab *_`#>-+1.)(<>[]!|~\\\n\t\"'&;:/"), max_size=80), st.integers(12, 80))
def test_markdown_loses_no_letter_whatever_the_marks(text: str, width: int) -> None:
    seen = copy_text(markdown_lines(text, width))
    for letter in "ab":
        assert seen.count(letter) >= text.count(letter)


@given(st.text(max_size=120), st.integers(12, 60))
def test_every_line_fits(text: str, width: int) -> None:
    for line in (*markdown_lines(clean(text), width), *literal_lines(clean(text), width)):
        assert cell_len(line.text) <= max(width, 12)


def test_single_newlines_are_breaks() -> None:
    assert [line.text for line in markdown_lines("one\ntwo\nthree", 40)] == ["one", "two", "three"]


@pytest.mark.parametrize(
    "text", ["**重点：**内容", "这是**“引用”**的话", "これは**「重要」**です", "한국어**(강조)**입니다"]
)
def test_emphasis_beside_wide_characters(text: str) -> None:
    runs = [run for line in markdown_lines(text, 60) for run in line.runs]
    assert "*" not in "".join(part for part, _ in runs)
    assert any("strong" in marks for _, marks in runs)


@pytest.mark.parametrize("text", ["2 * 3 * 4", "snake_case_name", "a ** b ** c", "_ _", "5*3=15 * 2"])
def test_what_is_no_emphasis_stays_literal(text: str) -> None:
    assert copy_text(markdown_lines(text, 60)) == text


def test_wide_text_wraps_between_characters_and_no_row_begins_with_closing_punctuation() -> None:
    lines = markdown_lines("你好世界，这是一个很长的中文句子。" * 5, 13)
    assert all(cell_len(line.text) <= 13 for line in lines)
    assert not any(line.text[0] in "，。" for line in lines)


def test_columns_stand_where_their_heads_say() -> None:
    text = "| n | 中文列 | price |\n|---|:-:|--:|\n| one | é | 5 |\n| 2 | 👍🏽 | 10.50 |"
    rows = [line.text for line in markdown_lines(text, 60)]
    assert rows == [
        "n   │ 中文列 │ price",
        "────┼────────┼──────",
        "one │   é    │     5",
        "2   │   👍🏽   │ 10.50",
    ]


def test_what_was_typed_is_shown_as_typed() -> None:
    text = "# no heading\n  indented\n\n\n**stars** [bold]"
    assert copy_text(literal_lines(text, 80)) == text


@given(st.text(st.characters(exclude_categories=["C", "Z"]) | st.sampled_from(" \n"), max_size=100))
def test_a_copy_undoes_soft_breaks(text: str) -> None:
    assert copy_text(literal_lines(text, 9)) == text


def _streamed(text: str, width: int, seed: int) -> tuple[list[Line], list[Line]]:
    """The lines after the last piece, and those of the finished message."""
    pieces = random.Random(seed)
    live = LiveText()
    at = 0
    while at < len(text):
        step = pieces.randint(1, 23)
        live.grow(text[at : at + step])
        live.lines(width)
        at += step
    return live.lines(width), markdown_lines(text, width)


@pytest.mark.parametrize("kind", TEXTS)
def test_a_streamed_reply_ends_as_the_finished_one(kind: str) -> None:
    text = TEXTS[kind](3000)
    live, finished = _streamed(text, 70, seed=len(kind))
    assert words(copy_text(live)) == words(copy_text(finished))


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("seed", range(3))
def test_a_streamed_reply_has_every_word(name: str, seed: int) -> None:
    live, finished = _streamed(SAMPLES[name], 60, seed)
    assert sorted(words(copy_text(live))) == sorted(words(copy_text(finished)))


@given(st.text(st.sampled_from("ab -*#`>1.\n"), max_size=200), st.integers(0, 1000))
def test_a_stream_never_loses_a_letter(text: str, seed: int) -> None:
    live, _ = _streamed(text, 40, seed)
    for letter in "ab":
        assert copy_text(live).count(letter) >= text.count(letter)


def test_closed_blocks_are_laid_out_only_once() -> None:
    live = LiveText()
    live.grow("one\n\ntwo\n\nthree")
    before = live.lines(40)
    stable = live.stable
    assert stable == 2
    live.grow(" more")
    assert live.lines(40)[:stable] == before[:stable]


def test_another_width_lays_everything_out_anew() -> None:
    live = LiveText()
    live.grow(TEXTS["mixed"](2000))
    live.lines(80)
    assert all(cell_len(line.text) <= 40 for line in live.lines(40))


def test_thoughts_are_folded_until_opened() -> None:
    entry = Entry("1", "assistant", "The answer.", reasoning="first this\nthen that")
    folded = [row.line.text for row in entry_rows(entry, 60)]
    opened = [row.line.text for row in entry_rows(entry, 60, opened=True)]
    assert any("4 words" in text for text in folded)
    assert "then that" not in folded
    assert "then that" in opened


def test_code_keeps_its_spaces_and_gets_its_colours() -> None:
    lines = markdown_lines('```python\nif x:\n    return "y"\n```', 60)
    assert copy_text(lines) == 'python\nif x:\n    return "y"'
    marks = {mark for line in lines for _, each in line.runs for mark in each}
    assert {"fence", "code-keyword", "code-string"} <= marks


def test_an_odd_language_or_an_endless_line_stays_plain() -> None:
    for text in ("```nonsense\nx = 1\n```", "```python\n" + "x" * 5000 + "\n```"):
        marks = {mark for line in markdown_lines(text, 60) for _, each in line.runs for mark in each}
        assert not any(mark.startswith("code-") for mark in marks)


@pytest.mark.parametrize("text", [r"\(a+b\)", r"\[ x^2 \\ y \]", r"\{1\,2\}", r"C:\\Users", r"\alpha"])
def test_formulas_and_paths_keep_their_backslashes(text: str) -> None:
    assert copy_text(markdown_lines(text, 80)) == text


def test_an_escaped_mark_loses_its_backslash() -> None:
    assert copy_text(markdown_lines(r"\*plain\* and \_x\_", 80)) == "*plain* and _x_"
