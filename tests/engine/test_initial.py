"""Replies that begin from a tuned state: registered for the loaded model, kept apart from all others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
import torch

from engine.errors import InvalidRequest, ModelNotFound, ModelNotLoaded, TunedStateMismatch
from engine.models import ARCHITECTURES
from engine.prefix import extend
from engine.service import Engine
from engine.types import (
    Failed,
    Fed,
    FeedRequest,
    GenerateRequest,
    InitialRequest,
    LoadRequest,
    Registered,
    SamplingParams,
    TokenIds,
)
from engine.weights.export import convert
from engine.weights.export_tuned import write_tuned_state
from engine.weights.load import load
from engine.weights.tuned import begun_from
from tests.engine import tiny
from tests.engine.small import NO_STOP, PROMPT, VOCABULARY, ask, engine_on
from tests.engine.small import load as load_again

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.models.model import Model
    from engine.types import Event

GREEDY = SamplingParams(temperature=0, max_tokens=12)


def layers(seed: int) -> dict[int, torch.Tensor]:
    made = torch.randn(2, 2, 16, 16, generator=torch.Generator().manual_seed(seed))
    return dict(enumerate(made.bfloat16().float()))


def tuned(folder: Path, seed: int = 1) -> InitialRequest:
    path = folder / f"state{seed}.pth"
    write_tuned_state(path, layers(seed), overwrite=True)
    return InitialRequest(str(path))


def last(job: Iterator[Event]) -> Event:
    *_, event = job
    return event


def registered(engine: Engine, request: InitialRequest) -> str:
    event = last(iter(engine.register(request)))
    assert isinstance(event, Registered), event
    assert event.path == request.path
    return event.id


def request(initial: str, prompt: TokenIds = PROMPT, history: TokenIds = ()) -> GenerateRequest:
    return GenerateRequest(prompt, history, params=GREEDY, stop=NO_STOP, initial=initial)


def loaded(request: LoadRequest) -> Model:
    generator = load(request.path, device="cpu", dtype="fp32")
    while True:
        try:
            next(generator)
        except StopIteration as stop:
            return stop.value


def greedy(model: Model, seed: int | None, length: int = 12) -> TokenIds:
    """What the model says after PROMPT, from zeros or from a tuned state, without any engine."""
    state = model.zero_state(1)
    if seed is not None:
        state = begun_from(layers(seed), state)
    said: list[int] = []
    tokens = torch.tensor([PROMPT])
    for _ in range(length):
        logits, state = model.forward(tokens, state)
        said.append(int(logits[0, :VOCABULARY].argmax()))
        tokens = torch.tensor([said[-1:]])
    return tuple(said)


@pytest.mark.parametrize("worker", ["thread", "process"])
def test_a_reply_begins_from_the_state(
    worker: Literal["thread", "process"], model: LoadRequest, tmp_path: Path
) -> None:
    net = loaded(model)
    with engine_on(tmp_path, model, worker) as engine:
        ids = {seed: registered(engine, tuned(tmp_path, seed)) for seed in (1, 2)}
        assert len(set(ids.values())) == 2
        replies = {seed: ask(engine, request(ids[seed])).finished for seed in (1, 2)}
        plain = ask(engine, request("")).finished
    assert plain.tokens == greedy(net, None)
    for seed in (1, 2):
        assert replies[seed].tokens == greedy(net, seed)
        assert (key := replies[seed].key) is not None
        assert key.initial == ids[seed]
        assert replies[seed].usage.source == "fresh"
    assert len({plain.tokens, *(each.tokens for each in replies.values())}) == 3


def test_states_of_one_chain_are_kept_apart(model: LoadRequest, tmp_path: Path) -> None:
    """The same tokens from two beginnings: each goes on from its own, on the device and from the disk."""
    with engine_on(tmp_path, model) as engine:
        id_ = registered(engine, tuned(tmp_path))
        begun = {initial: ask(engine, request(initial)).finished for initial in ("", id_)}
        replies = {initial: ask(engine, request(initial, (7,), PROMPT)).finished for initial in begun}
        assert {each.usage.source for each in replies.values()} == {"device"}
        assert replies[""].tokens != replies[id_].tokens
    with engine_on(tmp_path, model) as engine:
        assert registered(engine, tuned(tmp_path)) == id_  # the id is that of the values
        for initial, before in replies.items():
            again = ask(engine, request(initial, (7,), PROMPT)).finished
            assert again.tokens == before.tokens
            assert again.usage.source == "disk"


def test_what_is_known_of_a_chain_depends_on_its_beginning(model: LoadRequest, tmp_path: Path) -> None:
    with engine_on(tmp_path, model) as engine:
        id_ = registered(engine, tuned(tmp_path))
        info = load_again(engine, model)
        registered(engine, tuned(tmp_path))
        finished = ask(engine, request(id_)).finished
        found = {each: engine.known(info, [finished.prefix], each) for each in ("", id_)}
        assert found == {"": frozenset(), id_: {finished.prefix}}


def test_reading_begins_from_the_state_too(model: LoadRequest, tmp_path: Path) -> None:
    with engine_on(tmp_path, model) as engine:
        id_ = registered(engine, tuned(tmp_path))
        fed = last(iter(engine.submit(FeedRequest(PROMPT, initial=id_))))
        assert isinstance(fed, Fed)
        assert fed.key is not None
        assert (fed.key.initial, fed.prefix) == (id_, extend(PROMPT))
        reply = ask(engine, request(id_)).finished
        assert reply.usage.source == "device"
    assert reply.tokens == greedy(loaded(model), 1)


def test_forgetting_forgets_every_beginning(model: LoadRequest, tmp_path: Path) -> None:
    with engine_on(tmp_path, model) as engine:
        id_ = registered(engine, tuned(tmp_path))
        for initial in ("", id_):
            ask(engine, request(initial))
        engine.forget([extend(PROMPT)])
        assert [ask(engine, request(initial)).finished.usage.source for initial in ("", id_)] == ["fresh"] * 2


def test_a_merged_state_is_where_every_reply_begins(model: LoadRequest, tmp_path: Path) -> None:
    """As the official package has it for RWKV-5 and 6."""
    for _ in convert(Path(model.path), tmp_path / "merged.pth", "pth", tuned=Path(tuned(tmp_path).path)):
        pass
    with engine_on(tmp_path, replace(model, path=str(tmp_path / "merged.pth"))) as engine:
        begun = ask(engine, request("")).finished
    assert begun.tokens == greedy(loaded(model), 1)
    assert begun.key is not None
    assert begun.key.initial == ""  # the merged file is a model of its own, with an id of its own


# ---------------------------------------------------------------------------------------------- what fails


def failed(job: Iterator[Event]) -> BaseException:
    event = last(job)
    assert isinstance(event, Failed)
    return event.error


def test_an_unknown_state_is_refused(model: LoadRequest, tmp_path: Path) -> None:
    with engine_on(tmp_path, model) as engine:
        for asked in (request("nobody"), FeedRequest(PROMPT, initial="nobody")):
            assert isinstance(failed(iter(engine.submit(asked))), InvalidRequest)
        id_ = registered(engine, tuned(tmp_path))
        last(iter(engine.load(model)))  # another model: its states are its own
        assert isinstance(failed(iter(engine.submit(request(id_)))), InvalidRequest)


def test_a_state_that_does_not_fit_is_refused(model: LoadRequest, tmp_path: Path) -> None:
    write_tuned_state(tmp_path / "large.pth", {0: torch.zeros(4, 16, 16)})
    with engine_on(tmp_path, model) as engine:
        error = failed(iter(engine.register(InitialRequest(str(tmp_path / "large.pth")))))
        assert isinstance(error, TunedStateMismatch)
        assert (error.expected, error.found) == ("2 layers of [2, 16, 16]", "1 layers of [4, 16, 16]")
        missing = failed(iter(engine.register(InitialRequest(str(tmp_path / "none.pth")))))
        assert isinstance(missing, ModelNotFound)
        assert ask(engine, request("")).finished.tokens  # the engine goes on


def test_without_a_model(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "states")
    assert isinstance(failed(iter(engine.register(tuned(tmp_path)))), ModelNotLoaded)
    engine.close()


@pytest.mark.parametrize("arch", ["rwkv5.2", "rwkv6", "rwkv7"])
def test_in_pieces_as_in_one(arch: str) -> None:
    """From a tuned state too: all tokens at once, or one by one."""
    net = ARCHITECTURES[arch](tiny.spec(arch=arch), tiny.plain_tensors(tiny.spec(arch=arch)))
    start = begun_from(layers(1), net.zero_state(1))
    ids = torch.randint(0, 96, (1, 17), generator=torch.Generator().manual_seed(1))
    logits, state = net.forward(ids, start)
    stepped, after = torch.zeros(0), start
    for token in ids[0]:
        stepped, after = net.step(token[None], after)
    torch.testing.assert_close(stepped, logits, rtol=1e-4, atol=1e-4)
    assert state.max_difference(after) < 1e-4
    assert replace(request("x"), initial="").initial == ""
