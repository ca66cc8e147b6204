"""Keys that are derived when they are asked for are those of a walk from the beginning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import keys
from engine.errors import InvalidRequest
from engine.keys import Keys
from engine.prefix import extend, walk
from engine.states import chain_of
from engine.types import GenerateRequest


@given(
    tokens=st.lists(st.integers(0, 70_000), min_size=1, max_size=30).map(tuple),
    known=st.integers(0, 30),
    checked=st.sampled_from((0, 4096)),
    order=st.permutations(range(30)),
)
def test_every_key_is_that_of_the_whole_walk(tokens: tuple, known: int, checked: int, order: list) -> None:
    known = min(known, len(tokens))
    whole = tuple(walk(tokens))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "CHECKED", checked)
        found = Keys(tokens, known, extend(tokens[:known]) if known else None)
        assert [found[each] for each in order if each < len(tokens)] == [
            whole[each] for each in order if each < len(tokens)
        ]
        assert (found[-1], len(found)) == (whole[-1], len(tokens))
        assert all(found.has(at, key) for at, key in enumerate(whole, 1))
        assert not found.has(1, "0" * 64)
        assert not found.has(0, whole[0])


def test_a_long_history_is_not_walked_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = tuple(range(10_000))
    start = extend(tokens[:9_999])
    walked = []

    def counted(ids: tuple, begun: str = keys.EMPTY) -> object:
        walked.append(len(ids))
        return walk(ids, begun)

    monkeypatch.setattr(keys, "walk", counted)
    found = Keys(tokens, 9_999, start)
    assert (found[9_998], found[-1]) == (start, extend(tokens))
    assert not found.has(5, extend(tokens[:5]))  # not known without a walk
    assert walked == [1]
    assert found[4] == extend(tokens[:5])
    assert walked == [1, 9_999]
    assert found.has(5, extend(tokens[:5]))


@pytest.mark.parametrize("length", [10, 10_000])
def test_a_key_that_is_not_the_histories_is_found_out(length: int) -> None:
    tokens = tuple(range(length))
    with pytest.raises(InvalidRequest):
        _ = Keys(tokens, length, "1" * 64)[0]


def test_an_id_that_no_vocabulary_has_is_found_out_before_it_is_fed() -> None:
    history = (1,) * 10_000
    for tokens, prompt, start in (
        ((99,), (1,), None),
        (history, (99,), extend(history)),
        (history, (-1,), extend(history)),
    ):
        with pytest.raises(InvalidRequest):
            chain_of(GenerateRequest(prompt, tokens, start), vocab=50)
    assert chain_of(GenerateRequest((1,), history, extend(history)), vocab=50).new_from == 10_000
