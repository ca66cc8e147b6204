"""A branch, an undo, a switch or another reply begins at once, however long the history; `tests.bench.turns`
measures it on a larger model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.turns import LENGTHS, measure, running
from tests.engine import tiny
from tests.engine.small import VOCABULARY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Sample

SPARE = 0.03  # seconds: a busy machine; to feed 100,000 tokens takes this model a minute, to hash them 0.1 s


def test_no_history_token_is_fed_and_the_length_costs_next_to_nothing(tmp_path: Path, sample: Sample) -> None:
    times = sample("turns on each of 8 states", 2, 20)
    of = tiny.spec(n_layer=4, n_embd=128, head_size=64, vocab_size=VOCABULARY)
    with running(tmp_path, of) as (engine, info):
        short, long = (measure(tmp_path, engine, info, length, times) for length in LENGTHS)
    assert long.nbytes == short.nbytes or abs(long.nbytes - short.nbytes) < 100
    for row in (short, long):
        assert row.shortest <= 1.2 * row.floor + row.step + SPARE, row
