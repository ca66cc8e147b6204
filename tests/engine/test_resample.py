"""Params that change while a reply is written: in both loops alike, from the next token on, and exact."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from engine.generate import Fed, Start, generate
from engine.ops.sample import AHEAD, Rows, sample_rows_naive
from engine.sampling import Sampler, SamplerState, replay, uniform
from engine.tokenizer import load_tokenizer
from engine.types import GenerateRequest, Piece, Resampled, SamplingParams
from tests.engine import small
from tests.engine.small import ENDLESS, PROMPT, ask, outcome, request
from tests.engine.test_graphs import a_model, ended, pool, without_marks
from tests.engine.test_sample_rows import EXEMPT
from tests.engine.test_sampling import Letters

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.service import Engine
    from engine.tokenizer import Tokenizer
    from tests.engine.test_graphs import Told

WILD = SamplingParams(
    temperature=1.4, top_p=1.0, presence_penalty=0.5, frequency_penalty=0.6, penalty_decay=0.5, max_tokens=40
)
TAME = replace(WILD, temperature=0.7, frequency_penalty=1.5, penalty_decay=0.95, bans=(98, 99), seed=3)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return load_tokenizer(small.write_tokenizer(tmp_path_factory.mktemp("t") / "tokenizer.json"))


def at(call: int, params: SamplingParams) -> Callable[[], SamplingParams | None]:
    """Tells `params` the `call`-th time that it is asked."""
    calls = iter(range(1_000_000))
    return lambda: params if next(calls) == call else None


def both(
    tokenizer: Tokenizer, first: SamplingParams, then: SamplingParams, position: int, rows: int = 1
) -> tuple[list[Told], list[Told]]:
    """The events of the plain loop and of the one that runs ahead, with a change at that token."""
    model, ask_ = a_model("rwkv7"), GenerateRequest(PROMPT, params=first, stop=small.NO_STOP, n=rows)
    samplers = tuple(SamplerState(seed) for seed in range(11, 11 + rows))
    start = Start(model.zero_state(1), PROMPT, samplers, chunk=4)
    never = lambda: False  # noqa: E731
    plain = generate(model, tokenizer, ask_, start, never, None, at(position, then))
    ahead = generate(
        model, tokenizer, ask_, start, never, pool(model, tokenizer), at(max(0, position - 1), then)
    )
    return without_marks(plain), without_marks(ahead)  # pyright: ignore[reportArgumentType]


def pieces(events: Sequence[Told]) -> list[Piece]:
    return [each for each in events if isinstance(each, Piece)]


def changes(events: Sequence[object]) -> list[Resampled]:
    return [each for each in events if isinstance(each, Resampled)]


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("position", [1, 2, 17, 39])
def test_both_loops_draw_the_same_with_a_change_at_the_same_token(
    position: int, rows: int, tokenizer: Tokenizer
) -> None:
    plain, ahead = both(tokenizer, WILD, TAME, position, rows)
    assert changes(ahead) == changes(plain) == [Resampled(position, replace(TAME, seed=11))]
    assert pieces(ahead) == pieces(plain)
    if rows == 1:
        assert ended(ahead).sampler == ended(plain).sampler


def test_what_came_before_the_change_stays_and_what_comes_after_obeys_it(tokenizer: Tokenizer) -> None:
    plain, _ = both(tokenizer, WILD, replace(WILD, bans=tuple(range(257))), 20)
    unchanged, _ = both(tokenizer, WILD, WILD, 20)
    tokens, free = ended(plain).tokens, ended(unchanged).tokens
    assert tokens[:20] == free[:20]
    assert min(free[20:]) < 257, "else the bans have nothing to do"
    assert min(tokens[20:]) >= 257


def test_the_limit_changes_too(tokenizer: Tokenizer) -> None:
    for most, length in ((60, 60), (30, 30), (5, 21)):
        for events in both(tokenizer, WILD, replace(WILD, max_tokens=most), 20):
            assert len(ended(events).tokens) in ((length, 20) if most == 5 else (length,))


def test_params_that_leave_nothing_to_draw_change_nothing(tokenizer: Tokenizer) -> None:
    nothing = replace(WILD, bans=tuple(range(small.VOCABULARY)))
    unchanged = both(tokenizer, WILD, WILD, 1_000)
    for events, its in zip(both(tokenizer, WILD, nothing, 9), unchanged, strict=True):
        assert changes(events) == []
        assert pieces(events) == pieces(its)


def test_a_reply_with_a_change_goes_on_as_if_never_cut(tokenizer: Tokenizer) -> None:
    """Cut after the change, and no state of it is left: its counts are made anew from what it was."""
    plain, _ = both(tokenizer, WILD, TAME, 17)
    whole = ended(plain)
    for cut in (17, 18, 30):
        made = replay(TAME, tokenizer, 11, whole.tokens[:cut], ((17, WILD),))
        model = a_model("rwkv7")
        again = GenerateRequest((), PROMPT + whole.tokens[:cut], stop=small.NO_STOP, params=TAME)
        again = replace(again, params=replace(TAME, max_tokens=40 - cut))
        start = Start(model.zero_state(1), again.history, (made,), chunk=4, drawn=cut)
        rest = ended(list(generate(model, tokenizer, again, start)))  # pyright: ignore[reportArgumentType]
        assert whole.tokens[:cut] + rest.tokens == whole.tokens
        assert rest.sampler == whole.sampler


def test_what_is_fed_says_nothing_of_changes(tokenizer: Tokenizer) -> None:
    plain, _ = both(tokenizer, WILD, TAME, 0)
    assert [type(each) for each in plain[:3]] == [Fed, Fed, Fed]
    assert changes(plain) == [Resampled(0, replace(TAME, seed=11))]


def test_a_row_on_the_device_counts_the_last_token_as_it_was_drawn() -> None:
    """Decay belongs to the token's own params, not to those of the draw after it."""
    added, row = torch.zeros(12), Rows.empty(1, EXEMPT)
    twin = Sampler(WILD, Letters(), added, SamplerState(5))
    row.begin(0, WILD, added, ())
    row.foresee([[uniform(5, step) for step in range(AHEAD)]])
    drawn, generator = torch.zeros(1, dtype=torch.int64), torch.Generator().manual_seed(1)
    for step in range(24):
        if step in (1, 8, 9):
            then = replace(TAME, penalty_decay=0.1 * step, bans=())
            banned = torch.where(torch.arange(12) == step, -math.inf, 0.0)
            row.change(0, then, banned)
            twin.change(then, banned, step)
        logits = torch.randn(1, 12, generator=generator)
        sample_rows_naive(logits, row, drawn)
        assert drawn.tolist() == [twin.next(logits[0])]
        twin.note(int(drawn))
    twin_counts = dict(twin.state.counts)
    assert set((row.counts[0] >= 0).nonzero()[:, 0].tolist()) <= set(twin_counts)


