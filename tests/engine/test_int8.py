"""The tiers int8 and int4-rows: near fp32 and bf16 in every version, few bytes, a state that goes on.

`pytest -s` prints how near.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from engine.models.int8 import forms
from engine.models.int8_names import SCALE, is_quantised, quantised_bytes
from engine.models.prepare import prepared_shapes
from engine.models.state import stack
from engine.models.tiers import RUN_DTYPES
from engine.tokenizer import load_tokenizer
from engine.types import TokenizerRef
from engine.weights.load import load
from rwkv_chat.paths import resource
from tests.engine import tiny

if TYPE_CHECKING:
    from engine.models.model import Model

# of a position's logits from fp32's, by norms, at the median position, through seven layers; and the share of
# positions where the likeliest token is the same. Random weights are the hard case: all tokens are about as
# likely, and nothing was trained to be kept.
FARTHEST, SAME = 0.1, 0.8
FARTHEST_4 = 0.6  # a weight is off by a tenth of its size in 4 bits
BUILT_IN = 0.02, 0.94
BUILT_IN_4 = 0.08, 0.92
TOKENS = 300

Tiers = dict[str, "Model"]


@pytest.fixture(scope="module", params=tiny.ARCHS)
def models(request: pytest.FixtureRequest) -> Tiers:
    """A random model of each version, of seven layers, in three tiers."""
    spec = tiny.spec(7, 128, 64, 1000, 16, arch=request.param)
    return {tier: tiny.of_tier(spec, tier, seed=4) for tier in ("fp32", "bf16", "int8", "int4-rows")}


def logits(model: Model, tokens: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model.forward(tokens, model.zero_state(), all_logits=True)[0][0].double()


def compared(found: torch.Tensor, truth: torch.Tensor) -> tuple[float, float, float]:
    """Relative norm at the median position, KL divergence in nats, share of equal first choices."""
    distance = ((found - truth).norm(dim=-1) / truth.norm(dim=-1)).median()
    p, q = truth.log_softmax(-1), found.log_softmax(-1)
    divergence = (p.exp() * (p - q)).sum(-1).mean()
    same = (found.argmax(-1) == truth.argmax(-1)).double().mean()
    return float(distance), float(divergence), float(same)


def shown(name: str, models: dict[str, torch.Tensor]) -> dict[str, tuple[float, float, float]]:
    rows = {
        "int8 and fp32": compared(models["int8"], models["fp32"]),
        "int8 and bf16": compared(models["int8"], models["bf16"]),
        "bf16 and fp32": compared(models["bf16"], models["fp32"]),
        "int4 and fp32": compared(models["int4-rows"], models["fp32"]),
    }
    for which, (distance, divergence, same) in rows.items():
        print(f"{name}, {which}: {distance:.4f} by norms, KL {divergence:.1e}, same first choice {same:.3f}")
    return rows


def test_logits_are_near_those_of_fp32(models):
    tokens = tiny.ids(models["fp32"].spec, TOKENS)
    found = shown(models["fp32"].arch, {tier: logits(model, tokens) for tier, model in models.items()})
    distance, _, same = found["int8 and fp32"]
    assert distance <= FARTHEST
    assert same >= SAME
    assert found["int4 and fp32"][0] <= FARTHEST_4


@pytest.mark.parametrize("tier", ["bf16", "int8", "int4-rows"])
def test_one_by_one_is_near_all_at_once(models, tier):
    """Steps read packed numbers in place, a prompt turns them into bf16: the same, rounded elsewhere."""
    model = models[tier]
    tokens = tiny.ids(model.spec, 40)
    state, steps = model.zero_state(), []
    with torch.inference_mode():
        for token in tokens[0]:
            row, state = model.step(token[None], state)
            steps.append(row[0])
    assert compared(torch.stack(steps).double(), logits(model, tokens))[0] <= 0.05


def test_rows_of_a_batch_do_not_depend_on_each_other(models):
    model = models["int8"]
    states = [model.forward(tiny.ids(model.spec, 5, seed=n), model.zero_state())[1] for n in range(4)]
    together, _ = model.step(torch.arange(4), stack(states))
    for n, state in enumerate(states):
        alone, _ = model.step(torch.tensor([n]), state)
        assert (together[n] - alone[0]).norm() <= 0.05 * alone.norm()


@pytest.mark.parametrize("tier", ["int8", "int4-rows"])
@pytest.mark.parametrize("arch", tiny.ARCHS)
def test_what_is_in_few_bits_and_what_is_not(arch, tier):
    """All large matrices but the embedding; no norm, no mixing vector, no decay, no low-rank matrix."""
    spec = tiny.spec(2, 128, 64, 1000, 16, arch=arch)
    made = forms(prepared_shapes(spec), spec, tier)
    small = {name for name, (_, dtype) in made.items() if not dtype.is_floating_point}
    assert small == {
        name for name, shape in prepared_shapes(spec).items() if len(shape) == 2 and min(shape) >= 128
    } - {"emb.weight"}
    assert all(is_quantised(name) for name in small)
    model = tiny.of_tier(spec, tier)
    assert {name: (tuple(x.shape), x.dtype) for name, x in model.tensors.items()} == made
    kept = [x.nbytes for name, x in model.tensors.items() if is_quantised(name.removesuffix(SCALE))]
    assert sum(kept) == quantised_bytes(spec, tier)[1]
    assert model.tier == tier
    assert model.dtype == RUN_DTYPES[tier]
    in_4_bits = {name for name in small if len(made.get(name + SCALE, ((),))[0]) == 2}
    heads = {name for name in small if name.endswith(("head.weight", "ffn.value.weight"))}
    assert in_4_bits == (small - heads if tier == "int4-rows" else set())


# ------------------------------------------------------------------------------------- the built-in model

QUESTIONS = ("How do I stop a reply?", "My name is Ada.", "Where are my conversations kept?", "Who are you?")


@pytest.fixture(scope="module")
def guide() -> Tiers:
    def loaded(tier: str) -> Model:
        loading = load(resource("assets/demo/demo.safetensors"), device="cpu", dtype=tier)
        while True:
            try:
                next(loading)
            except StopIteration as stop:
                return stop.value

    return {tier: loaded(tier) for tier in ("fp32", "bf16", "int8", "int4-rows")}


@torch.inference_mode()
def continued(model: Model, prompt: tuple[int, ...], count: int) -> torch.Tensor:
    """The prompt and the likeliest continuation, [1,T]."""
    row, state = model.forward(torch.tensor([prompt]), model.zero_state())
    tokens = [*prompt, int(row.argmax())]
    while len(tokens) < count:
        row, state = model.step(torch.tensor(tokens[-1:]), state)
        tokens.append(int(row.argmax()))
    return torch.tensor([tokens])


def test_the_built_in_model_chooses_the_same_tokens(guide):
    """Along what fp32 writes: 200 tokens of four questions."""
    tokenizer = load_tokenizer(TokenizerRef("json", str(resource("assets/demo/tokenizer.json"))))
    asked = [(0, *tokenizer.encode(f"User: {each}\n\nAssistant:")) for each in QUESTIONS]
    chains = [continued(guide["fp32"], prompt, 50) for prompt in asked]
    written = {tier: torch.cat([logits(model, each) for each in chains]) for tier, model in guide.items()}
    found = shown("built-in", written)
    for which, (farthest, least) in {"int8": BUILT_IN, "int4": BUILT_IN_4}.items():
        distance, _, same = found[f"{which} and fp32"]
        assert distance <= farthest
        assert same >= least
