"""Stop texts and bans of a conversation: typed in one line, kept as texts, meant in a model's tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.types import StopRule
from rwkv_chat.own_words import BANS, LONGEST, MOST, STOPS, Banned, banned, parse, shown, texts_of, with_stops

TEXTS = st.lists(st.text(min_size=1, max_size=20), max_size=6, unique=True)


class Words:
    """A tokenizer with a few words, and letters."""

    def encode(self, text: str) -> tuple[int, ...]:
        words = {"cat": (300,), " cat": (301,), "é": (302,)}
        return words.get(text, tuple(byte + 1 for byte in text.encode()))

    def decode_bytes(self, ids: tuple[int, ...]) -> bytes:
        raise NotImplementedError


@given(TEXTS)
def test_what_is_shown_is_read_as_it_was(texts: list[str]) -> None:
    assert parse(shown(tuple(texts))) == tuple(texts)


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ("", ()),
        (" , ,", ()),
        ("User:, Bot:", ("User:", "Bot:")),
        (r"\n\nUser:,a\,b", ("\n\nUser:", "a,b")),
        ('" cat", cat,cat', (" cat", "cat")),
        (r"\\n", (r"\n",)),
        ("end\\", ("end",)),
        ('"', ('"',)),
    ],
)
def test_a_line_as_it_is_typed(line: str, texts: tuple[str, ...]) -> None:
    assert parse(line) == texts


def test_too_many_and_too_long_are_refused() -> None:
    assert parse(",".join(map(str, range(MOST + 1)))) is None
    assert parse("x" * (LONGEST + 1)) is None


def test_a_ban_is_an_id_or_what_one_token_says_with_a_space_or_without() -> None:
    assert banned(("#17", "cat", "é", "dog"), Words()) == Banned((17, 300, 301, 302), ("dog",))


@pytest.mark.parametrize("damage", [None, 7, "text", [1, None, ["x"]], ["x" * (LONGEST + 1), ""]])
def test_what_is_no_list_of_texts_is_left_out(damage: object) -> None:
    assert texts_of({BANS: damage}, BANS) == ()


def test_own_stop_texts_come_after_the_templates() -> None:
    rule = with_stops(StopRule((0,), ("\n\nUser:",)), {STOPS: ["END", "\n\nUser:"]})
    assert rule == StopRule((0,), ("\n\nUser:", "END"))
