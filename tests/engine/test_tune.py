"""Training: batches, schedule, loss, learning, and runs that go on where they stopped."""

from __future__ import annotations

import itertools
import json
import math
import random

import pytest
import torch
from torch.nn.functional import cross_entropy

from engine.models.names import expected_shapes
from engine.tune.data import batches, make_batch
from engine.tune.init import initial_tensors, suggested_ranks
from engine.tune.loop import TrainConfig, Trainer, rate_at
from engine.tune.loss import L2_WRAP, weighted_loss
from engine.tune.runs import Run
from engine.types import Evaluated, ModelSpec, Step
from engine.weights.export import export_safetensors
from engine.weights.load import load, read_spec
from tests.engine import tiny

SPEC = tiny.spec(n_layer=2, n_embd=32, head_size=16, vocab_size=24, rank=8)


def repeat_rows(start: int):
    """Four symbols, a mark, the same four again; only the second half is trained."""
    for i in itertools.count(start):
        rng = random.Random(i)
        word = [rng.randrange(2, 24) for _ in range(4)]
        yield [0, *word, 1, *word], [0.0] * 6 + [1.0] * 4


def config(**changes) -> TrainConfig:
    return TrainConfig(
        **{"steps": 12, "batch_size": 4, "context": 32, "warmup": 2, "dtype": "fp32"} | changes
    )


def trainer(run=None, rows=repeat_rows, **changes) -> Trainer:
    return Trainer(SPEC, initial_tensors(SPEC, 0), config(**changes), rows, run=run)


# ------------------------------------------------------------------------------------------------- data


def test_batch_shifts_pads_and_weighs():
    batch = make_batch([([5, 6, 7], [9.0, 1.0, 2.0]), ([8, 9], [0.0, 0.5])], context=100)
    assert batch.inputs.shape == batch.targets.shape == batch.weights.shape == (2, 16)
    assert batch.inputs[0, :3].tolist() == [5, 6, 7]
    assert batch.targets[0, :2].tolist() == [6, 7]
    assert batch.weights[0].tolist() == [1.0, 2.0] + [0.0] * 14
    assert batch.weights[1].tolist() == [0.5] + [0.0] * 15
    assert batch.n_tokens == 3


def test_long_rows_are_cut_to_the_context():
    batch = make_batch([(list(range(100)), [1.0] * 100)], context=32)
    assert batch.inputs[0].tolist() == list(range(32))
    assert batch.targets[0].tolist() == list(range(1, 33))
    assert batch.weights.sum() == 32


def test_batches_start_anywhere():
    first = list(itertools.islice(batches(repeat_rows(0), 4, 32), 3))
    later = list(itertools.islice(batches(repeat_rows(8), 4, 32), 1))
    assert torch.equal(first[2].inputs, later[0].inputs)


