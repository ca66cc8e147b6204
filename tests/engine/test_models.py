"""What holds for every version: rows, lengths, states as values, halves, gradients."""

from __future__ import annotations

import pytest
import torch

from engine.errors import InvalidRequest, StateMismatch
from engine.models import ARCHITECTURES, State
from engine.models import model as base
from engine.models.prepare import dtype_of, halved_every, prepare, prepare_tensor, prepared_shapes
from engine.models.state import relative_difference
from engine.models.state_layout import state_nbytes, state_tensors
from tests.engine import tiny

TOLERANCE = 1e-5
# from fp32 logits, by norms: weights and activations are rounded to 8 or 11 bits, the state is not
HALF = {torch.bfloat16: 0.05, torch.float16: 0.01}
BEFORE_7 = [arch for arch in tiny.ARCHS if arch != "rwkv7"]

every_arch = pytest.mark.parametrize("arch", tiny.ARCHS)


def stepped(model, tokens):
    """Logits and state after one call for each token."""
    state, logits = model.zero_state(tokens.shape[0]), torch.empty(0)
    for t in range(tokens.shape[1]):
        logits, state = model.step(tokens[:, t], state)
    return logits, state


@pytest.mark.parametrize("head_size", [8, 16, 64])
@every_arch
def test_step_equals_forward_for_any_head_size(arch, head_size):
    model = tiny.model(tiny.spec(n_embd=64, head_size=head_size, arch=arch))
    tokens = tiny.ids(model.spec, 37, batch=2)
    whole, end = model.forward(tokens, model.zero_state(2))
    logits, state = stepped(model, tokens)
    assert relative_difference(logits, whole) < TOLERANCE
    assert state.max_difference(end) < TOLERANCE


# --------------------------------------------------------------------------------------------------- batches


@every_arch
def test_rows_of_a_batch_are_independent(arch):
    model = tiny.model(tiny.spec(arch=arch))
    tokens = tiny.ids(model.spec, 21, batch=3)
    together, state = model.forward(tokens, model.zero_state(3))
    for row in range(3):
        alone, own = model.forward(tokens[row : row + 1], model.zero_state())
        assert relative_difference(together[row : row + 1], alone) < TOLERANCE
        assert state.row(row).max_difference(own) < TOLERANCE


@pytest.mark.parametrize("count", [3, 40])
@every_arch
def test_rows_of_different_lengths_are_each_as_alone(arch, count):
    """From different states too; what stands in the padding does not matter."""
    model = tiny.model(tiny.spec(arch=arch))
    lengths = torch.tensor([count, 1, 2, count - 1])
    tokens, padding = (tiny.ids(model.spec, count, batch=4, seed=seed) for seed in (1, 2))
    _, start = model.forward(tiny.ids(model.spec, 9, batch=4, seed=3), model.zero_state(4))
    end = torch.arange(count) < lengths[:, None]
    padded = torch.where(end, tokens, padding)
    logits, state = model.forward(padded, start, lengths=lengths)
    every, same = model.forward(padded, start, all_logits=True, lengths=lengths)
    assert same.max_difference(state) == 0
    for row, length in enumerate(lengths.tolist()):
        own = tokens[row : row + 1, :length]
        alone, after = model.forward(own, start.row(row), all_logits=True)
        assert relative_difference(logits[row], alone[0, -1]) < TOLERANCE
        assert relative_difference(every[row, :length], alone[0]) < TOLERANCE
        assert state.row(row).max_difference(after) < TOLERANCE


@pytest.mark.parametrize("lengths", [[0, 3], [1, 6], [1], [-1, 2]])
def test_lengths_out_of_range_are_refused(lengths):
    model = tiny.model(tiny.spec())
    with pytest.raises(InvalidRequest):
        model.forward(tiny.ids(model.spec, 5, batch=2), model.zero_state(2), lengths=torch.tensor(lengths))


# ---------------------------------------------------------------------------------------------------- states


@pytest.mark.parametrize("count", [1, 20])
@every_arch
def test_the_state_that_goes_in_is_not_changed_and_not_shared(arch, count):
    model = tiny.model(tiny.spec(arch=arch))
    _, old = model.forward(tiny.ids(model.spec, 9), model.zero_state())
    before = old.clone()
    _, new = model.forward(tiny.ids(model.spec, count, seed=2), old)
    for x in new.tensors.values():
        x.fill_(7.0)
    assert all(torch.equal(x, before.tensors[name]) for name, x in old.tensors.items())


@every_arch
def test_a_state_of_another_model_is_refused(arch):
    model, other = tiny.model(tiny.spec(arch=arch)), tiny.model(tiny.spec(n_layer=3, arch=arch))
    with pytest.raises(StateMismatch):
        model.step(torch.tensor([1]), other.zero_state())
    with pytest.raises(StateMismatch):
        model.step(torch.tensor([1, 2]), model.zero_state(1))


