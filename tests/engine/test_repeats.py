"""A reply that says the same again and again: the detector against its plain twin, and the reply's end."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import repeats
from engine.generate import RowEnd, Start, generate
from engine.repeats import HELD, LONGEST, SPAN, TIMES, Repeats, repeated
from engine.sampling import SamplerState
from engine.tokenizer import load_tokenizer
from engine.types import GenerateRequest, SamplingParams, StopRule
from tests.engine import small
from tests.engine.scripted import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.conftest import Sample

LETTERS = st.integers(0, 2)
WORDS = st.lists(LETTERS, min_size=1, max_size=45)


def found(tokens: Sequence[int]) -> list[int]:
    looking = Repeats()
    return [looking.add(each) for each in tokens]


def plainly(tokens: Sequence[int]) -> list[int]:
    return [repeated(tokens[: end + 1]) for end in range(len(tokens))]


@settings(deadline=None, max_examples=60)
@given(st.lists(LETTERS, max_size=30), WORDS, st.integers(1, 5), st.lists(LETTERS, max_size=10), WORDS)
def test_it_finds_what_the_plain_twin_finds(
    before: list[int], word: list[int], times: int, between: list[int], other: list[int]
) -> None:
    tokens = [*before, *word * times, *between, *other * 4]
    assert found(tokens) == plainly(tokens)


def test_nested_repeats_are_found_where_the_plain_twin_finds_them(sample: Sample) -> None:
    """Words made of words: what recurs nearest is often not what repeats."""
    rng = random.Random(3)
    for _ in range(sample("nested repeats", 25, 500)):
        a, b = ([rng.randrange(3) for _ in range(rng.randint(1, 30))] for _ in range(2))
        word = [*a, *b, *a, *rng.choice((a, b, []))]
        tokens = [rng.randrange(3), *word * 3, *b, *word * 4][: rng.randint(150, 420)]
        assert found(tokens) == plainly(tokens)


@pytest.mark.parametrize("span", [1, 7, 19, 20, 21, 39, 40, 41, 333])
def test_a_span_is_found_with_the_last_token_of_its_third_time(span: int) -> None:
    rng = random.Random(span)
    word = [rng.randrange(60_000) for _ in range(span)]
    counted = span * -(-SPAN // span)  # a shorter one: its smallest multiple that is long enough
    tokens = [1, 2, 3, *word * (TIMES * counted // span)]
    assert found(tokens)[-2:] == [0, counted]


def test_twice_is_not_three_times_and_a_change_begins_anew() -> None:
    word = list(range(30))
    assert not any(found([*word, *word, 99, *word, *word, 98]))


def test_the_longest_span_is_found_and_no_longer_one() -> None:
    rng = random.Random(1)
    for span, expected in ((LONGEST, LONGEST), (LONGEST + 1, 0)):
        word = [rng.randrange(60_000) for _ in range(span)]
        assert found(word * TIMES)[-1] == expected


def test_a_long_reply_is_not_held_whole_and_its_end_is_found_all_the_same() -> None:
    rng = random.Random(2)
    looking, word = Repeats(), [rng.randrange(60_000) for _ in range(50)]
    for _ in range(HELD - 75):
        assert looking.add(rng.randrange(60_000)) == 0
    assert [looking.add(each) for each in word * 3][-1] == 50
    assert len(looking._tokens) <= HELD


def test_each_token_costs_the_same_however_long_the_reply_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in looks at the tokens, not in seconds: a reply that nearly repeats all the time."""
    compared = 0
    its = Repeats._has_period

    def counting(self: Repeats, period: int, length: int) -> bool:
        nonlocal compared
        compared += 1
        return its(self, period, length)

    monkeypatch.setattr(repeats.Repeats, "_has_period", counting)
    tokens = [number % 25 if number % 70 else 99 for number in range(3000)]
    found(tokens)
    assert compared <= len(tokens) * len(repeats.SCALES)


def ending(tmp_path: Path, *, asked: bool, word: tuple[int, ...] = tuple(range(98, 120))) -> RowEnd:
    """How a reply ends that says `word` for ever, of at most 100 tokens."""
    tokenizer = load_tokenizer(small.write_tokenizer(tmp_path / "tokenizer.json"))
    model = ScriptedModel(lambda seen: word[(len(seen) - 3) % len(word)], small.VOCABULARY)
    params = SamplingParams(temperature=0, max_tokens=100)
    request = GenerateRequest((0, 73, 74), params=params, stop=StopRule((0,)), repeats=asked)
    start = Start(model.zero_state(1), request.prompt, (SamplerState(),))
    *_, last = generate(model, tokenizer, request, start)  # pyright: ignore[reportArgumentType]
    assert isinstance(last, RowEnd)
    return last


def test_a_reply_ends_where_it_says_the_same_the_third_time_and_can_go_on(tmp_path: Path) -> None:
    end = ending(tmp_path, asked=True)
    assert (end.reason, len(end.tokens)) == ("repeats", 66)
    assert end.state is not None
    assert end.pending == end.tokens[-1:]


def test_where_nobody_asks_it_goes_on_to_its_limit(tmp_path: Path) -> None:
    assert (ending(tmp_path, asked=False).reason) == "length"
