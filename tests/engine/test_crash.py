"""A reply that was being written when the program was killed goes on at the same token, as if nothing had
happened.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine import row
from engine.store.statestore import PASSING, StateStore
from engine.types import Saved
from tests.children import warm
from tests.engine.dying import LIVELY, answer, noted
from tests.engine.small import PROMPT, ask, engine_on, request

if TYPE_CHECKING:
    from pathlib import Path

    from engine.service import Engine
    from engine.types import GenerateRequest, LoadRequest, TokenIds

PATIENCE = 60.0
TOKENS = 120  # told before the kill, at least


def killed(model: LoadRequest, folder: Path, states: int = 3) -> TokenIds:
    """What was told of a reply up to a kill -9, after so many of its states were written."""
    child = warm().Process(  # pyright: ignore[reportAttributeAccessIssue]
        target=answer, args=(model, folder), daemon=True
    )
    child.start()
    seen: set[str] = set()
    until = time.monotonic() + PATIENCE
    while len(seen) < states or len(noted(folder)) < TOKENS:
        assert child.is_alive()
        assert time.monotonic() < until
        seen |= {each.name for each in (folder / "states" / PASSING).glob("*.safetensors")}
        time.sleep(0.002)
    child.kill()
    child.join()
    assert child.exitcode == -9
    return noted(folder)


@pytest.fixture(scope="module")
def crash(model: LoadRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TokenIds]:
    """A folder with what a killed reply left, and its tokens."""
    folder = tmp_path_factory.mktemp("crash")
    return folder, killed(model, folder)


def ended(engine: Engine, asked: GenerateRequest) -> tuple[TokenIds, bytes]:
    """A reply's tokens, and its state to the last bit."""
    found = ask(engine, asked).finished
    assert found.key is not None
    return found.tokens, engine.file(found.key).read_bytes()


@pytest.fixture(scope="module")
def whole(
    model: LoadRequest, crash: tuple[Path, TokenIds], tmp_path_factory: pytest.TempPathFactory
) -> tuple[TokenIds, bytes]:
    """The reply as it is where nobody is killed."""
    params = replace(LIVELY, max_tokens=len(crash[1]) + 100)
    with engine_on(tmp_path_factory.mktemp("whole"), model) as engine:
        return ended(engine, request(PROMPT, params=params))


@pytest.mark.parametrize("lost", [0, 1, 37])
def test_after_a_kill_it_is_the_reply_that_it_would_have_been(
    model: LoadRequest, crash: tuple[Path, TokenIds], whole: tuple[TokenIds, bytes], lost: int
) -> None:
    """`lost`: tokens that were drawn and told, and not written down by whoever keeps them."""
    folder, told = crash
    kept = told[: len(told) - lost]
    params = replace(LIVELY, max_tokens=100 + lost)
    asked = request((), PROMPT + kept, params=params, continues=len(kept))
    with engine_on(folder, model) as engine:
        first = ask(engine, replace(asked, params=replace(params, max_tokens=1))).finished
        tokens, state = ended(engine, asked)
    if lost < 2:  # else both that are there may stand behind what was kept: all of it is fed again
        assert first.usage.history_tokens < len(kept), "it went on from a state on the way"
    assert (kept + tokens, state) == whole


def test_without_its_states_it_is_fed_again_as_it_was_drawn(
    model: LoadRequest, crash: tuple[Path, TokenIds], whole: tuple[TokenIds, bytes], tmp_path: Path
) -> None:
    _, told = crash
    params = replace(LIVELY, max_tokens=100)
    with engine_on(tmp_path / "other", model) as engine:
        tokens, state = ended(engine, request((), PROMPT + told, params=params, continues=len(told)))
    assert (told + tokens, state) == whole


def test_two_are_kept_on_the_way_and_none_when_it_has_ended(
    model: LoadRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row, "MARK_SECONDS", 0.02)
    most, save = [0], StateStore.save_passing

    def counted(self: StateStore, snapshot: object) -> None:
        save(self, snapshot)  # pyright: ignore[reportArgumentType]
        most[0] = max(most[0], len(list(self.passing.iterdir())))

    monkeypatch.setattr(StateStore, "save_passing", counted)
    with engine_on(tmp_path, model) as engine:
        found = ask(engine, request(PROMPT, params=replace(LIVELY, max_tokens=600)))
    assert 2 <= most[0] <= 3, "the third is written before the first is given up"
    assert len(found.of(Saved)) == 2, "the prompt's end and the reply's"
    assert list((tmp_path / "states" / PASSING).iterdir()) == []


def test_what_a_crash_left_behind_goes_after_a_day_and_with_the_first_that_is_forgotten(
    tmp_path: Path,
) -> None:
    store = StateStore(tmp_path)
    store.passing.mkdir()
    names = [f"{n:032x}-{n:032x}.safetensors" for n in range(3)]
    for name, seconds in zip(names, (90_000, 120, 1), strict=True):
        (store.passing / name).write_bytes(b"state")
        os.utime(store.passing / name, (when := time.time() - seconds, when))
    store = StateStore(tmp_path)
    assert sorted(each.name for each in store.passing.iterdir()) == names[1:]
    store.forget([])
    assert sorted(each.name for each in store.passing.iterdir()) == names[2:], "it may still be written"
