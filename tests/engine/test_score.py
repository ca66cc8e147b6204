"""How likely the tokens of a text were, and what else could have stood there: read anew from saved states."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from engine import errors
from engine.types import Cancelled, Failed, Prefilled, Scored, ScoreRequest
from tests.engine.small import PROMPT, ask, outcome, request

if TYPE_CHECKING:
    from engine.job import Job
    from engine.service import Engine
    from engine.types import TokenScore

REPLY = 70


def scores(job: Job) -> tuple[TokenScore, ...]:
    return tuple(each for event in outcome(job).of(Scored) for each in event.scores)


def test_scores_are_what_the_reply_was_drawn_from(shared: Engine) -> None:
    reply = ask(shared, request((*PROMPT, 5), max_tokens=REPLY)).finished.tokens
    found = scores(shared.submit(ScoreRequest(reply, (*PROMPT, 5), top=3)))
    assert [each.id for each in found] == list(reply)
    assert [each.rank for each in found] == [0] * REPLY, "a greedy reply takes the likeliest"
    for each in found:
        assert each.top[0].id == each.id
        assert each.logprob == pytest.approx(each.top[0].logprob, abs=1e-6)


@pytest.mark.parametrize("at", [0, 1, 17, 33])
def test_an_alternative_is_as_likely_as_if_it_stood_there(shared: Engine, at: int) -> None:
    told = scores(shared.submit(ScoreRequest(tuple(range(2, 38)), PROMPT, top=3)))[at]
    history = (*PROMPT, *range(2, 2 + at))
    for each in told.top:
        (alone,) = scores(shared.submit(ScoreRequest((each.id,), history)))
        assert alone.logprob == pytest.approx(each.logprob, abs=1e-3)


def test_probabilities_sum_to_one_and_ranks_count_what_is_likelier(shared: Engine) -> None:
    (score,) = scores(shared.submit(ScoreRequest((9,), PROMPT, top=10_000)))
    assert sum(math.exp(each.logprob) for each in score.top) == pytest.approx(1, abs=1e-4)
    assert score.top[score.rank].id == 9
    assert score.top[score.rank].logprob == pytest.approx(score.logprob)


def test_nothing_is_fed_again_where_a_state_is_there(shared: Engine) -> None:
    history = (*PROMPT, *range(30, 60))
    ask(shared, request(history, max_tokens=4))
    told = outcome(shared.submit(ScoreRequest((7, 8), history)))
    assert max(each.total for each in told.of(Prefilled)) == 1, "the pending token alone"
    assert not any(each.rebuilt for each in told.of(Prefilled))


def test_without_a_state_the_history_is_read_with_progress(shared: Engine) -> None:
    history = (0, *[number % 200 + 1 for number in range(600)])
    told = outcome(shared.submit(ScoreRequest((7, 8), history)))
    assert [each.total for each in told.of(Prefilled)][-1] == 601
    assert len(told.of(Prefilled)) > 2
    assert len([each for event in told.of(Scored) for each in event.scores]) == 2


def test_it_can_be_given_up(shared: Engine) -> None:
    job = shared.submit(ScoreRequest((7,) * 200_000, PROMPT))
    kinds = []
    for event in job:
        kinds.append(type(event))
        job.cancel()
    assert kinds[-1] is Cancelled


@pytest.mark.parametrize("asked", [((), PROMPT), ((5,), ()), ((100_000,), PROMPT)])
def test_what_cannot_be_scored_is_an_error(
    shared: Engine, asked: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    (last,) = outcome(shared.submit(ScoreRequest(*asked))).events
    assert isinstance(last, Failed)
    assert isinstance(last.error, errors.InvalidRequest)
