"""A branch, an undo, a switch or another reply begins at once, however long the history; `tests.bench.turns`
measures it on a larger model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.prefix import extend
from engine.store.statestore import StateStore
from engine.types import Failed
from tests.bench.turns import LENGTHS, chains, measure, running, save
from tests.engine import tiny
from tests.engine.small import VOCABULARY, ask, outcome, request

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.conftest import Sample

SPARE = 0.03  # seconds: a busy machine; to feed 100,000 tokens takes this model a minute, to hash them 0.1 s


def test_no_history_token_is_fed_and_the_length_costs_next_to_nothing(
    tmp_path: Path, sample: Sample, room: float
) -> None:
    times = sample("turns on each of 8 states", 2, 20)
    of = tiny.spec(n_layer=4, n_embd=128, head_size=64, vocab_size=VOCABULARY)
    with running(tmp_path, of) as (engine, info):
        short, long = (measure(tmp_path, engine, info, length, times) for length in LENGTHS)
    assert long.nbytes == short.nbytes or abs(long.nbytes - short.nbytes) < 100
    for row in (short, long):
        assert row.shortest <= (1.2 * row.floor + row.step + SPARE) * room, row


def test_the_folder_of_states_is_not_listed_where_the_right_one_lies_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 10,000 files that takes longer than the first piece."""
    of = tiny.spec(n_layer=1, n_embd=64, head_size=64, vocab_size=VOCABULARY)
    with running(tmp_path, of) as (engine, info):
        (chain, *_) = chains(100)
        save(tmp_path, info, chain)
        monkeypatch.setattr(StateStore, "prefixes", None)
        end = ask(engine, request(chain[-20:], chain[:-20], start=extend(chain[:-20]))).finished
        assert (end.usage.source, end.usage.history_tokens) == ("disk", 0)
        other = outcome(engine.submit(request((5,), chain)))
    assert isinstance(other.events[-1], Failed), "where it does not, the folder is listed"
