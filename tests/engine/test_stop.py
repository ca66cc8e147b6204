"""Stop texts: found wherever tokens are cut, held back no longer than needed, nothing lost."""

from __future__ import annotations

import random

import pytest

from engine.stop import StopFinder


def run(texts: tuple[str, ...], parts: list[bytes]) -> tuple[bytes, bool]:
    finder = StopFinder(texts)
    released = b"".join(finder.feed(part) for part in parts)
    return released + (b"" if finder.found else finder.release()), finder.found


def plain(texts: tuple[str, ...], data: bytes) -> tuple[bytes, bool]:
    """Byte by byte: the first end of a stop text cuts where the longest that ends there begins."""
    for end in range(1, len(data) + 1):
        ending = [text for text in texts if text and data[:end].endswith(text.encode())]
        if ending:
            return data[: end - max(len(text.encode()) for text in ending)], True
    return data, False


@pytest.mark.parametrize(
    ("texts", "parts", "released", "found"),
    [
        (("\n\nUser:",), [b"Hi", b".\n", b"\nUs", b"er: x"], b"Hi.", True),
        (("\n\nUser:",), [b"Hi\n\n\nUser:"], b"Hi\n", True),
        (("\n\nUser:",), [b"Hi\n\nUse it"], b"Hi\n\nUse it", False),
        (("aab",), [b"a", b"a", b"a", b"b"], b"a", True),
        (("b", "abc"), [b"abc"], b"a", True),
        (("ab", "xab"), [b"xa", b"b"], b"", True),
        (("",), [b"x"], b"x", False),
        ((), [b"x"], b"x", False),
        (("你",), ["a你".encode()[:3], "a你".encode()[3:]], b"a", True),
    ],
)
def test_cases(texts: tuple[str, ...], parts: list[bytes], released: bytes, found: bool) -> None:
    assert run(texts, parts) == (released, found)


def test_a_stop_text_may_begin_before_a_cut() -> None:
    finder = StopFinder(("\n\nUser:",), before=b"Hi.\n")
    assert (finder.feed(b"\nUse"), finder.feed(b"r: x"), finder.found) == (b"", b"", True)
    other = StopFinder(("\n\nUser:",), before=b"Hi.\n")
    assert (other.feed(b"\nUs"), other.feed(b"e"), other.feed(b" it"), other.found) == (
        b"",
        b"",
        b"\nUse it",
        False,
    )
    last = StopFinder(("\n\nUser:",), before=b"Hi.\n")
    assert (last.feed(b"\n"), last.release()) == (b"", b"\n")


def test_after_a_cut_anywhere_it_finds_what_it_would_have_found() -> None:
    rng = random.Random(18)
    seen = 0
    for _ in range(5000):
        texts = tuple("".join(rng.choices("ab你", k=rng.randint(1, 5))) for _ in range(rng.randint(1, 3)))
        data = "".join(rng.choices("ab你", k=rng.randint(0, 14))).encode()
        cut = rng.randint(0, len(data))
        if plain(texts, data[:cut])[1]:
            continue
        seen += 1
        finder = StopFinder(texts, before=data[:cut])
        released = b"".join(finder.feed(data[at : at + 1]) for at in range(cut, len(data)))
        released += b"" if finder.found else finder.release()
        whole, found = plain(texts, data)
        assert (data[:cut] + released, finder.found) == (whole if len(whole) > cut else data[:cut], found)
    assert seen > 1000


def test_only_a_possible_beginning_is_held_back() -> None:
    finder = StopFinder(("\n\nUser:",))
    assert finder.feed(b"one\n") == b"one"
    assert finder.held == b"\n"
    assert finder.feed(b"two") == b"\ntwo"
    assert finder.held == b""


def test_any_cut_finds_what_the_plain_twin_finds() -> None:
    rng = random.Random(17)
    for _ in range(5000):
        texts = tuple("".join(rng.choices("ab你", k=rng.randint(0, 5))) for _ in range(rng.randint(0, 3)))
        data = "".join(rng.choices("ab你", k=rng.randint(0, 14))).encode()
        parts, at = [], 0
        while at < len(data):
            step = rng.randint(1, 5)
            parts.append(data[at : at + step])
            at += step
        assert run(texts, parts) == plain(texts, data), (texts, data, parts)