def test_versions_with_the_same_shapes_have_different_states():
    eagle, finch = (tiny.model(tiny.spec(arch=arch)) for arch in ("rwkv5.2", "rwkv6"))
    with pytest.raises(StateMismatch):
        finch.step(torch.tensor([1]), eagle.zero_state())


@every_arch
def test_a_state_is_read_by_name_and_not_by_order(arch):
    model = tiny.model(tiny.spec(arch=arch))
    _, state = model.forward(tiny.ids(model.spec, 9), model.zero_state())
    turned = State(state.arch, dict(reversed(state.tensors.items())))
    one, _ = model.step(torch.tensor([3]), state)
    two, _ = model.step(torch.tensor([3]), turned)
    assert torch.equal(one, two)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@every_arch
def test_the_size_of_a_state_is_known_beforehand(arch, dtype):
    spec = tiny.spec(arch=arch)
    state = tiny.model(spec, dtype=dtype).zero_state()
    assert list(state.tensors) == list(state_tensors(spec))
    assert state.nbytes == state_nbytes(spec, dtype.itemsize)


@pytest.mark.parametrize("arch", ["rwkv5.1", "rwkv6", "rwkv7"])
def test_a_transposed_state_says_something_else(arch):
    model = tiny.model(tiny.spec(arch=arch))
    _, state = model.forward(tiny.ids(model.spec, 9), model.zero_state())
    turned = State(state.arch, state.tensors | {"wkv_BLHVK": state.tensors["wkv_BLHVK"].mT})
    one, _ = model.step(torch.tensor([3]), state)
    two, _ = model.step(torch.tensor([3]), turned)
    assert relative_difference(one, two) > 0.01


# ---------------------------------------------------------------------------------------------- preparation


@every_arch
def test_ln0_folded_or_not_is_the_same(arch):
    spec = tiny.spec(arch=arch)
    made, tokens = tiny.plain_tensors(spec), tiny.ids(spec, 20)
    folded, unfolded = tiny.model(spec), ARCHITECTURES[arch](spec, made)
    one, _ = folded.forward(tokens, folded.zero_state())
    two, _ = unfolded.forward(tokens, unfolded.zero_state())
    assert relative_difference(one, two) < TOLERANCE


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@every_arch
def test_preparing_is_tensor_by_tensor_and_changes_nothing(arch, dtype):
    spec = tiny.spec(arch=arch)
    made = tiny.plain_tensors(spec)
    kept = {name: x.clone() for name, x in made.items()}
    whole = prepare(made, spec, dtype)
    assert whole.keys() == prepared_shapes(spec).keys()
    for name, shape in prepared_shapes(spec).items():
        alone = prepare_tensor(name, made.__getitem__, spec, dtype)
        assert torch.equal(alone, whole[name])
        assert (tuple(alone.shape), alone.dtype) == (shape, dtype_of(name, spec, dtype))
    assert all(torch.equal(x, kept[name]) for name, x in made.items())


def test_a_long_embedding_is_folded_row_by_row():
    spec = tiny.spec(n_layer=1, vocab_size=10_000)
    made = tiny.plain_tensors(spec)
    weight, bias = made["blocks.0.ln0.weight"], made["blocks.0.ln0.bias"]
    expected = torch.nn.functional.layer_norm(made["emb.weight"], (32,), weight, bias, 1e-5)
    torch.testing.assert_close(
        prepare(made, spec, torch.float32)["emb.weight"], expected, rtol=1e-6, atol=1e-6
    )


# ---------------------------------------------------------------------------------------------------- halves


def from_fp32(spec, dtype, seed=0):
    """How far the logits of 40 tokens are from fp32's, by their norms; and the state."""
    exact, model, tokens = (
        tiny.model(spec, seed),
        tiny.model(spec, seed, dtype),
        tiny.ids(spec, 40, seed=seed),
    )
    logits, state = model.forward(tokens, model.zero_state(), all_logits=True)
    expected, _ = exact.forward(tokens, exact.zero_state(), all_logits=True)
    assert logits.dtype == torch.float32
    return float((logits - expected).norm() / expected.norm()), state


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@every_arch
def test_half_precision_keeps_an_fp32_state(arch, dtype):
    spec = tiny.spec(n_layer=2, n_embd=64, head_size=32, arch=arch)
    error, state = from_fp32(spec, dtype)
    assert error < HALF[dtype]
    for name, x in state_tensors(spec).items():
        assert state.tensors[name].dtype == (torch.float32 if x.exact else dtype)


TEXT = 20_096  # the smallest vocabulary of a text model


