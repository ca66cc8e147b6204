"""Whole characters only, nothing lost, nothing late."""

from __future__ import annotations

import random

import pytest

from engine.stream_decoder import StreamDecoder


def test_a_character_split_over_tokens_is_held_back() -> None:
    decoder = StreamDecoder()
    assert [decoder.feed(bytes((byte,))) for byte in "a😀".encode()] == ["a", "", "", "", "😀"]
    assert decoder.finish() == ""


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        (b"\xff!", ["\ufffd", "!"]),
        (b"\xe4\xbdA", ["", "", "\ufffdA"]),
        (b"\xed\xa0\x80", ["", "\ufffd\ufffd", "\ufffd"]),
        (b"\xc0\xaf", ["\ufffd", "\ufffd"]),
        (b"\xf4\x90", ["", "\ufffd\ufffd"]),
        (b"\xe0\x80", ["", "\ufffd\ufffd"]),
        ("\ufffd".encode(), ["", "", "\ufffd"]),
    ],
)
def test_what_cannot_become_a_character_is_replaced_at_once(data: bytes, texts: list[str]) -> None:
    decoder = StreamDecoder()
    assert [decoder.feed(bytes((byte,))) for byte in data] == texts
    assert decoder.carry == b""


def test_the_tail_comes_only_at_the_end() -> None:
    decoder = StreamDecoder()
    assert decoder.feed("é你".encode()[:-1]) == "é"
    assert decoder.carry == "你".encode()[:-1]
    assert decoder.finish() == "\ufffd"


def test_a_carry_is_taken_up_again() -> None:
    assert StreamDecoder("你".encode()[:2]).feed("你".encode()[2:]) == "你"


def test_any_split_gives_the_text_of_the_whole() -> None:
    rng = random.Random(11)
    alphabet = [
        b"a",
        "é".encode(),
        "你".encode(),
        "😀".encode(),
        b"\xff",
        b"\xe4",
        b"\x80",
        b"\xed",
        b"\xa0",
        b"\xf0",
    ]
    for _ in range(2000):
        data = b"".join(rng.choices(alphabet, k=rng.randint(0, 12)))
        decoder, at, text = StreamDecoder(), 0, ""
        while at < len(data):
            step = rng.randint(1, 4)
            text += decoder.feed(data[at : at + step])
            at += step
        assert text + decoder.finish() == data.decode(errors="replace")