# ------------------------------------------------------------------------------------------ over the border


def test_a_change_reaches_a_reply_that_is_being_written(shared: Engine) -> None:
    """In a thread and in a process: told at which token, and what comes after obeys it."""
    words = replace(ENDLESS, bans=tuple(range(257)))
    job = shared.submit(request(params=ENDLESS))
    told: list[Resampled] = []
    after = 0
    for event in job:
        if isinstance(event, Piece) and not told:
            shared.change(job, words)
        if isinstance(event, Piece) and told:
            after += len(event.tokens)
            if after > 5:
                job.cancel()
        told += [event] if isinstance(event, Resampled) else []
        last = event
    tokens = last.tokens  # pyright: ignore[reportAttributeAccessIssue, reportPossiblyUnboundVariable]
    assert told
    position = told[0].position
    assert 0 < position < len(tokens)
    assert min(tokens[position:]) >= 257
    plain = ask(shared, request(max_tokens=position)).finished
    assert tokens[:position] == plain.tokens, "the tokens before it are those of the params before it"


def test_a_change_of_a_reply_that_has_ended_does_nothing(shared: Engine) -> None:
    job = shared.submit(request())
    first = outcome(job).finished
    shared.change(job, ENDLESS)
    assert ask(shared, request()).finished.tokens == first.tokens


def test_changes_and_cuts_are_the_same_reply(shared: Engine) -> None:
    """Changed by its own request: cut there and gone on with the other params, it is the same reply."""
    first = ask(shared, request(params=replace(WILD, seed=4, max_tokens=15))).finished
    then = replace(TAME, seed=4, max_tokens=20)
    tail = request((), PROMPT + first.tokens, params=then, continues=15, earlier=((15, WILD),))
    second = ask(shared, tail).finished
    whole = first.tokens + second.tokens
    cut = request(
        (), PROMPT + whole[:25], params=replace(then, max_tokens=10), continues=25, earlier=((15, WILD),)
    )
    shared.forget([first.prefix, second.prefix])
    assert whole[:25] + ask(shared, cut).finished.tokens == whole
