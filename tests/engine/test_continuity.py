"""A conversation that is resumed, or rebuilt from its tokens, goes on exactly as if never interrupted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.models.state import relative_difference
from engine.prefix import extend
from engine.service import Engine
from engine.types import LoadRequest, Prefilled
from tests.engine import tiny
from tests.engine.small import ask, engine_on, load, write_model

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Literal

    from engine.types import TokenIds

from tests.engine.talking import GREEDY, asking, saved_tensors, turn

# ------------------------------------------------------------------------------------------------ equality


def conversation(
    model: LoadRequest, folder: Path, how: str, worker: Literal["thread", "process"]
) -> list[TokenIds]:
    """Five greedy turns: uninterrupted; closed and resumed after each; or rebuilt from tokens in each."""
    budget = 0 if how == "rebuilt" else None
    history: TokenIds = ()
    replies: list[TokenIds] = []
    engine: Engine | None = None
    for n in range(5):
        if engine is None:
            engine = Engine(folder / "states", worker=worker, threads=1, budget_bytes=budget)
            load(engine, model)
        end = ask(engine, asking(turn(n), history)).finished
        expected = {"uninterrupted": "device", "resumed": "disk", "rebuilt": "rebuilt"}[how]
        assert end.usage.source == (expected if n else "fresh")
        replies.append(end.tokens)
        history += turn(n) + end.tokens
        if how != "uninterrupted":
            engine.close()
            engine = None
    if engine:
        engine.close()
    return replies


@pytest.fixture(scope="module")
def uninterrupted(model: LoadRequest, tmp_path_factory: pytest.TempPathFactory) -> list[TokenIds]:
    return conversation(model, tmp_path_factory.mktemp("uninterrupted"), "uninterrupted", "thread")


@pytest.mark.parametrize("how", ["resumed", "rebuilt"])
def test_a_conversation_goes_on_token_for_token(
    model: LoadRequest, tmp_path: Path, how: str, uninterrupted: list[TokenIds]
) -> None:
    assert conversation(model, tmp_path, how, "thread") == uninterrupted


# what is read again in other pieces is rounded otherwise in bf16; what comes from the disk is the same
@pytest.mark.parametrize(
    ("dtype", "hows"), [("fp32", ("resumed", "rebuilt")), ("bf16", ("resumed",)), ("int8", ("resumed",))]
)
@pytest.mark.parametrize("arch", [arch for arch in tiny.ARCHS if arch != "rwkv7"])
def test_older_versions_go_on_token_for_token(
    tmp_path: Path, arch: str, dtype: str, hows: tuple[str, ...]
) -> None:
    """The same engine, with that version's state on the disk."""
    older = replace(write_model(tmp_path, arch=arch), dtype=dtype)
    whole = conversation(older, tmp_path / "uninterrupted", "uninterrupted", "thread")
    assert any(len(set(reply)) > 3 for reply in whole)
    for how in hows:
        assert conversation(older, tmp_path / how, how, "thread") == whole


def test_a_process_says_what_a_thread_says(
    model: LoadRequest, tmp_path: Path, uninterrupted: list[TokenIds]
) -> None:
    assert conversation(model, tmp_path, "uninterrupted", "process") == uninterrupted


@pytest.mark.parametrize("damage", ["missing", "flipped", "cut", "empty"])
def test_a_lost_or_damaged_state_is_rebuilt_and_said_so(
    model: LoadRequest, tmp_path: Path, uninterrupted: list[TokenIds], damage: str
) -> None:
    history: TokenIds = ()
    for n in range(3):
        history += turn(n) + uninterrupted[n]
    with engine_on(tmp_path, model) as engine:
        first = ask(engine, asking(turn(2), history[: -len(turn(2) + uninterrupted[2])])).finished
        assert first.tokens == uninterrupted[2]
    before = saved_tensors(tmp_path, extend(history))
    for path in (tmp_path / "states").iterdir():
        data = path.read_bytes()
        if damage == "missing":
            path.unlink()
        elif damage == "flipped":
            path.write_bytes(data[:-50] + bytes((data[-50] ^ 4,)) + data[-49:])
        else:
            path.write_bytes(data[:-1] if damage == "cut" else b"")
    with engine_on(tmp_path, model) as engine:
        found = ask(engine, asking(turn(3), history))
        again = ask(engine, asking((), history, replace(GREEDY, max_tokens=1))).finished
    assert found.finished.tokens == uninterrupted[3]
    assert found.finished.usage.source == "rebuilt"
    assert found.finished.usage.history_tokens == len(history)
    assert any(event.rebuilt for event in found.events if isinstance(event, Prefilled))
    assert again.usage.source == "rebuilt"
    for name, x in saved_tensors(tmp_path, extend(history)).items():
        assert relative_difference(x, before[name]) < 1e-5


def test_the_nearest_saved_ancestor_is_used(
    model: LoadRequest, tmp_path: Path, uninterrupted: list[TokenIds]
) -> None:
    history: TokenIds = ()
    ends: list[str] = []
    with engine_on(tmp_path, model) as engine:
        for n in range(4):
            history += turn(n) + ask(engine, asking(turn(n), history)).finished.tokens
            ends.append(extend(history))
        engine.forget([*ends[2:], extend(history[: -len(uninterrupted[3])])])
    with engine_on(tmp_path, model) as engine:
        found = ask(engine, asking(turn(4), history)).finished
    assert found.tokens == uninterrupted[4]
    assert found.usage.source == "rebuilt"
    assert 0 < found.usage.history_tokens < len(history) / 2 + len(turn(3)) + 25
