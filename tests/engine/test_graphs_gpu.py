"""On a card: captured graphs against the plain loop, and the fast path's own check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from engine.fast_path import graphs_of
from engine.generate import RowEnd, Start, generate
from engine.graph_pool import GraphPool
from engine.graphs import DecodeGraph, PlainStepper, captured, exempt_ids
from engine.sampling import SamplerState
from engine.steppers import stepper_of
from engine.tokenizer import load_tokenizer
from engine.trust import check
from engine.types import GenerateRequest, SamplingParams
from tests.bench.gpu.weights import SIZES, made, model_of
from tests.engine import small, tiny

if TYPE_CHECKING:
    from pathlib import Path

    from engine.models.model import Model
    from engine.tokenizer import Tokenizer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="graphs are captured on a CUDA device only"),
]

ARCHS = ("rwkv4", "rwkv5.2", "rwkv6", "rwkv7")
PARAMS = SamplingParams(temperature=1.2, top_p=0.9, max_tokens=60, frequency_penalty=0.4)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return load_tokenizer(small.write_tokenizer(tmp_path_factory.mktemp("t") / "tokenizer.json"))


def on_card(arch: str) -> Model:
    spec = tiny.spec(n_embd=64, head_size=64, vocab_size=small.VOCABULARY, arch=arch)
    tensors = {name: x.cuda() for name, x in tiny.model(spec).tensors.items()}
    return type(tiny.model(spec))(spec, tensors)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("arch", ARCHS)
def test_a_graph_writes_what_the_plain_loop_writes(arch: str, rows: int, tokenizer: Tokenizer) -> None:
    model = on_card(arch)
    request = GenerateRequest(small.PROMPT, params=PARAMS, stop=small.NO_STOP, n=rows)
    samplers = tuple(SamplerState(seed) for seed in range(rows))
    start = Start(model.zero_state(1), request.prompt, samplers)
    exempt = exempt_ids(tokenizer, small.VOCABULARY).cuda()
    pool = GraphPool(lambda batch: PlainStepper(model, batch), exempt)
    with torch.inference_mode():
        runs = [list(generate(model, tokenizer, request, start, graphs=each)) for each in (None, pool)]
    plain, ahead = ([each for each in run if isinstance(each, RowEnd)] for run in runs)
    assert [each.tokens for each in ahead] == [each.tokens for each in plain]


@pytest.mark.parametrize("tier", ["fp16", "bf16", "int8-g64", "int4-g32"])
def test_the_fast_path_passes_its_check(tier: str) -> None:
    size = SIZES["0.1B"]
    model = model_of(size, made(size, "cuda"), tier)
    exempt = torch.zeros(size.vocabulary, dtype=torch.uint8, device="cuda")
    with torch.inference_mode():
        assert check(model, lambda batch: stepper_of(model, batch), exempt) == ""


def test_a_replayed_step_allocates_nothing() -> None:
    model = model_of(SIZES["tiny"], made(SIZES["tiny"], "cuda"), "fp16")
    with torch.inference_mode():
        step = captured(stepper_of(model, 1).step)
        step()
        torch.cuda.synchronize()
        before = torch.cuda.memory_stats()["allocation.all.allocated"]
        for _ in range(50):
            step()
        assert torch.cuda.memory_stats()["allocation.all.allocated"] == before


def test_a_step_is_queued_before_the_last_token_is_read() -> None:
    model = model_of(SIZES["tiny"], made(SIZES["tiny"], "cuda"), "fp16")
    exempt = torch.zeros(SIZES["tiny"].vocabulary, dtype=torch.uint8, device="cuda")
    with torch.inference_mode():
        graph = DecodeGraph(stepper_of(model, 1), exempt)
        added = torch.zeros(graph.vocab)
        graph.begin(model.zero_state(1), 1, (SamplerState(1),), PARAMS, added)
        graph.queue()
        graph.queue()
        assert all(0 <= token < graph.vocab for _ in range(2) for token in graph.read().tokens)


def test_loading_finds_the_fast_path_right(tokenizer: Tokenizer, tmp_path: Path) -> None:
    with torch.inference_mode():
        assert list(graphs_of(on_card("rwkv7"), tokenizer, tmp_path)) == []
