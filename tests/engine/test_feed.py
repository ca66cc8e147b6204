"""Reading without answering, and replies whose chain is not remembered: where they go on, what is saved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pytest

from engine.prefix import extend
from engine.service import Engine
from engine.types import (
    Cancelled,
    Failed,
    Fed,
    FeedRequest,
    Finished,
    Loaded,
    LoadRequest,
    Piece,
    Prefilled,
    SamplingParams,
    Saved,
)
from tests.engine.small import PROMPT, ask, engine_on, load, outcome, request, write_model

if TYPE_CHECKING:
    from pathlib import Path

    from engine.types import TokenIds

LONG: TokenIds = tuple(1 + n * 7 % 250 for n in range(1100))  # several chunks
KINDS: tuple[Literal["thread", "process"], ...] = ("thread", "process")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadRequest:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("worker", KINDS)
def test_a_reply_goes_on_from_what_was_read(
    tmp_path: Path, model: LoadRequest, worker: Literal["thread", "process"]
) -> None:
    with engine_on(tmp_path / "read", model, worker) as engine:
        said = outcome(engine.submit(FeedRequest(LONG)))
        *progress, saved, fed = said.events
        reply = ask(engine, request(PROMPT, LONG)).finished
    assert isinstance(saved, Saved)
    assert isinstance(fed, Fed)
    assert (fed.prefix, fed.key) == (extend(LONG), saved.key)
    assert all(isinstance(each, Prefilled) for each in progress)
    assert progress[-1] == Prefilled(len(LONG), len(LONG), False)
    assert [each.done for each in said.of(Prefilled)] == [0, 256, 512, 768, 1024, 1099, 1100]
    assert (fed.usage.prompt_tokens, fed.usage.history_tokens) == (len(LONG), 0)
    assert (reply.usage.history_tokens, reply.usage.prompt_tokens) == (0, len(PROMPT))
    with engine_on(tmp_path / "straight", model) as other:
        assert ask(other, request(PROMPT, LONG)).finished.tokens == reply.tokens


def test_reading_begins_at_the_nearest_known_place(tmp_path: Path, model: LoadRequest) -> None:
    with engine_on(tmp_path, model) as engine:
        ask(engine, request(LONG[:500], max_tokens=1))
        ahead = outcome(engine.submit(FeedRequest(LONG[600:], history=LONG[:600]))).events[-1]
        again = outcome(engine.submit(FeedRequest(LONG[600:], history=LONG[:600]))).events
    assert isinstance(ahead, Fed)
    assert (ahead.usage.history_tokens, ahead.usage.prompt_tokens) == (100, 500)
    assert ahead.usage.source == "rebuilt"
    assert [type(each) for each in again] == [Saved, Fed]
    assert isinstance(again[-1], Fed)
    assert (again[-1].usage.prompt_tokens, again[-1].usage.source) == (0, "device")


def test_a_state_read_in_an_earlier_run_is_there(tmp_path: Path, model: LoadRequest) -> None:
    for source, prompt_tokens in (("fresh", len(LONG)), ("disk", 0)):
        with engine_on(tmp_path, model) as engine:
            fed = outcome(engine.submit(FeedRequest(LONG))).events[-1]
        assert isinstance(fed, Fed)
        assert (fed.usage.source, fed.usage.prompt_tokens) == (source, prompt_tokens)


@pytest.mark.parametrize("worker", KINDS)
def test_cancelled_it_keeps_how_far_it_came(
    tmp_path: Path, model: LoadRequest, worker: Literal["thread", "process"]
) -> None:
    whole = LONG * 20
    with engine_on(tmp_path, model, worker) as engine:
        job = engine.submit(FeedRequest(whole))
        events = []
        for event in job:
            events.append(event)
            if isinstance(event, Prefilled) and event.done:
                job.cancel()
        assert isinstance(events[-1], Cancelled)
        assert isinstance(events[-2], Saved)
        reached = max(each.done for each in events if isinstance(each, Prefilled))
        assert reached < len(whole)
    with engine_on(tmp_path, model) as engine:
        job = engine.submit(FeedRequest(whole))
        rest = next(each for each in job if isinstance(each, Prefilled))
        job.cancel()
        list(job)
    assert rest.total == len(whole) - reached


def test_cancelled_before_it_began_and_empty_ones(tmp_path: Path, model: LoadRequest) -> None:
    with engine_on(tmp_path, model) as engine:
        job = engine.submit(FeedRequest(LONG))
        job.cancel()
        assert isinstance(list(job)[-1], Cancelled | Fed)
        assert isinstance(list(engine.submit(FeedRequest(())))[-1], Failed)
        assert isinstance(list(engine.submit(FeedRequest((1,), initial="x")))[-1], Failed)
        assert isinstance(list(engine.submit(FeedRequest((1,))))[-1], Fed)
    engine = Engine(tmp_path / "other")
    assert isinstance(list(engine.submit(FeedRequest((1,))))[-1], Failed)
    engine.close()


def test_replies_go_first(tmp_path: Path, model: LoadRequest) -> None:
    """While a reply is written, a reading in the background takes no step."""
    order: list[str] = []
    with engine_on(tmp_path, model) as engine:
        note(engine, order)
        reading = engine.submit(FeedRequest(LONG * 10))
        reply = engine.submit(request(max_tokens=30))
        assert isinstance(list(reply)[-1], Finished)
        assert isinstance(list(reading)[-1], Fed)
    wrote = [place for place, each in enumerate(order) if each == "Piece"]
    between = order[wrote[0] : wrote[-1]]
    assert len(wrote) > 5
    assert "Prefilled" not in between


def note(engine: Engine, order: list[str]) -> None:
    """Writes down every event in the order in which the worker tells them."""
    emit = engine._emit

    def told(number: int, event) -> None:
        order.append(type(event).__name__)
        emit(number, event)

    assert engine._worker is not None
    engine._worker._emit = told  # pyright: ignore[reportAttributeAccessIssue]


def test_a_load_ends_a_reading_in_the_background(tmp_path: Path, model: LoadRequest) -> None:
    with engine_on(tmp_path, model) as engine:
        reading = engine.submit(FeedRequest(LONG * 200))
        loading = engine.load(model)
        assert isinstance(loading.result(), Loaded)
        assert isinstance(list(reading)[-1], Cancelled)


# -------------------------------------------------------------------------------- forks


@pytest.mark.parametrize("fork", [1, 2, 300, 512, 514, 899, 900])
def test_a_reply_with_a_fork_leaves_one_state_at_the_fork(
    tmp_path: Path, model: LoadRequest, fork: int
) -> None:
    """The same reply; what is remembered then goes on from the fork and nothing else."""
    asked, other = LONG[:900], (9, 8, 7)
    with engine_on(tmp_path / "plain", model) as engine:
        plain = ask(engine, request(asked)).finished
    with engine_on(tmp_path / "forked", model) as engine:
        forked = ask(engine, request(asked, fork=fork))
        assert forked.finished.tokens == plain.tokens
        assert forked.finished.key is None
        assert [each.key.prefix for each in forked.of(Saved)] == [extend(asked[:fork])]
        fed = outcome(engine.submit(FeedRequest(other, history=asked[:fork]))).events[-1]
        again = ask(engine, request(asked[fork:], asked[:fork], fork=fork)).finished
    assert isinstance(fed, Fed)
    assert (fed.usage.history_tokens, fed.usage.prompt_tokens) == (0, len(other))
    assert again.tokens == plain.tokens
    assert (again.usage.history_tokens, again.usage.prompt_tokens) == (0, len(asked) - fork)


def test_a_cancelled_reply_with_a_fork_has_its_state_too(tmp_path: Path, model: LoadRequest) -> None:
    with engine_on(tmp_path, model) as engine:
        job = engine.submit(request(PROMPT + LONG[:20], max_tokens=100_000, fork=len(PROMPT)))
        for event in job:
            if isinstance(event, Piece):
                job.cancel()
        fed = outcome(engine.submit(FeedRequest((5,), history=PROMPT))).events[-1]
    assert isinstance(fed, Fed)
    assert (fed.usage.history_tokens, fed.usage.prompt_tokens) == (0, 1)


def test_a_cut_reply_with_a_fork_goes_on_and_has_its_state_there(tmp_path: Path, model: LoadRequest) -> None:
    """What was drawn of it before is fed as it was then, and gone on from as if nothing had cut it."""
    asked = LONG[:40]
    params = SamplingParams(temperature=1.0, seed=3, presence_penalty=0.5, bans=(0,), max_tokens=30)
    with engine_on(tmp_path / "whole", model) as engine:
        whole = ask(engine, request(asked, fork=30, params=params)).finished.tokens
    chain, rest = (*asked, *whole[:12]), replace(params, max_tokens=18)
    with engine_on(tmp_path / "cut", model) as engine:
        cut = ask(engine, replace(request((), chain, params=rest, fork=30), continues=12))
    assert cut.finished.tokens == whole[12:]
    assert [each.key.prefix for each in cut.of(Saved)] == [extend(asked[:30])]


def test_a_known_end_beyond_the_fork_is_not_begun_at(tmp_path: Path, model: LoadRequest) -> None:
    """Else the state at the fork would never be made."""
    asked = LONG[:40]
    with engine_on(tmp_path, model) as engine:
        ask(engine, request(asked))
        forked = ask(engine, request(asked[30:], asked[:30], fork=30))
        fed = outcome(engine.submit(FeedRequest((5,), history=asked[:30]))).events[-1]
    assert [each.key.prefix for each in forked.of(Saved)] == [extend(asked[:30])]
    assert isinstance(fed, Fed)
    assert fed.usage.history_tokens == 0


@pytest.mark.parametrize("fork", [0, -1, 5])
def test_a_fork_outside_the_chain_is_refused(tmp_path: Path, model: LoadRequest, fork: int) -> None:
    with engine_on(tmp_path, model) as engine:
        assert isinstance(outcome(engine.submit(request(fork=fork))).events[-1], Failed)
        in_the_cut_reply = replace(request(fork=len(PROMPT)), continues=1)
        assert isinstance(outcome(engine.submit(in_the_cut_reply)).events[-1], Failed)
        assert load(engine, model)
