"""States with a name, the byte budgets, and what is synced: the store beside its ladders."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from engine.errors import StateCorrupt, StateMissing, StoreFull
from engine.store.check import check_all
from engine.store.statestore import StateStore, file_name
from engine.types import Held, Inspected, Ladder, NotSaved, StoreUse, Thinned
from tests.engine.small import PROMPT, ask, engine_on, request
from tests.engine.test_store import load, snapshot
from tests.test_durable import asked

if TYPE_CHECKING:
    from pathlib import Path

    from engine.service import Engine
    from engine.types import LoadRequest
    from tests.engine.conftest import Kind

__all__ = ["asked"]


@pytest.fixture
def store(tmp_path: Path) -> StateStore:
    return StateStore(tmp_path / "states", 1_000_000)


def full(store: StateStore, number: int) -> list:
    """So many states, and room for half a one more."""
    made = [snapshot(n + 1) for n in range(number)]
    sizes = [store.save(each) for each in made]
    store.set_budget(sum(sizes) + max(sizes) // 2)
    return made


# ------------------------------------------------------------------------------------------------ names


def test_a_state_with_a_name_never_goes(store: StateStore) -> None:
    first, *others = full(store, 3)
    store.hold(first.key)
    os.utime(store.path(first.key), (1, 1))
    for n in range(10, 16):
        store.save(snapshot(n))
    assert first.key in store
    assert load(store, first) is not None
    assert not any(each.key in store for each in others)
    assert store.used() <= store.budget
    assert store.use()[2] == store.path(first.key).stat().st_size


def test_it_is_not_written_twice_and_forgetting_leaves_it(store: StateStore) -> None:
    (one,) = full(store, 1)
    store.hold(one.key)
    assert store.hold(one.key) == store.save(one) == store.used(), "there is one file"
    store.forget([one.key.prefix])
    assert one.key in store
    assert one.key.prefix[:32] in store.prefixes()


def test_without_its_name_it_may_go_again_or_goes_at_once(store: StateStore) -> None:
    one, other = full(store, 2)
    for each in (one, other):
        store.hold(each.key)
    store.release([file_name(one.key)])
    store.release([file_name(other.key)], forget=True)
    assert (one.key in store, other.key in store) == (True, False)
    store.forget([one.key.prefix])
    assert one.key not in store
    store.release([file_name(one.key)])  # nothing is there: nothing happens


def test_what_is_not_saved_can_have_no_name(store: StateStore) -> None:
    with pytest.raises(StateMissing):
        store.hold(snapshot().key)


def test_names_alone_that_fill_the_budget_are_an_error_that_says_so(store: StateStore) -> None:
    made = full(store, 3)
    for each in made:
        store.hold(each.key)
    with pytest.raises(StoreFull) as refused:
        store.save(snapshot(9))
    assert refused.value.held == store.used()
    assert refused.value.budget == store.budget
    assert snapshot(9).key not in store
    store.set_budget(store.used() * 2)
    store.save(snapshot(9))
    store.set_budget(store.used() - 1)
    assert snapshot(9).key not in store, "the budget wins at once"
    store.set_budget(10**6)
    store.save(snapshot(9))
    store.set_budget(store.used() - 1 - store.path(snapshot(9).key).stat().st_size)
    with pytest.raises((StoreFull, StateMissing)):
        store.hold(snapshot(9).key)


def test_pinned_states_never_go_either(store: StateStore) -> None:
    first, *_ = full(store, 3)
    os.utime(store.path(first.key), (1, 1))
    store.tell([Ladder("one", (first.key.prefix,), (-1,), (), (first.key.prefix,))])
    for n in range(10, 16):
        store.save(snapshot(n))
    assert first.key in store


def test_a_damaged_state_with_a_name_is_found_and_given_up(store: StateStore) -> None:
    (one,) = full(store, 1)
    store.hold(one.key)
    path = store.path(one.key)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes((whole[-1] ^ 1,)))
    assert [error is None for _, error in check_all(store.folder)] == [False]
    with pytest.raises(StateCorrupt):
        load(store, one)
    assert one.key not in store, "it is made again from its tokens"


# ------------------------------------------------------------------------------------------------ others


def test_what_another_process_saves_is_seen(store: StateStore) -> None:
    """Also within the tick of a file system's clock, in which a change may leave no trace."""
    other = StateStore(store.folder, 1_000_000)
    for n in range(1, 30):
        one = snapshot(n)
        assert one.key.prefix[:32] not in store.prefixes()
        other.save(one)
        assert one.key.prefix[:32] in store.prefixes()
        assert store.used() == other.used()


