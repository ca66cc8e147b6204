"""Decoding ahead, on CPU tensors and without a capture: the same events as the plain loop, token by token."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest
import torch

from engine.errors import NotFinite
from engine.generate import Fed, Mark, RowEnd, Start, generate
from engine.graph_pool import GraphPool
from engine.graphs import DecodeGraph, PlainStepper, exempt_ids
from engine.ops.sample import AHEAD
from engine.sampling import Sampler, SamplerState, restrictions
from engine.tokenizer import load_tokenizer
from engine.types import GenerateRequest, Piece, Resampled, SamplingParams, StopRule
from tests.engine import small, tiny
from tests.engine.scripted import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from engine.models.model import Model
    from engine.tokenizer import Tokenizer
    from tests.conftest import Sample

Told = Fed | Piece | Resampled | Mark | RowEnd
ARCHS = ("rwkv4", "rwkv5.2", "rwkv6", "rwkv7")
PENALISED = SamplingParams(
    temperature=1.3, top_p=0.95, max_tokens=40, presence_penalty=0.4, frequency_penalty=0.6, penalty_decay=0.9
)
PARAMS = (
    SamplingParams(temperature=0, max_tokens=40),
    PENALISED,
    SamplingParams(temperature=1.0, top_p=1.0, top_k=30, min_p=0.01, max_tokens=70, bans=(5, 6)),
    SamplingParams(temperature=2.0, top_p=0.9, max_tokens=40, biases=((7, 3.0), (8, -math.inf))),
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return load_tokenizer(small.write_tokenizer(tmp_path_factory.mktemp("t") / "tokenizer.json"))


def a_model(arch: str, seed: int = 0) -> Model:
    return tiny.model(tiny.spec(vocab_size=small.VOCABULARY, arch=arch), seed)


def pool(model: Model | ScriptedModel, tokenizer: Tokenizer) -> GraphPool:
    return GraphPool(lambda batch: PlainStepper(model, batch), exempt_ids(tokenizer, small.VOCABULARY))


def told(events: Sequence[Told]) -> list[object]:
    """What can be compared: no states, no seconds."""
    return [
        (each.done, each.total)
        if isinstance(each, Fed)
        else replace(each, state=None, decode_seconds=0.0)
        if isinstance(each, RowEnd)
        else each
        for each in without_marks(events)
    ]


def both(
    model: Model | ScriptedModel,
    tokenizer: Tokenizer,
    request: GenerateRequest,
    samplers: tuple[SamplerState, ...] = (SamplerState(),),
    stopping: Callable[[], Callable[[], bool]] = lambda: lambda: False,
) -> tuple[Sequence[Told], Sequence[Told]]:
    """The events of the plain loop and of the one that runs ahead."""
    start = Start(model.zero_state(1), request.prompt, samplers, chunk=4)
    plain = generate(model, tokenizer, request, start, stopping())
    ahead = generate(model, tokenizer, request, start, stopping(), pool(model, tokenizer))
    return without_marks(plain), without_marks(ahead)


def without_marks(events: Iterable[Told]) -> list[Told]:
    """A clock sets them."""
    return [each for each in events if not isinstance(each, Mark)]


def ended(events: Iterable[Told]) -> RowEnd:
    """How the only row ended."""
    (found,) = (each for each in events if isinstance(each, RowEnd))
    return found


def same(plain: Sequence[Told], ahead: Sequence[Told]) -> None:
    """The same events, and states that have consumed the same (up to rounding: batches may differ)."""
    assert told(ahead) == told(plain)
    for one, other in zip(plain, ahead, strict=True):
        if isinstance(one, RowEnd) and isinstance(other, RowEnd) and one.state and other.state:
            assert one.state.max_difference(other.state) < 1e-5


@pytest.mark.parametrize("params", PARAMS, ids=("greedy", "penalties", "truncation", "biases"))
@pytest.mark.parametrize("arch", ARCHS)
def test_running_ahead_tells_the_same(arch: str, params: SamplingParams, tokenizer: Tokenizer) -> None:
    request = GenerateRequest(small.PROMPT, params=params, stop=StopRule((0,), ("\n\n",)))
    same(*both(a_model(arch), tokenizer, request, (SamplerState(11),)))


def test_rows_end_at_different_times(tokenizer: Tokenizer) -> None:
    params = SamplingParams(temperature=2.0, top_p=1.0, max_tokens=50)
    request = GenerateRequest(small.PROMPT, params=params, stop=StopRule(tuple(range(30)), ("e", "\n")), n=5)
    samplers = tuple(SamplerState(seed) for seed in range(5))
    plain, ahead = both(a_model("rwkv7"), tokenizer, request, samplers)
    same(plain, ahead)
    lengths = [len(each.tokens) for each in plain if isinstance(each, RowEnd)]
    assert len(lengths) == 5
    assert len(set(lengths)) > 2


def test_any_script_ends_where_the_plain_loop_ends(tokenizer: Tokenizer, sample: Sample) -> None:
    """Stop texts, cuts inside a token, cancels: the states gone back to have consumed the same tokens."""
    rng = random.Random(5)
    for _ in range(sample("scripts run ahead", 60, 2000)):
        words = [
            rng.choice((*range(257, small.VOCABULARY), *range(98, 123))) for _ in range(rng.randint(0, 24))
        ]
        model = ScriptedModel(
            lambda seen, words=words: (*words, 0)[max(0, min(len(words), len(seen) - 3))], small.VOCABULARY
        )
        params = SamplingParams(temperature=0, max_tokens=rng.randint(1, 20))
        request = GenerateRequest((0, 73, 74), params=params, stop=StopRule((0,), ("\n\nUser:", "er:")))
        asked = rng.choice((10**6, rng.randint(1, 20)))

        def stopping(asked: int = asked) -> Callable[[], bool]:
            left = iter(range(asked))
            return lambda: next(left, None) is None

        plain, ahead = both(model, tokenizer, request, stopping=stopping)
        assert told(ahead) == told(plain)
        for one, other in zip(plain, ahead, strict=True):
            if isinstance(one, RowEnd) and isinstance(other, RowEnd) and one.state and other.state:
                assert torch.equal(one.state.tensors["seen_BT"], other.state.tensors["seen_BT"])


def test_a_reply_taken_up_again_runs_ahead_as_if_never_cut(tokenizer: Tokenizer) -> None:
    model, params = a_model("rwkv7"), replace(PARAMS[1], max_tokens=60)
    request = GenerateRequest(small.PROMPT, params=params, stop=small.NO_STOP)
    lent = pool(model, tokenizer)
    start = Start(model.zero_state(1), request.prompt, (SamplerState(3),))
    whole = ended(generate(model, tokenizer, request, start, graphs=lent))
    cut_request = replace(request, params=replace(params, max_tokens=23))
    cut = ended(generate(model, tokenizer, cut_request, start, graphs=lent))
    assert cut.state is not None
    again = Start(cut.state, cut.pending, (cut.sampler,))
    rest_request = replace(request, params=replace(params, max_tokens=37))
    rest = ended(generate(model, tokenizer, rest_request, again, graphs=lent))
    assert cut.tokens + rest.tokens == whole.tokens
    assert rest.sampler == whole.sampler


def test_two_replies_at_once_do_not_share_buffers(tokenizer: Tokenizer) -> None:
    model = a_model("rwkv7")
    lent = pool(model, tokenizer)
    request = GenerateRequest(small.PROMPT, params=PARAMS[1], stop=small.NO_STOP)
    starts = [Start(model.zero_state(1), small.PROMPT, (SamplerState(seed),)) for seed in (1, 2)]
    alone = [told(list(generate(model, tokenizer, request, each, graphs=lent))) for each in starts]
    running = [generate(model, tokenizer, request, each, graphs=lent) for each in starts]
    turns: list[list] = [[], []]
    while any(not found or not isinstance(found[-1], RowEnd) for found in turns):
        for found, events in zip(turns, running, strict=True):
            found += [event for event in (next(events, None),) if event is not None]
    assert [told(each) for each in turns] == alone


def test_a_reply_given_up_gives_its_graph_back(tokenizer: Tokenizer) -> None:
    model, made = a_model("rwkv7"), []
    exempt = exempt_ids(tokenizer, small.VOCABULARY)
    lent = GraphPool(lambda batch: made.append(batch) or PlainStepper(model, batch), exempt)
    request = GenerateRequest(small.PROMPT, params=PARAMS[0], stop=small.NO_STOP)
    for _ in range(3):
        start = Start(model.zero_state(1), (1,), (SamplerState(),))
        events = generate(model, tokenizer, request, start, graphs=lent)
        for _ in range(4):
            next(events)
        cast("Generator", events).close()
    assert made == [1]


def test_a_device_without_memory_takes_the_plain_loop(tokenizer: Tokenizer) -> None:
    def full(batch: int) -> PlainStepper:
        raise torch.OutOfMemoryError

    model = a_model("rwkv6")
    lent = GraphPool(full, exempt_ids(tokenizer, small.VOCABULARY))
    request = GenerateRequest(small.PROMPT, params=PARAMS[0], stop=small.NO_STOP)
    start = Start(model.zero_state(1), small.PROMPT, (SamplerState(),))
    plain = told(list(generate(model, tokenizer, request, start)))
    assert told(list(generate(model, tokenizer, request, start, graphs=lent))) == plain


def test_no_finite_logit_is_an_error_and_nothing_else_is_fed(tokenizer: Tokenizer) -> None:
    model = a_model("rwkv7")
    model.tensors["head.weight"] = torch.full_like(model.tensors["head.weight"], math.nan)
    request = GenerateRequest(small.PROMPT, params=PARAMS[0], stop=small.NO_STOP)
    start = Start(model.zero_state(1), small.PROMPT, (SamplerState(),))
    with pytest.raises(NotFinite):
        list(generate(model, tokenizer, request, start, graphs=pool(model, tokenizer)))


def test_other_params_hold_from_the_next_step_queued(tokenizer: Tokenizer) -> None:
    """The step that was queued before the change keeps the old ones."""
    model = a_model("rwkv7")
    graph = DecodeGraph(PlainStepper(model), exempt_ids(tokenizer, small.VOCABULARY))
    hot, cold = SamplingParams(temperature=3.0, top_p=1.0), SamplingParams(temperature=0)
    added = restrictions(hot, tokenizer, small.VOCABULARY)
    graph.begin(model.zero_state(1), 1, (SamplerState(5),), hot, added, keep_logits=True)
    graph.queue()
    graph.change(0, cold)
    graph.queue()
    first, second = graph.read(), graph.read()
    assert first.logits is not None
    assert second.logits is not None
    sampler = Sampler(hot, tokenizer, added, SamplerState(5))
    assert first.tokens == (sampler.next(first.logits[0]),)
    assert first.tokens != (int((first.logits[0] + added).argmax()),)
    assert second.tokens == (int((second.logits[0] + added).argmax()),)


def test_chances_are_those_of_the_position_beyond_what_is_uploaded_at_once(tokenizer: Tokenizer) -> None:
    model, params = a_model("rwkv7"), SamplingParams(temperature=1.0, top_p=1.0, max_tokens=3 * AHEAD + 5)
    request = GenerateRequest(small.PROMPT, params=params, stop=small.NO_STOP)
    same(*both(model, tokenizer, request, (SamplerState(9, position=AHEAD + 3),)))
