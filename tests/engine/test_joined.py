"""A history and what follows it read as one tuple does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.joined import Joined

IDS = st.lists(st.integers(0, 9), max_size=6).map(tuple)
PLACE = st.none() | st.integers(-15, 15)


@given(first=IDS, second=IDS, start=PLACE, stop=PLACE, step=st.sampled_from((None, 1, 2, -1)))
def test_every_part_is_that_of_the_tuple(
    first: tuple, second: tuple, start: int | None, stop: int | None, step: int | None
) -> None:
    joined, plain = Joined(first, second), (*first, *second)
    assert (len(joined), tuple(joined), bool(joined)) == (len(plain), plain, bool(plain))
    part = joined[start:stop:step]
    assert (part, type(part)) == (plain[start:stop:step], tuple)
    for place in range(-len(plain), len(plain)):
        assert joined[place] == plain[place]
    for place in (len(plain), -len(plain) - 1):
        with pytest.raises(IndexError):
            _ = joined[place]


def test_the_history_is_not_copied() -> None:
    history = tuple(range(10_000))
    joined = Joined(history, (1, 2))
    assert joined[: len(history)] is history
    assert joined[-3:] == (9_999, 1, 2)