def test_a_half_written_file_counts_and_is_no_state(store: StateStore) -> None:
    store.folder.joinpath(f"{file_name(snapshot().key)}.0.writing").write_bytes(b"half")
    assert (store.used(), store.prefixes()) == (4, frozenset())


def test_thinning_goes_by_the_ladders(store: StateStore) -> None:
    made = [snapshot(*range(1, n + 2)) for n in range(20)]
    for each in made:
        store.save(each)
        os.utime(store.path(each.key), (1, 1))
    keys = tuple(each.key.prefix for each in made)
    store.tell([Ladder("one", keys, tuple(range(-1, 19)), keys[-1:])])
    before = store.used()
    gone, nbytes = store.thin()
    assert before - nbytes == store.used()
    left = [n for n, each in enumerate(made) if each.key in store]
    assert (gone, left) == (20 - len(left), [3, 5, 7, 9, 11, *range(12, 20)])


# ------------------------------------------------------------------------------------------------ durable


def test_saving_holding_and_releasing_are_synced(store: StateStore, asked: list) -> None:
    one = snapshot()
    store.save(one)
    store.hold(one.key)
    store.release([file_name(one.key)])
    store.save_passing(snapshot(2))
    assert len([each for each in asked if each[0] == "move"]) == 4


# ------------------------------------------------------------------------------------------------ the border


def test_over_the_border(model: LoadRequest, tmp_path: Path, kind: Kind) -> None:
    with engine_on(tmp_path, model, kind) as engine:
        end = ask(engine, request()).finished
        assert end.key is not None
        held = engine.hold(end.key).result()
        assert isinstance(held, Held)
        assert engine.file(end.key).parent.name == "held"
        assert engine.saved()[engine.file(end.key).name] == held.nbytes
        use = engine.use().result()
        assert isinstance(use, StoreUse)
        assert use.held_bytes == held.nbytes
        assert use.ram_bytes > 0
        assert dict(use.sources) == {"fresh": 1}
        _looked_into(engine, end)
        assert isinstance(engine.thin().result(), Thinned)
        _small(engine, held.nbytes)


def _looked_into(engine: Engine, end) -> None:
    again = ask(engine, request((9,), PROMPT + end.tokens)).finished
    assert again.key is not None
    seen = engine.inspect(engine.file(end.key), engine.file(again.key)).result()
    assert isinstance(seen, Inspected)
    one, other = seen.profiles
    assert (one.arch, one.tier, other.length) == ("rwkv7", "fp32", len(PROMPT) + len(end.tokens) + 1 + 12)
    assert len(one.norms) == len(seen.changes) == 2, "a row for each layer"
    assert all(norm > 0 for row in one.norms for norm in row)
    assert [name for name, _ in one.shifts] == ["att_shift_BLC", "ffn_shift_BLC"]
    alone = engine.inspect(engine.file(end.key)).result()
    assert isinstance(alone, Inspected)
    assert (alone.profiles, alone.changes) == ((one,), ())


def _small(engine: Engine, held: int) -> None:
    """The budget is changed while it runs, and what does not fit is told."""
    engine.budget(held + held // 2, 0)
    found = ask(engine, request((5, 6, 7)))
    assert found.finished.key is None
    refused = found.of(NotSaved)[0].error
    assert isinstance(refused, StoreFull)
    assert refused.held == held
    use = engine.use().result()
    assert isinstance(use, StoreUse)
    assert (use.disk_budget, use.ram_bytes, use.ram_budget) == (held + held // 2, 0, 0)


def test_a_file_that_is_no_state_is_not_looked_into(model: LoadRequest, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff" * 64)
    with engine_on(tmp_path, model) as engine, pytest.raises(StateCorrupt):
        engine.inspect(tmp_path / "x").result()


def test_states_can_be_looked_into_without_a_model(model: LoadRequest, tmp_path: Path) -> None:
    from engine.service import Engine

    with engine_on(tmp_path, model) as engine:
        key = ask(engine, request()).finished.key
    assert key is not None
    alone = Engine(tmp_path / "states", threads=1)
    try:
        assert isinstance(alone.inspect(alone.file(key)).result(), Inspected)
    finally:
        alone.close()