@every_arch
def test_the_stream_is_halved_every_six_layers_before_version_7(arch):
    """Thirteen layers in fp16: halved twice. A music model's, other dtypes' and RWKV-7's not at all."""
    spec = tiny.spec(n_layer=13, arch=arch, vocab_size=TEXT)
    made, halved = tiny.plain_tensors(spec), prepare(tiny.plain_tensors(spec), spec, torch.float16)
    for layer in range(13):
        for name in ("att.output.weight", "ffn.value.weight"):
            factor = 1 if arch == "rwkv7" else 2 ** (layer // 6)
            expected = (made[f"blocks.{layer}.{name}"] / factor).half()
            torch.testing.assert_close(halved[f"blocks.{layer}.{name}"], expected)
    music = tiny.spec(n_layer=13, arch=arch, vocab_size=TEXT - 1)
    for other, dtype in ((music, torch.float16), (spec, torch.bfloat16), (spec, torch.float32)):
        assert halved_every(other, dtype) == 0


@pytest.fixture
def halving(monkeypatch):
    """Sets after how many layers the stream is halved, whatever the dtype."""

    def set_to(layers):
        for module in ("engine.models.prepare", "engine.models.model"):
            monkeypatch.setattr(f"{module}.halved_every", lambda *_: layers)

    return set_to


@pytest.mark.parametrize("arch", BEFORE_7)
def test_halving_changes_no_logits(arch, halving):
    """In fp32, so that nothing else differs; the norms' eps weighs a little more."""
    spec = tiny.spec(n_layer=13, arch=arch)
    model, tokens = tiny.model(spec), tiny.ids(spec, 20)
    halving(6)
    halved = tiny.model(spec)
    expected, _ = model.forward(tokens, model.zero_state())
    logits, _ = halved.forward(tokens, halved.zero_state())
    assert 0 < relative_difference(logits, expected) < 1e-3


@pytest.mark.parametrize("arch", BEFORE_7)
def test_without_halving_fp16_would_overflow(arch, halving):
    """A stream that passes 65504 after its sixth layer, as those of trained models do."""
    spec = tiny.spec(n_layer=10, arch=arch, vocab_size=TEXT)
    made, tokens = tiny.plain_tensors(spec), tiny.ids(spec, 5)
    for layer in range(6, 10):
        made[f"blocks.{layer}.ffn.value.weight"] *= 6000

    def logits(dtype):
        model = ARCHITECTURES[arch](spec, prepare(made, spec, dtype))
        return model.forward(tokens, model.zero_state())[0]

    expected = logits(torch.float32)
    assert (logits(torch.float16) - expected).norm() / expected.norm() < 0.3
    halving(0)
    assert not torch.isfinite(logits(torch.float16)).all()


# ------------------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("log_bonus", [False, True])
@every_arch
def test_gradients_reach_every_tensor(arch, log_bonus):
    spec = tiny.spec(arch=arch, log_bonus=log_bonus and arch.startswith("rwkv5"))
    parameters = {name: x.requires_grad_() for name, x in tiny.plain_tensors(spec).items()}
    model = ARCHITECTURES[arch](spec, parameters)
    logits, _ = model.forward(tiny.ids(spec, 21), model.zero_state(), all_logits=True)
    logits.square().mean().backward()
    assert [name for name, x in parameters.items() if x.grad is None or not x.grad.abs().max() > 0] == []


@every_arch
def test_gradients_reach_the_initial_state(arch):
    """As tuning of a state needs them, with frozen weights."""
    model = tiny.model(tiny.spec(arch=arch))
    _, state = model.forward(tiny.ids(model.spec, 4), model.zero_state())
    state = State(state.arch, {name: x.clone().requires_grad_() for name, x in state.tensors.items()})
    logits, _ = model.forward(tiny.ids(model.spec, 21, seed=2), state, all_logits=True)
    logits.square().mean().backward()
    assert all(x.grad is not None and torch.isfinite(x.grad).all() for x in state.tensors.values())
    assert all(x.grad.abs().max() > 0 for x in state.tensors.values() if x.grad is not None)


@every_arch
def test_a_gradient_is_the_slope(arch):
    """Of one number of the state, against two forward passes."""
    model = tiny.model(tiny.spec(arch=arch))
    tokens = tiny.ids(model.spec, 6)
    _, start = model.forward(tiny.ids(model.spec, 4, seed=2), model.zero_state())
    name = next(iter(start.tensors))
    x = start.tensors[name].clone().requires_grad_()

    def score(changed: torch.Tensor) -> torch.Tensor:
        logits, _ = model.forward(tokens, State(start.arch, start.tensors | {name: changed}))
        return logits.double().square().mean()

    (slope,) = torch.autograd.grad(score(x), x)
    place = torch.zeros_like(x).flatten()
    place[slope.abs().argmax()] = 1e-2
    with torch.no_grad():
        step = place.view(x.shape)
        measured = (score(x + step) - score(x - step)) / 2e-2
    torch.testing.assert_close(slope.abs().max().double(), measured.abs(), rtol=0.02, atol=0)


def test_one_layer_has_no_value_residual():
    model = tiny.model(tiny.spec(n_layer=1))
    logits, _ = model.forward(tiny.ids(model.spec, 5), model.zero_state())
    assert torch.isfinite(logits).all()


def test_every_version_has_a_class():
    assert tuple(ARCHITECTURES) == tiny.ARCHS
    assert all(issubclass(each, base.Model) for each in ARCHITECTURES.values())
