"""RWKV-7 against the official package, and against itself however the tokens are cut."""

from __future__ import annotations

import pytest
import torch

from engine.errors import StateMismatch
from engine.models import Rwkv7, State
from engine.models.prepare import prepare
from engine.models.state import relative_difference
from engine.weights.load import load
from tests.engine import tiny
from tests.engine.rwkv_package import Reference, reference

TOKENS = 64
TOLERANCE = 1e-5
SIZES = {
    "L3 D128 N64": tiny.spec(n_layer=3, n_embd=128, head_size=64, vocab_size=211, rank=16),
    "L6 D96 N32": tiny.spec(n_layer=6, n_embd=96, head_size=32, vocab_size=97, rank=12),
}


def run(generator):
    while True:
        try:
            next(generator)
        except StopIteration as stop:
            return stop.value


def ids(spec, count=TOKENS, batch=1, seed=1):
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, spec.vocab_size, (batch, count), generator=rng)


def plain(spec, seed=0) -> Rwkv7:
    """A tiny model without a file."""
    return Rwkv7(spec, prepare(tiny.plain_tensors(spec, seed), spec, torch.float32))


@pytest.fixture(scope="module", params=SIZES)
def golden(request, tmp_path_factory) -> tuple[Rwkv7, torch.Tensor, Reference]:
    """Our model and the package's answer on the same checkpoint and tokens."""
    spec = SIZES[request.param]
    path = tiny.checkpoint(tmp_path_factory.mktemp("golden") / "model.pth", spec, seed=7)
    tokens = ids(spec)
    return run(load(path, device="cpu", dtype="fp32")), tokens, reference(path, tokens[0].tolist())


def assert_equal(model_logits, state: State, expected: Reference) -> None:
    assert relative_difference(model_logits, expected.logits[-1:]) < TOLERANCE
    assert state.max_difference(State("rwkv7", expected.state)) < TOLERANCE


def test_the_reference_is_not_trivial(golden):
    _, _, expected = golden
    assert expected.logits.std() > 0.1
    assert expected.state["wkv_BLHVK"].abs().max() > 0.1


def test_whole_prompt_matches_the_package(golden):
    model, tokens, expected = golden
    logits, state = model.forward(tokens, model.zero_state(), all_logits=True)
    assert relative_difference(logits[0], expected.logits) < TOLERANCE
    assert_equal(logits[:, -1], state, expected)


def test_token_by_token_matches_the_package(golden):
    model, tokens, expected = golden
    state, logits = model.zero_state(), torch.empty(0)
    for t in range(TOKENS):
        logits, state = model.step(tokens[:, t], state)
        assert relative_difference(logits[0], expected.logits[t]) < TOLERANCE
    assert_equal(logits, state, expected)


def test_every_split_matches_the_package(golden):
    model, tokens, expected = golden
    for cut in range(1, TOKENS):
        _, state = model.forward(tokens[:, :cut], model.zero_state())
        logits, state = model.forward(tokens[:, cut:], state)
        assert_equal(logits, state, expected)


@pytest.mark.parametrize("head_size", [8, 16, 64])
def test_step_equals_forward_for_any_head_size(head_size):
    spec = tiny.spec(n_layer=2, n_embd=64, head_size=head_size)
    model, tokens = plain(spec), ids(spec, 37, batch=2)
    whole, end = model.forward(tokens, model.zero_state(2))
    state, logits = model.zero_state(2), torch.empty(0)
    for t in range(37):
        logits, state = model.step(tokens[:, t], state)
    assert relative_difference(logits, whole) < TOLERANCE
    assert state.max_difference(end) < TOLERANCE


def test_one_layer_has_no_value_residual():
    spec = tiny.spec(n_layer=1)
    logits, _ = plain(spec).forward(ids(spec, 5), plain(spec).zero_state())
    assert torch.isfinite(logits).all()


def test_rows_of_a_batch_are_independent():
    spec = tiny.spec()
    model, tokens = plain(spec), ids(spec, 21, batch=3)
    together, state = model.forward(tokens, model.zero_state(3))
    for row in range(3):
        alone, own = model.forward(tokens[row : row + 1], model.zero_state())
        assert relative_difference(together[row : row + 1], alone) < TOLERANCE
        assert state.row(row).max_difference(own) < TOLERANCE


@pytest.mark.parametrize("count", [1, 20])
def test_the_state_that_goes_in_is_not_changed(count):
    spec = tiny.spec()
    model = plain(spec)
    _, state = model.forward(ids(spec, 9), model.zero_state())
    before = state.clone()
    model.forward(ids(spec, count, seed=2), state)
    assert all(torch.equal(x, before.tensors[name]) for name, x in state.tensors.items())


def test_a_new_state_shares_no_memory_with_the_old_one():
    spec = tiny.spec()
    model = plain(spec)
    _, old = model.forward(ids(spec, 9), model.zero_state())
    before = old.clone()
    _, new = model.step(torch.tensor([3]), old)
    for x in new.tensors.values():
        x.fill_(7.0)
    assert all(torch.equal(x, before.tensors[name]) for name, x in old.tensors.items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_an_fp32_state(dtype):
    spec = tiny.spec(n_layer=2, n_embd=64, head_size=32)
    exact, tokens = plain(spec), ids(spec, 40)
    model = Rwkv7(spec, {name: x.to(dtype) for name, x in exact.tensors.items()})
    logits, state = model.forward(tokens, model.zero_state(), all_logits=True)
    expected, _ = exact.forward(tokens, exact.zero_state(), all_logits=True)
    assert logits.dtype == torch.float32
    assert state.tensors["wkv_BLHVK"].dtype == torch.float32
    assert state.tensors["att_shift_BLC"].dtype == dtype
    # rounding to 8 (bf16) or 11 (fp16) bits through two layers: far from noise, far from fp32
    assert relative_difference(logits, expected) < (0.05 if dtype == torch.bfloat16 else 0.01)


def test_a_state_of_another_model_is_refused():
    model, other = plain(tiny.spec()), plain(tiny.spec(n_layer=3))
    with pytest.raises(StateMismatch):
        model.step(torch.tensor([1]), other.zero_state())
    with pytest.raises(StateMismatch):
        model.step(torch.tensor([1, 2]), model.zero_state(1))


def test_a_state_is_read_by_name_and_not_by_order():
    spec = tiny.spec()
    model = plain(spec)
    _, state = model.forward(ids(spec, 9), model.zero_state())
    turned = State(state.arch, dict(reversed(state.tensors.items())))
    one, _ = model.step(torch.tensor([3]), state)
    two, _ = model.step(torch.tensor([3]), turned)
    assert torch.equal(one, two)


def test_ln0_folded_or_not_is_the_same():
    spec = tiny.spec()
    made, tokens = tiny.plain_tensors(spec), ids(spec, 20)
    folded, unfolded = Rwkv7(spec, prepare(made, spec, torch.float32)), Rwkv7(spec, made)
    one, _ = folded.forward(tokens, folded.zero_state())
    two, _ = unfolded.forward(tokens, unfolded.zero_state())
    assert relative_difference(one, two) < 1e-6


def test_gradients_reach_every_tensor():
    spec = tiny.spec()
    parameters = {name: x.requires_grad_() for name, x in tiny.plain_tensors(spec).items()}
    model = Rwkv7(spec, parameters)
    logits, _ = model.forward(ids(spec, 21), model.zero_state(), all_logits=True)
    logits.square().mean().backward()
    assert [name for name, x in parameters.items() if x.grad is None or not x.grad.abs().max() > 0] == []