def test_padding_does_not_change_the_loss():
    t = trainer()
    rows = list(itertools.islice(repeat_rows(0), 2))
    long_row = ([0] * 30, [0.0] * 30)
    with torch.no_grad():
        alone = t.loss(make_batch(rows, 32))
        padded = t.loss(make_batch([*rows, long_row], 32))
    torch.testing.assert_close(alone, padded, rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------------------------------- loss, schedule


def test_loss_is_the_weighted_mean():
    rng = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(2, 3, 5, generator=rng), torch.randint(0, 5, (2, 3), generator=rng)
    weights = torch.tensor([[1.0, 0.0, 2.0], [0.5, 0.0, 0.0]])
    each = cross_entropy(logits.view(6, 5), targets.view(6), reduction="none").view(2, 3)
    expected = (each[0, 0] + 2 * each[0, 2] + 0.5 * each[1, 0]) / 3.5
    torch.testing.assert_close(weighted_loss(logits, targets, weights), expected)


def test_l2_wrap_pulls_the_largest_logit_by_the_loss_scale():
    logits = torch.tensor([[[1.0, 4.0, 2.0], [3.0, 0.0, -1.0]]], requires_grad=True)
    targets, weights = torch.tensor([[0, 1]]), torch.ones(1, 2)
    (plain,) = torch.autograd.grad(8 * weighted_loss(logits, targets, weights), logits)
    (wrapped,) = torch.autograd.grad(8 * weighted_loss(logits, targets, weights, l2_wrap=True), logits)
    expected = torch.tensor([[[0.0, 4.0, 0.0], [3.0, 0.0, 0.0]]]) * 8 * L2_WRAP / 2
    torch.testing.assert_close(wrapped - plain, expected, rtol=1e-3, atol=1e-8)


def test_rate_rises_then_falls():
    c = config(steps=100, warmup=10, learning_rate=1.0, final_rate=0.1)
    rates = [rate_at(c, step) for step in range(101)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[:11] == sorted(rates[:11])
    assert rates[10] == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(0.55)
    assert rates[100] == pytest.approx(0.1)


# ------------------------------------------------------------------------------------------------- initial


def test_initial_tensors_are_complete_and_seeded():
    spec = ModelSpec("rwkv7", 3, 64, 32, 256, 50, suggested_ranks(64))
    one, two, other = initial_tensors(spec, 1), initial_tensors(spec, 1), initial_tensors(spec, 2)
    assert {name: tuple(x.shape) for name, x in one.items() if ".0.att.v" not in name or "value" in name} == (
        expected_shapes(spec)
    )
    assert all(torch.equal(x, two[name]) for name, x in one.items())
    assert not torch.equal(one["head.weight"], other["head.weight"])
    assert all(torch.isfinite(x).all() for x in one.values())


def test_suggested_ranks_are_the_official_ones():
    assert suggested_ranks(768) == (("a", 64), ("g", 128), ("v", 32), ("w", 64))
    assert suggested_ranks(256) == (("a", 32), ("g", 64), ("v", 32), ("w", 32))


def test_an_untrained_model_predicts_evenly():
    loss = float(trainer().loss(make_batch(list(itertools.islice(repeat_rows(0), 4)), 32)).detach())
    assert loss == pytest.approx(math.log(SPEC.vocab_size), rel=0.15)


# ------------------------------------------------------------------------------------------------- the loop


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_training_learns_to_repeat(dtype):
    """Copying needs the recurrent memory: without it the loss stays at ln 22 = 3.09."""
    t = Trainer(
        SPEC,
        initial_tensors(SPEC, 0),
        config(steps=250, batch_size=32, learning_rate=6e-3, final_rate=5e-4, dtype=dtype),
        repeat_rows,
        validation=tuple(itertools.islice(repeat_rows(10**6), 64)),
    )
    events = list(t.run())
    assert isinstance(events[-1], Evaluated)
    assert events[-1].loss < 1.5
    assert [event.step for event in events if isinstance(event, Step)] == list(range(1, 251))


def test_a_resumed_run_takes_the_same_steps(tmp_path):
    straight = trainer()
    whole = [event.loss for event in straight.run() if isinstance(event, Step)]
    halves: list[float] = []
    for until in (6, 12):
        t = trainer(Run(tmp_path))
        for event in t.run(should_stop=lambda t=t, until=until: t.step >= until):
            assert isinstance(event, Step)
            halves.append(event.loss)
    assert halves == whole
    resumed = trainer(Run(tmp_path))
    assert resumed.step == 12
    assert all(torch.equal(x, resumed.parameters[name]) for name, x in straight.parameters.items())


def test_a_killed_run_goes_on_from_its_last_checkpoint(tmp_path):
    killed = trainer(Run(tmp_path), checkpoint_every=4).run()
    list(itertools.islice(killed, 6))
    del killed
    t = trainer(Run(tmp_path))
    assert (t.step, t.rows_used) == (4, 16)


def test_a_run_folder_tells_everything(tmp_path):
    run = Run(tmp_path / "run")
    t = Trainer(
        SPEC,
        initial_tensors(SPEC, 0),
        config(steps=3),
        repeat_rows,
        validation=tuple(itertools.islice(repeat_rows(100), 3)),
        run=run,
    )
    events = list(t.run())
    with run.events.open("a") as file:
        file.write('{"event": "St')  # cut by a kill
    assert [line["event"] for line in run.read_events()] == [type(event).__name__ for event in events]
    assert run.read_events()[0]["loss"] == events[0].loss
    assert json.loads((run.folder / "config.json").read_text())["steps"] == 3


def test_weight_decay_is_for_the_big_matrices_and_w0_is_faster():
    t = trainer()
    by_id = {id(x): name for name, x in t.parameters.items()}
    groups = t._optimizer.param_groups
    decayed = {by_id[id(x)] for g in groups if g["weight_decay"] for x in g["params"]}
    fast = {by_id[id(x)] for g in groups if g["rate_scale"] == 2.0 for x in g["params"]}
    assert {name.split(".", 2)[-1] for name in decayed if "blocks" in name} == {
        *(f"att.{x}.weight" for x in ("receptance", "key", "value", "output")),
        "ffn.key.weight",
        "ffn.value.weight",
    }
    assert {name for name in decayed if "blocks" not in name} == {"emb.weight", "head.weight"}
    assert fast == {f"blocks.{i}.att.w0" for i in range(SPEC.n_layer)}


def test_gradients_of_the_loss_are_right_in_every_kind_of_tensor():
    """The whole model against finite differences, in the direction of the gradient of each tensor."""
    tensors = tiny.plain_tensors(SPEC)
    t = Trainer(SPEC, tensors, config(), repeat_rows)
    batch = make_batch(list(itertools.islice(repeat_rows(0), 4)), 32)
    t.loss(batch).backward()
    for name, x in t.parameters.items():
        assert x.grad is not None
        slope = float(x.grad.norm())
        direction = x.grad / slope
        size = 1e-2 * max(1.0, float(x.detach().norm()) / 10)
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                x += sign * size * direction
                values.append(float(t.loss(batch)))
                x -= sign * size * direction
        assert (values[0] - values[1]) / (2 * size) == pytest.approx(slope, rel=0.05), name


def test_what_was_trained_is_what_is_loaded(tmp_path):
    t = trainer(steps=5)
    list(t.run())
    path = tmp_path / "trained.safetensors"
    export_safetensors(path, t.parameters, dtype=torch.float32)
    assert read_spec(path) == SPEC
    generator = load(path, device="cpu", dtype="fp32")
    try:
        while True:
            next(generator)
    except StopIteration as stop:
        model = stop.value
    tokens = torch.arange(20)[None]
    with torch.no_grad():
        expected, _ = t.model.forward(tokens, t.model.zero_state())
    torch.testing.assert_close(model.forward(tokens, model.zero_state())[0], expected, rtol=1e-5, atol=1e-5)
