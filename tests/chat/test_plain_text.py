"""What may be shown: no controls, nothing hidden, nothing lost, however a stream is cut."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwkv_chat.plain_text import TITLE_LENGTH, clean, in_place, pasted, title

ODD = (
    "\x00\x07\x08\t\n\r\x1b\x7f\x85\x9b\u200b\u200d\u200e\u202a\u202e"
    "\u2028\u2029\u2066\u2069\ufeff\ufff9\ufffe\U000e0041\ud83d\ude00[31m]0;x"
)
texts = st.text(st.one_of(st.sampled_from(ODD), st.characters()), max_size=60)


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("one\r\ntwo", "one\ntwo"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("\x1b]0;owned\x07", "]0;owned"),
        ("\x9b2J", "2J"),
        ("a\x08b\x7fc", "abc"),
        ("abc\u202egpj.exe", "abc‹U+202E›gpj.exe"),
        ("\u2066x\u2069", "‹U+2066›x‹U+2069›"),
        ("a\u2028b\u2029c", "a\nb\nc"),
        ("\ud83d!", "\ufffd!"),
        ("\U000e0041", "‹U+E0041›"),
        ("👩‍👩‍👧 نمی‌خواهم שלום\u200f", "👩‍👩‍👧 نمی‌خواهم שלום\u200f"),
        ("日本語 <think> Array<int>", "日本語 <think> Array<int>"),
    ],
)
def test_examples(given_text: str, shown: str) -> None:
    assert clean(given_text) == shown


@given(texts)
def test_no_control_survives_and_the_result_can_be_written(text: str) -> None:
    shown = clean(text)
    assert not [each for each in shown if unicodedata.category(each) == "Cc" and each not in "\n\t"]
    assert not [each for each in shown if unicodedata.bidirectional(each) in OVERRIDES]
    shown.encode("utf-8")


OVERRIDES = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}


@given(texts)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(texts, st.integers(0, 60))
def test_a_stream_may_be_cut_anywhere(text: str, cut: int) -> None:
    assert clean(text[:cut]) + clean(text[cut:]) == clean(text)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "M", "Zs"])))
def test_letters_numbers_marks_and_signs_stay(text: str) -> None:
    assert clean(text) == text


@given(texts, st.integers(1, 80))
def test_a_title_is_one_short_line(text: str, length: int) -> None:
    line = title(text, length)
    assert len(line) <= length
    assert "\n" not in line
    assert "\t" not in line
    assert line == clean(line)


def test_a_title_keeps_letters_and_emoji_whole() -> None:
    assert title("ab" + "e\u0301" * 40, 5) == "abe\u0301…"
    assert title("ab" + "e\u0301" * 40, 4) == "ab…"
    assert title("ab👩\u200d👩\u200d👧 family", 6) == "ab👩…"
    assert title(" two\nlines ") == "two lines"
    assert len(title("x" * 500)) == TITLE_LENGTH


def test_a_paste_loses_its_controls_and_nothing_else() -> None:
    assert pasted("a\r\nb\rc\td\x1b[31m\x00\x9b") == "a\nb\nc\td[31m"
    kept = "\u202e 你好 \U0001f642\u200d\u2194\ufe0f"
    assert pasted(kept) == kept


def test_characters_are_replaced_in_place() -> None:
    text = "a\x1b\x7f\u202e\u2028\ud800b\n\t"
    assert in_place(text) == "a␛␡���b\n\t"
    assert len(in_place(text)) == len(text)
