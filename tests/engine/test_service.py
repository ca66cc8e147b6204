"""The engine as front ends see it, with a thread and with a process as worker: replies, cancel, load."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine import errors
from engine.prefix import extend
from engine.service import Engine
from engine.types import (
    Cancelled,
    Failed,
    Finished,
    GenerateRequest,
    Loaded,
    LoadRequest,
    Piece,
    Prefilled,
    SamplingParams,
    Saved,
    TokenizerRef,
)
from tests.engine.small import ask, engine_on, load, outcome, write_model

if TYPE_CHECKING:
    from engine.types import Event

from tests.engine.small import ENDLESS, PROMPT, request

if TYPE_CHECKING:
    from tests.engine.conftest import Kind


# ------------------------------------------------------------------------------------------------ one reply


def test_a_reply_from_prompt_to_saved_state(shared: Engine) -> None:
    found = ask(shared, request())
    end = found.finished
    kinds = [type(event) for event in found.events if not isinstance(event, Saved)]
    pieces = len(found.of(Piece))
    assert kinds == [*[Prefilled] * 3, *[Piece] * pieces, Finished]
    assert (end.reason, end.text, len(end.tokens)) == ("length", found.pieces, 12)
    assert end.prefix == extend(PROMPT + end.tokens)
    assert end.key is not None
    assert end.key.prefix == end.prefix
    assert (end.usage.prompt_tokens, end.usage.reply_tokens, end.usage.source) == (4, 12, "fresh")


def test_both_snapshots_are_saved_before_the_end_is_told(shared: Engine) -> None:
    found = ask(shared, request((0, 1, 2)))
    assert [event.key.prefix for event in found.of(Saved)] == [extend((0, 1, 2)), found.finished.prefix]
    assert isinstance(found.events[-1], Finished)


def test_a_seed_gives_the_same_text_again_and_none_a_new_one(shared: Engine) -> None:
    sampled = SamplingParams(top_p=1.0, max_tokens=20, seed=5)
    first, again = (ask(shared, request(params=sampled)).finished for _ in range(2))
    assert first.tokens == again.tokens
    assert first.usage.seed == 5
    free = SamplingParams(top_p=1.0, max_tokens=20)
    one, two = (ask(shared, request(params=free)).finished for _ in range(2))
    assert one.usage.seed != two.usage.seed
    assert one.tokens != two.tokens


def test_alternatives_can_each_be_had_again_by_their_seed(shared: Engine) -> None:
    sampled = SamplingParams(top_p=1.0, max_tokens=15, seed=40)
    found = ask(shared, request(params=sampled, n=3))
    ends = {end.index: end for end in found.of(Finished)}
    assert sorted(ends) == [0, 1, 2]
    assert len({end.tokens for end in ends.values()}) == 3
    for index, end in ends.items():
        assert end.usage.seed == 40 + index
        alone = SamplingParams(top_p=1.0, max_tokens=15, seed=40 + index)
        assert ask(shared, request(params=alone)).finished.tokens == end.tokens
        assert "".join(piece.text for piece in found.of(Piece) if piece.index == index) == end.text
        history = PROMPT + end.tokens
        assert ask(shared, request((9,), history)).finished.usage.history_tokens == 0


@pytest.mark.parametrize(
    "bad",
    [
        request(()),
        request((1, 99_999)),
        request((-1,)),
        request(n=0),
        request(n=1000),
        request(history=(1, 2), start="0" * 64),
        request(initial="unknown"),
        request(continues=99),
        request(params=SamplingParams(bans=tuple(range(500)))),
    ],
)
def test_requests_that_cannot_be_served_fail_at_once(shared: Engine, bad: GenerateRequest) -> None:
    (failed,) = [event for event in ask(shared, bad).events if isinstance(event, Failed)]
    assert isinstance(failed.error, errors.InvalidRequest)


def test_two_replies_take_turns_and_do_not_mix(shared: Engine) -> None:
    alone = [ask(shared, request((0, n), max_tokens=40)).finished.tokens for n in (7, 8)]
    jobs = [shared.submit(request((0, n), max_tokens=40)) for n in (7, 8)]
    assert [outcome(job).finished.tokens for job in jobs] == alone


async def test_a_job_is_read_by_an_event_loop(shared: Engine) -> None:
    events = [event async for event in shared.submit(request(max_tokens=100))]
    end = events[-1]
    assert isinstance(end, Finished)
    assert "".join(event.text for event in events if isinstance(event, Piece)) == end.text


# ------------------------------------------------------------------------------------------------ cancelling


def test_cancel_stops_at_the_next_token_and_keeps_what_was_shown(shared: Engine) -> None:
    job = shared.submit(request(params=ENDLESS))
    seen: list[Event] = []
    for event in job:
        seen.append(event)
        if len(seen) == 10:
            job.cancel()
    end = seen[-1]
    assert isinstance(end, Finished)
    assert (end.reason, end.key is not None) == ("cancelled", True)
    assert end.text == "".join(event.text for event in seen if isinstance(event, Piece))
    after = ask(shared, request((9,), PROMPT + end.tokens))
    assert after.finished.usage.history_tokens == 0


def test_cancel_during_prefill_ends_every_alternative(shared: Engine) -> None:
    long = tuple(1 + n % 250 for n in range(60_000))
    job = shared.submit(request(long, n=2))
    events = []
    for event in job:
        events.append(event)
        job.cancel()
    ends = [event for event in events if isinstance(event, Finished)]
    assert [(end.index, end.reason, end.tokens, end.key) for end in ends] == [
        (0, "cancelled", (), None),
        (1, "cancelled", (), None),
    ]
    assert max(event.done for event in events if isinstance(event, Prefilled)) < len(long)


def test_a_prefill_cut_short_is_taken_up_where_it_stopped(shared: Engine) -> None:
    long = tuple(1 + n % 249 for n in range(8_000))
    job = shared.submit(request(long))
    for event in job:
        if isinstance(event, Prefilled) and event.done >= 512:
            job.cancel()
    found = ask(shared, request(long))
    fed = found.of(Prefilled)[-1].total
    assert fed <= len(long) - 511
    assert found.finished.usage.prompt_tokens == fed - 1
    assert found.finished.tokens == ask(shared, request((), long)).finished.tokens


def test_cancel_of_a_waiting_job(shared: Engine) -> None:
    first = shared.submit(request(params=ENDLESS))
    second = shared.submit(request())
    second.cancel()
    assert outcome(second).finished.reason == "cancelled"
    first.cancel()
    assert outcome(first).finished.reason == "cancelled"


def test_cancel_while_loading(model: LoadRequest, tmp_path: Path) -> None:
    engine = Engine(tmp_path / "states", threads=1)
    job = engine.load(model)
    job.cancel()
    events = list(job)
    engine.close()
    assert isinstance(events[-1], Cancelled)


# ------------------------------------------------------------------------------------------------ loading


def test_a_reply_before_any_load_fails(tmp_path: Path, kind: Kind) -> None:
    engine = Engine(tmp_path / "states", worker=kind)
    with pytest.raises(errors.ModelNotLoaded):
        engine.submit(request()).result()
    engine.close()


def test_a_reply_asked_for_during_the_load_waits_for_it(model: LoadRequest, tmp_path: Path) -> None:
    engine = Engine(tmp_path / "states", threads=1)
    loading, reply = engine.load(model), engine.submit(request())
    assert outcome(reply).finished.reason == "length"
    assert isinstance(loading.result(), Loaded)
    engine.close()


def test_a_load_waits_for_running_replies_and_then_takes_their_place(
    model: LoadRequest, tmp_path: Path
) -> None:
    other = write_model(tmp_path / "other", seed=1)
    with engine_on(tmp_path, model) as engine:
        engine.identify(other.path).result()
        before = engine.submit(request(max_tokens=200))
        loading = engine.load(other)
        after = engine.submit(request(max_tokens=200))
        first, loaded, second = outcome(before).finished, loading.result(), outcome(after).finished
        assert isinstance(loaded, Loaded)
        assert first.key is not None
        assert second.key is not None
        assert first.key.model != second.key.model == loaded.info.id
        assert first.tokens != second.tokens


@pytest.mark.parametrize("kind_of_file", ["missing", "garbage", "tokenizer"])
def test_a_failed_load_leaves_the_model_in_place(
    model: LoadRequest, tmp_path: Path, kind_of_file: str
) -> None:
    path = tmp_path / "bad.safetensors"
    bad = LoadRequest(str(path), model.tokenizer)
    if kind_of_file != "missing":
        path.write_bytes(b"garbage" * 100)
    if kind_of_file == "tokenizer":
        bad = LoadRequest(model.path, TokenizerRef("json", str(path)))
    with engine_on(tmp_path, model) as engine:
        with pytest.raises(
            (errors.ModelNotFound, errors.WeightsCorrupt, errors.UnsupportedFormat, errors.TokenizerInvalid)
        ):
            engine.load(bad).result()
        assert ask(engine, request()).finished.reason == "length"


def test_a_vocabulary_larger_than_the_model_is_another_models(model: LoadRequest, tmp_path: Path) -> None:
    with engine_on(tmp_path, model) as engine:
        with pytest.raises(errors.TokenizerInvalid, match="rows"):
            engine.load(LoadRequest(model.path, TokenizerRef())).result()
        assert ask(engine, request()).finished.reason == "length"


def test_unknown_devices_and_tiers_are_typed_errors(model: LoadRequest, tmp_path: Path) -> None:
    engine = Engine(tmp_path / "states", threads=1)
    with pytest.raises(errors.DeviceUnavailable):
        engine.load(LoadRequest(model.path, model.tokenizer, device="cuda:99")).result()
    with pytest.raises(errors.InvalidRequest):
        engine.load(LoadRequest(model.path, model.tokenizer, dtype="fp7")).result()
    engine.close()


def test_the_model_before_is_given_up_where_two_do_not_fit(
    model: LoadRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.weights import load as weights

    real, calls = weights.load, []

    def tight(*args, **options):
        calls.append(args)
        if len(calls) == 1:
            raise errors.OutOfMemory(2, 1)
        return real(*args, **options)

    with engine_on(tmp_path, model) as engine:
        monkeypatch.setattr(weights, "load", tight)
        load(engine, model)
        assert len(calls) == 2
        assert ask(engine, request()).finished.reason == "length"


def test_what_loaded_says_about_the_model(shared: Engine, model: LoadRequest) -> None:
    info = load(shared, model)
    assert (info.tier, info.device, info.spec.arch, info.tokenizer) == (
        "fp32",
        "cpu",
        "rwkv7",
        model.tokenizer,
    )
    assert info.state_nbytes == 2 * (2 * 16 * 16 + 2 * 32) * 4
    assert info.id == hashlib.sha256(Path(model.path).read_bytes()).hexdigest()
