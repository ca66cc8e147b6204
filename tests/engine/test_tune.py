"""Training: batches, schedule, loss, learning, and runs that go on where they stopped."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch

from engine.models.names import expected_shapes
from engine.tune import checkpoint
from engine.tune.batches import feeds, from_rows, from_source, pair
from engine.tune.head import L2_WRAP, head_loss, head_loss_naive
from engine.tune.init import initial_tensors, suggested_ranks
from engine.tune.optimizer import rate_at
from engine.tune.rows import plain
from engine.types import Evaluated, ModelSpec, Row, Step
from engine.weights.export import export_safetensors
from engine.weights.load import load, read_spec
from tests.engine import tiny
from tests.engine.tuning import SPEC, config, full_subject, losses, repeat_rows, rows_of, subject, trainer

# ------------------------------------------------------------------------------------------------- data


def test_a_pair_shifts_and_weighs() -> None:
    found = pair(([5, 6, 7], [9.0, 1.0, 2.0]))
    assert found.inputs.tolist() == [5, 6]
    assert found.targets.tolist() == [6, 7]
    assert found.weights.tolist() == [1.0, 2.0]


def test_a_row_of_one_token_has_nothing_to_learn() -> None:
    found = pair(([5], [1.0]))
    assert (found.inputs.tolist(), found.weights.tolist()) == ([5], [0.0])


def row(length: int, first: int = 0) -> Row:
    return list(range(first, first + length)), [1.0] * length


def test_rows_of_like_length_are_fed_together() -> None:
    made = feeds([row(9), row(33), row(11), row(10), row(2)], 32)
    assert [[len(each.inputs) for each in feed.pairs] for feed in made] == [[32], [10, 9, 8], [1]]
    assert [feed.tokens for feed in made] == [32, 27, 1]
    most = feeds([row(9), row(33), row(11), row(10), row(2)], 32, most=2)
    assert [len(feed.pairs) for feed in most] == [1, 2, 2]
    asked = feeds([row(9), row(33), row(11)], 32, at_once=3)
    assert [len(feed.pairs) for feed in asked] == [3]


def test_a_long_row_comes_in_pieces() -> None:
    """Every token once, in order; rows that have ended are left out."""
    (feed,) = feeds([row(101), row(40, 500)], 32, at_once=2)
    pieces = list(feed.pieces())
    assert [tuple(each.inputs.shape) for each in pieces] == [(2, 32), (2, 32), (1, 32), (1, 4)]
    assert [each.rows for each in pieces] == [[0, 1], [0, 1], [0], [0]]
    assert torch.cat([each.inputs[0] for each in pieces]).tolist() == list(range(100))
    assert torch.cat([each.targets[0] for each in pieces]).tolist() == list(range(1, 101))
    second = torch.cat([each.inputs[1] for each in pieces[:2]])
    assert second[:39].tolist() == list(range(500, 539))
    assert feed.weight == sum(float(each.weights.sum()) for each in pieces) == 139


def test_batches_from_a_stream_start_anywhere() -> None:
    in_order, jumping = from_source(repeat_rows, 4), from_source(repeat_rows, 4)
    first = [in_order(step) for step in range(3)]
    assert jumping(2) == first[2]
    assert jumping(1) == first[1]
    assert [each for batch in first for each in batch] == rows_of(0, 12)


def test_a_stream_that_ends() -> None:
    ends = from_source(lambda start: iter(rows_of(start, max(0, 6 - start))), 4)
    assert [len(ends(step)) for step in range(3)] == [4, 2, 0]


def test_batches_from_a_file_give_every_row_once_a_time_through() -> None:
    rows = plain([row(2 + i % 5, 10 * i) for i in range(40)] + [([1, 2], [1.0, 0.0])])
    batch, again, other = (from_rows(rows, 8, seed) for seed in (3, 3, 4))
    firsts = [int(each[0][0]) for step in range(10) for each in batch(step)]
    assert sorted(firsts[:40]) == sorted(firsts[40:]) == [10 * i for i in range(40)]
    assert firsts[:40] != firsts[40:]
    backwards = {step: [int(each[0][0]) for each in again(step)] for step in reversed(range(10))}
    assert [x for step in range(10) for x in backwards[step]] == firsts
    assert [int(each[0][0]) for step in range(5) for each in other(step)] != firsts[:40]


def test_rows_of_a_step_are_of_like_length() -> None:
    lengths = [2 + 7 * i % 50 for i in range(64)]
    batch = from_rows(plain([row(n) for n in lengths]), 8, 0)
    spread = [max(map(len, x)) - min(map(len, x)) for x in ([r[0] for r in batch(s)] for s in range(8))]
    assert max(spread) <= 12 < max(lengths) - min(lengths)


# ------------------------------------------------------------------------------------------- loss, schedule


def head_case(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    rng = torch.Generator().manual_seed(0)
    hidden = torch.randn(3, 700, 16, generator=rng).to(dtype).requires_grad_()
    head = torch.randn(50, 16, generator=rng).to(dtype).requires_grad_()
    targets = torch.randint(0, 50, (3, 700), generator=rng)
    weights = torch.rand(3, 700, generator=rng) * (torch.rand(3, 700, generator=rng) < 0.6)
    return hidden, head, targets, weights


@pytest.mark.parametrize("l2_wrap", [False, True])
def test_the_head_in_blocks_is_the_head(l2_wrap: bool) -> None:
    """Loss and both gradients, over several blocks, with a factor from outside."""
    hidden, head, targets, weights = head_case()
    found = [
        (float(loss.detach()), *torch.autograd.grad(3 * loss, (hidden, head)))
        for loss in (f(hidden, head, targets, weights, l2_wrap=l2_wrap) for f in (head_loss, head_loss_naive))
    ]
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    for x, y in zip(found[0][1:], found[1][1:], strict=True):
        torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-6 * float(y.abs().max()))


def test_the_head_in_blocks_in_bf16() -> None:
    hidden, head, targets, weights = head_case(torch.bfloat16)
    (found,) = torch.autograd.grad(head_loss(hidden, head.detach(), targets, weights), hidden)
    exact, wide = hidden.detach().float().requires_grad_(), head.detach().float()
    (expected,) = torch.autograd.grad(head_loss_naive(exact, wide, targets, weights), exact)
    assert found.dtype == torch.bfloat16
    assert float((found.float() - expected).norm() / expected.norm()) < 0.02


def test_the_logits_of_all_tokens_are_never_there() -> None:
    """One tensor of M · O numbers would be 20 MB; what is made is far less at any time."""
    from torch.profiler import ProfilerActivity, profile

    rng = torch.Generator().manual_seed(0)
    hidden = torch.randn(10_000, 8, generator=rng).requires_grad_()
    head, targets = torch.randn(500, 8, generator=rng), torch.randint(0, 500, (10_000,), generator=rng)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        head_loss(hidden, head, targets, torch.ones(10_000)).backward()
    largest = max(event.self_cpu_memory_usage for event in seen.events() or [])
    assert 0 < largest < 10_000 * 500 * 4 / 4


def test_padding_and_what_counts_nothing_change_no_loss() -> None:
    hidden, head, targets, weights = (x.detach() for x in head_case())
    loss = head_loss(hidden, head, targets, weights)
    other = torch.where(weights > 0, targets, 49 - targets)
    noise = torch.where((weights > 0)[..., None], hidden, 1e3 * hidden)
    torch.testing.assert_close(head_loss(noise, head, other, weights), loss)
    assert float(head_loss(hidden, head, targets, 0 * weights)) == 0.0


def test_l2_wrap_pulls_the_largest_logit_by_the_loss_scale() -> None:
    logits = torch.tensor([[1.0, 4.0, 2.0], [3.0, 0.0, -1.0]], requires_grad=True)
    targets, weights = torch.tensor([0, 1]), torch.tensor([1.0, 0.5])
    grads = [
        torch.autograd.grad(8 * head_loss(logits, torch.eye(3), targets, weights, l2_wrap=pull), logits)[0]
        for pull in (False, True)
    ]
    expected = torch.tensor([[0.0, 4.0, 0.0], [1.5, 0.0, 0.0]]) * 8 * L2_WRAP
    torch.testing.assert_close(grads[1] - grads[0], expected, rtol=1e-3, atol=1e-6)


def test_rate_rises_then_falls() -> None:
    c = config(steps=100, warmup=10, learning_rate=1.0, final_rate=0.1)
    rates = [rate_at(c, step) for step in range(101)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[:11] == sorted(rates[:11])
    assert rates[10] == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(0.55)
    assert rates[100] == pytest.approx(0.1)


# ------------------------------------------------------------------------------------------------- initial


def test_initial_tensors_are_complete_and_seeded() -> None:
    spec = ModelSpec("rwkv7", 3, 64, 32, 256, 50, suggested_ranks(64))
    one, two, other = initial_tensors(spec, 1), initial_tensors(spec, 1), initial_tensors(spec, 2)
    assert {name: tuple(x.shape) for name, x in one.items() if ".0.att.v" not in name or "value" in name} == (
        expected_shapes(spec)
    )
    assert all(torch.equal(x, two[name]) for name, x in one.items())
    assert not torch.equal(one["head.weight"], other["head.weight"])
    assert all(torch.isfinite(x).all() for x in one.values())


def test_suggested_ranks_are_the_official_ones() -> None:
    assert suggested_ranks(768) == (("a", 64), ("g", 128), ("v", 32), ("w", 64))
    assert suggested_ranks(256) == (("a", 32), ("g", 64), ("v", 32), ("w", 32))


def test_an_untrained_model_predicts_evenly() -> None:
    made = trainer(full_subject(), validation=rows_of(0, 8))
    assert made.evaluate() == pytest.approx(math.log(SPEC.vocab_size), rel=0.15)


# ------------------------------------------------------------------------------------------------- the loop


@pytest.mark.parametrize("base", ["fp32", "bf16"])
def test_training_learns_to_repeat(base: str) -> None:
    """Copying needs the recurrent memory: without it the loss stays at ln 22 = 3.09."""
    rates: dict[str, Any] = {"learning_rate": 6e-3, "final_rate": 5e-4}
    made = full_subject(steps=100, batch_size=32, micro_batch=32, base=base, recompute=False, **rates)
    events = list(trainer(made, validation=rows_of(10**6, 64)).run())
    measured = [event for event in events if isinstance(event, Evaluated)]
    assert [event.step for event in measured] == [0, 100]
    assert measured[-1].loss < 1.5
    assert [event.step for event in events if isinstance(event, Step)] == list(range(1, 101))


def steps_of(made, until: int) -> list[float]:
    return losses(made.run(should_stop=lambda: made.at.step >= until))


@pytest.mark.parametrize("method", ["full", "state", "lora"])
def test_a_resumed_run_takes_the_same_steps(method: str, tmp_path) -> None:
    def made(**options):
        chosen = full_subject() if method == "full" else subject(method=method, learning_rate=1e-2)
        return trainer(chosen, **options)

    straight = made()
    whole = losses(straight.run())
    halves = [loss for until in (6, 12) for loss in steps_of(made(folder=tmp_path), until)]
    assert halves == whole
    resumed = made(folder=tmp_path)
    assert resumed.at.step == 12
    assert all(torch.equal(x, resumed.subject.trained[name]) for name, x in straight.subject.trained.items())


def test_an_abandoned_run_goes_on_from_its_last_checkpoint(tmp_path) -> None:
    left = trainer(full_subject(checkpoint_every=4), folder=tmp_path)
    for event in left.run():
        if isinstance(event, Step) and event.step == 6:
            break
    assert trainer(full_subject(), folder=tmp_path).at.step == 4


def test_the_same_step_however_many_rows_at_once() -> None:
    """A step learns from all of its rows: fed together, one by one, or in pieces that keep their state."""
    ways: list[dict[str, Any]] = [{"micro_batch": n} for n in (1, 3, 4)]
    ways += [{"recompute": True}, {"recompute": False}]
    found = [losses(trainer(full_subject(steps=4, **way)).run()) for way in ways]
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-5)


def test_weight_decay_is_for_the_big_matrices_and_w0_is_faster() -> None:
    made = trainer(full_subject())
    by_id = {id(x): name for name, x in made.subject.trained.items()}
    groups = made.optimizer.param_groups
    decayed = {by_id[id(x)] for g in groups if g["weight_decay"] for x in g["params"]}
    fast = {by_id[id(x)] for g in groups if g["rate_scale"] == 2.0 for x in g["params"]}
    assert {name.split(".", 2)[-1] for name in decayed if "blocks" in name} == {
        *(f"att.{x}.weight" for x in ("receptance", "key", "value", "output")),
        "ffn.key.weight",
        "ffn.value.weight",
    }
    assert {name for name in decayed if "blocks" not in name} == {"emb.weight", "head.weight"}
    assert fast == {f"blocks.{i}.att.w0" for i in range(SPEC.n_layer)}
    for method in ("state", "lora", "miss"):
        groups = trainer(subject(method=method)).optimizer.param_groups
        assert {(g["weight_decay"], g["rate_scale"]) for g in groups} == {(0.0, 1.0)}


def test_a_gradient_is_cut_to_the_largest_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the optimiser is given; what is told is the norm before."""
    given: list[float] = []
    plain = torch.optim.AdamW.step

    def noted(self: torch.optim.AdamW, *arguments: Any) -> Any:
        grads = [x.grad.flatten() for group in self.param_groups for x in group["params"]]
        given.append(float(torch.cat(grads).norm()))
        return plain(self, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", noted)
    for clip in (1e-3, 1e3):
        given.clear()
        steps = [event for event in trainer(subject(steps=2, clip=clip)).run() if isinstance(event, Step)]
        told = [event.gradient_norm for event in steps]
        assert min(told) > 1e-2
        assert given == pytest.approx([clip] * 2 if clip < 1 else told, rel=1e-3)


def test_gradients_of_the_loss_are_right_in_every_kind_of_tensor() -> None:
    """The whole model against finite differences, in the direction of the gradient of each tensor."""
    made = full_subject()
    with torch.no_grad():
        for name, x in tiny.plain_tensors(SPEC).items():
            made.trained[name].copy_(x)
    (feed,) = feeds(rows_of(0, 4), 64, at_once=4)
    (piece,) = feed.pieces()

    def loss() -> torch.Tensor:
        return made(piece, None)[0] / feed.weight

    loss().backward()
    for name, x in made.trained.items():
        assert x.grad is not None
        slope = float(x.grad.norm())
        direction = x.grad / slope
        size = 1e-2 * max(1.0, float(x.detach().norm()) / 10)
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                x += sign * size * direction
                values.append(float(loss()))
                x -= sign * size * direction
        assert (values[0] - values[1]) / (2 * size) == pytest.approx(slope, rel=0.05), name


def test_what_was_trained_is_what_is_loaded(tmp_path) -> None:
    made = trainer(full_subject(steps=5))
    list(made.run())
    path = tmp_path / "trained.safetensors"
    export_safetensors(path, dict(made.subject.trained), dtype=torch.float32)
    assert read_spec(path) == SPEC
    generator = load(path, device="cpu", dtype="fp32")
    try:
        while True:
            next(generator)
    except StopIteration as stop:
        model = stop.value
    tokens = torch.arange(20)[None]
    with torch.no_grad():
        expected, _ = made.subject.model.forward(tokens, made.subject.model.zero_state())
    torch.testing.assert_close(model.forward(tokens, model.zero_state())[0], expected, rtol=1e-5, atol=1e-5)


def test_a_damaged_checkpoint_is_refused(tmp_path, sample) -> None:
    import random

    from engine.errors import StateCorrupt
    from tests.engine.mutations import ANY, safetensors

    list(trainer(subject(steps=1), folder=tmp_path).run())
    path, rng = tmp_path / "last.safetensors", random.Random(3)
    whole = path.read_bytes()
    for _ in range(sample("damaged checkpoints", 50, 2000)):
        path.write_bytes(rng.choice((*ANY, safetensors))(whole, rng))
        try:
            found = checkpoint.load(path)
        except StateCorrupt:
            continue
        assert found is not None
        assert found.at.step >= 0
    path.write_bytes(whole)
    with pytest.raises(StateCorrupt):
        trainer(subject(method="lora"), folder=tmp_path)


def test_events_of_a_run(tmp_path) -> None:
    made = trainer(subject(steps=3, evaluate_every=2), validation=rows_of(100, 3), folder=tmp_path)
    kinds = [type(event).__name__ for event in made.run()]
    told = [x for x in kinds if x != "CheckpointSaved"]
    assert told == ["Evaluated", "Step", "Step", "Evaluated", "Step", "Evaluated"]
    assert kinds[-1] == "CheckpointSaved"
    assert made.reason == "finished"
    assert list(itertools.islice(made.run(), 1)) == []
