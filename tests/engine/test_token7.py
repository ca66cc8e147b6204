"""RWKV-7's compiled decode step: the general form's results but for rounding, whatever the processor has."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from engine import quant
from engine.models import rwkv7_rehearsal, rwkv7_steps
from engine.models.int8 import quantised
from engine.models.rwkv7 import Rwkv7
from engine.models.rwkv7_compiled import Rwkv7Compiled
from engine.models.rwkv7_rehearsal import rehearse
from engine.models.rwkv7_step import Rwkv7Step
from engine.ops import token7
from engine.ops.ffn_value.byte_rows import joined
from engine.ops.token7 import kernels as kernels_module
from engine.ops.token7 import simd
from engine.ops.token7.compiled import compiled, kernel
from engine.ops.token7.digits import bytes_of
from engine.ops.token7.kernels import HEADS, PRODUCTS, SUMS
from engine.ops.token7.machine import call
from engine.ops.token7.maths import exp, sigmoid, tanh
from engine.ops.token7.team import Team
from engine.ops.token7.token import token as feed
from tests.engine import tiny
from tests.engine.test_step7 import FARTHEST, both, relative

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SPEC = tiny.spec(3, 256, 64, 1000, 16)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
TIERS = ("fp32", "bf16", "fp16", "int8", "int4-rows")


@pytest.fixture(autouse=True)
def small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token7, "SMALLEST", 128)
    monkeypatch.setattr(token7, "multiplies_bytes", lambda: True)


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


# ------------------------------------------------------------------------------------------ whole steps


@pytest.mark.parametrize("tier", TIERS)
def test_the_compiled_step_is_the_general_form(tier: str, threads: int) -> None:
    model = tiny.of_tier(SPEC, tier, seed=4)
    found, state, truth, plain = both(model, 12)
    assert isinstance(model, Rwkv7)
    assert isinstance(model._own_step, Rwkv7Compiled)
    distances = ((found - truth).norm(dim=1) / truth.norm(dim=1)).median()
    assert float(distances) <= FARTHEST[tier][0]
    for name, x in state.tensors.items():
        assert (x.dtype, x.shape) == (plain.tensors[name].dtype, plain.tensors[name].shape)
        assert relative(x, plain.tensors[name]) <= FARTHEST[tier][1], name


@pytest.mark.parametrize("tier", ["fp32", "int8"])
@torch.inference_mode()
def test_it_is_the_step_of_operators(tier: str) -> None:
    model = tiny.of_tier(SPEC, tier, seed=5)
    twin = Rwkv7Step(SPEC, model._weights(), model.dtype)
    state = other = model.zero_state()
    for token in range(6):
        found, state = model.step(torch.tensor([token]), state)
        truth, other = twin(token, other)
        assert relative(found, truth) <= FARTHEST[tier][0]


@torch.inference_mode()
def test_the_same_bits_by_any_number_of_threads_and_what_is_held_stays() -> None:
    model = tiny.of_tier(SPEC, "int8")
    before, told = torch.get_num_threads(), []
    try:
        for number in (1, 2, 2, 3):
            torch.set_num_threads(number)
            state, held = model.zero_state(), []
            for token in range(4):
                logits, state = model.step(torch.tensor([token]), state)
                held.append((logits, logits.clone(), state, state.clone()))
            assert all(torch.equal(x, y) for x, y, _, _ in held)
            assert all(torch.equal(x, b.tensors[n]) for _, _, a, b in held for n, x in a.tensors.items())
            told.append(torch.cat([each[0] for each in held]))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(told[0], each) for each in told)


@torch.inference_mode()
@pytest.mark.parametrize("tier", TIERS)
def test_what_is_no_number_shows(tier: str) -> None:
    model = tiny.of_tier(SPEC, tier)
    good = model.zero_state()
    expected, _ = model.step(torch.tensor([1]), good)
    for name in ("att_shift_BLC", "ffn_shift_BLC", "wkv_BLHVK"):
        bad = good.clone()
        bad.tensors[name][:, 1] = float("nan")
        assert bool(model.step(torch.tensor([1]), bad)[0].isnan().all()), name
    assert torch.equal(model.step(torch.tensor([1]), good)[0], expected)


@torch.inference_mode()
def test_weights_that_change_are_taken_up() -> None:
    model = tiny.of_tier(SPEC, "bf16")
    before, _ = model.step(torch.tensor([1]), model.zero_state())
    model.release()
    model.tensors["head.weight"].neg_()
    after, _ = model.step(torch.tensor([1]), model.zero_state())
    assert torch.equal(before, -after)


def test_which_models_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def takes(width: int, tier: str = "bf16", head: int = 64) -> bool:
        return rwkv7_steps.compiles(tiny.spec(1, width, head, 100, 8), tier)

    assert takes(128)
    assert takes(128, "int8")
    assert not takes(192)
    assert not takes(128, head=32)
    monkeypatch.setattr(token7, "multiplies_bytes", lambda: False)
    assert takes(128)
    assert not takes(128, "int8")
    monkeypatch.setattr(token7, "is_there", lambda: False)
    assert not takes(128)


# --------------------------------------------------------------------------------------------- kernels


@compiled
def run(address, a, b, c, d, e, f, g, h):
    call(address, a, b, c, d, e, f, g, h)


def product(form: str, matrix: torch.Tensor, scale: torch.Tensor | None, x: torch.Tensor) -> torch.Tensor:
    """Row by row pieces, so that bounds are looked at too."""
    multiply, prepare = PRODUCTS[form]
    N, K = len(matrix), len(x)
    digits, out = torch.zeros(bytes_of(K), dtype=torch.int8), torch.full((N,), 9.0)
    if prepare is not None:
        run(prepare.address, x.data_ptr(), digits.data_ptr(), K, 0, 0, 0, 0, 0)
    scales = 0 if scale is None else scale.data_ptr()
    for low, high in ((0, 3), (3, N - 1)):
        its = (scales, K, x.data_ptr(), digits.data_ptr(), out.data_ptr(), low, high)
        run(multiply.address, matrix.data_ptr(), *its)
    assert out[-1] == 9
    return out[:-1]


def operands(form: str, N: int, K: int) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
    """A matrix, its scales, and its numbers in fp64."""
    exact = torch.randn(N, K, generator=torch.Generator().manual_seed(N + K))
    if form in DTYPES:
        matrix = exact.to(DTYPES[form])
        return matrix, None, matrix.double()
    if form == "int8":
        values, scale = quantised(exact)
        return values, scale, values.double() * scale.double()[:, None]
    values, scale = quant.pack4(exact, torch.bfloat16)
    return values, scale, quant.unpack4(values, scale).double()


@pytest.mark.parametrize("K", [128, 384, 1024])
@pytest.mark.parametrize("form", PRODUCTS)
def test_products(form: str, K: int) -> None:
    matrix, scale, exact = operands(form, 21, K)
    x = torch.randn(K, generator=torch.Generator().manual_seed(1)) * 30
    truth = exact[:-1] @ x.double()
    found = product(form, matrix, scale, x)
    # digits are off by 1/65,024 of the largest at most, and not always in the same direction
    off = 1e-6 if form in DTYPES else 1e-4
    assert float((found.double() - truth).abs().max()) <= off * float(truth.abs().max())


@pytest.mark.parametrize("form", ["int8", "int4"])
def test_activations_at_their_limits(form: str) -> None:
    matrix, scale, exact = operands(form, 9, 256)
    for x in (torch.zeros(256), torch.full((256,), 3e-30), torch.full((256,), -1e30), torch.eye(256)[7]):
        found, truth = product(form, matrix, scale, x), exact[:-1] @ x.double()
        assert torch.allclose(found.double(), truth, rtol=1e-3, atol=1e-4 * float(x.abs().max())), x[:3]
    for bad in (float("nan"), float("inf")):
        x = torch.ones(256)
        x[200] = bad
        assert bool(product(form, matrix, scale, x).isnan().all())


@pytest.mark.parametrize("instruction", ["", "avxvnni", "avx512vnni"])
def test_bytes_are_multiplied_alike_with_and_without_an_instruction(
    instruction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = simd.byte_product()
    if instruction and not (here == "avx512vnni" or here == instruction):
        pytest.skip("this processor lacks the instruction")
    monkeypatch.setattr(simd, "_PRODUCT", instruction)
    rng = torch.Generator().manual_seed(3)
    row = torch.randint(-128, 128, (192,), generator=rng, dtype=torch.int8)
    digits = torch.randint(-127, 128, (2, 192), generator=rng, dtype=torch.int8)
    row[:8], digits[:, :8] = -128, 127

    @compiled
    def dot(row, coarse, fine, blocks):
        return simd.dot_bytes(row, coarse, fine, blocks)

    found = dot(row.data_ptr(), digits[0].data_ptr(), digits[1].data_ptr(), 3)
    assert list(found) == [int((row.long() + 128) @ each.long()) for each in digits]


def bags(form: str, F: int, C: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows [F,C] as they are kept, and their numbers in fp64."""
    exact = torch.randn(F, C, generator=torch.Generator().manual_seed(C))
    if form == "bytes":
        values, scale = quantised(exact)
        return joined(values, scale), values.double() * scale.double()[:, None]
    rows = exact.to(DTYPES[form])
    return rows, rows.double()


@pytest.mark.parametrize("count", [0, 1, 4, 11])
@pytest.mark.parametrize("form", SUMS)
def test_sums_of_rows(form: str, count: int) -> None:
    rows, exact = bags(form, 40, 160)
    chosen = torch.randperm(40, generator=torch.Generator().manual_seed(2))[:count]
    shares = torch.randn(count + 1, generator=torch.Generator().manual_seed(3))
    truth = 1 + shares[:count].double() @ exact[chosen, 32:128]
    add, weigh = SUMS[form]
    out = torch.ones(96)
    if weigh is not None:
        its = (chosen.data_ptr(), count, 160, shares.data_ptr())
        run(weigh.address, rows.data_ptr(), *its, 0, 0, 0)
    its = (chosen.data_ptr(), count, 160, 32, 96, shares.data_ptr(), out.data_ptr())
    run(add.address, rows.data_ptr(), *its)
    assert torch.allclose(out.double(), truth, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", HEADS)
def test_sums_of_a_heads_rows(form: str) -> None:
    rows, exact = bags(form, 9, 64)
    shares, out = torch.randn(9, generator=torch.Generator().manual_seed(3)), torch.ones(64)
    run(HEADS[form].address, rows.data_ptr(), shares.data_ptr(), 9, out.data_ptr(), 0, 0, 0, 0)
    assert torch.allclose(out.double(), 1 + shares.double() @ exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(exp, torch.exp), (sigmoid, torch.sigmoid), (tanh, torch.tanh)],
    ids=["exp", "sigmoid", "tanh"],
)
def test_functions_are_those_of_the_textbook(ours: Callable, theirs: Callable) -> None:
    @compiled
    def every(x, out):
        for i in range(len(x)):
            out[i] = ours(x[i])

    x = torch.cat((torch.linspace(-80, 80, 4001), torch.linspace(-1, 1, 2001), torch.tensor([float("nan")])))
    out = np.zeros(len(x), np.float32)
    every(x.numpy(), out)
    truth = theirs(x.double())
    near = torch.from_numpy(out[:-1]).double()
    assert bool(torch.isclose(near, truth[:-1], rtol=4e-7, atol=2e-7).all())
    assert np.isnan(out[-1])


# ------------------------------------------------------------------------------------------------- the rest


def test_a_team_runs_a_task_once_for_each_and_ends_with_its_owner() -> None:
    seen: list[int] = []
    all_here = threading.Barrier(3)

    def task(number: int) -> None:
        seen.append(number)
        all_here.wait(60)

    before = set(threading.enumerate())
    team = Team(3)
    workers = set(threading.enumerate()) - before
    for _ in range(5):
        team.run(task)
    assert sorted(seen) == sorted([0, 1, 2] * 5)
    assert len(workers) == 2
    del team
    for each in workers:
        each.join(60)
        assert not each.is_alive()


# ------------------------------------------------------------------------------------------ made ready


@pytest.mark.parametrize("tier", TIERS)
def test_a_rehearsal_asks_for_all_that_a_step_needs(tier: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After it nothing is compiled or read any more."""
    thread = rehearse(SPEC, tier)
    assert thread
    thread.join()
    before = feed.signatures
    kernels = [each for each in vars(kernels_module).values() if isinstance(each, kernel)]
    known = {each for each in kernels if "_made" in vars(each)}
    both(tiny.of_tier(SPEC, tier, seed=4), 2)
    assert feed.signatures == before
    assert known == {each for each in kernels if "_made" in vars(each)}


def test_what_another_step_takes_is_not_rehearsed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rehearse(tiny.spec(3, 100, 50, 1000, 16), "bf16") is None
    assert rehearse(tiny.spec(arch="rwkv6"), "bf16") is None
    monkeypatch.setattr(token7, "is_there", lambda: False)
    assert rehearse(SPEC, "bf16") is None


def test_a_rehearsal_that_fails_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: str) -> None:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(rwkv7_rehearsal, "rehearsed", fails)
    thread = rehearse(SPEC, "bf16")
    assert thread
    thread.join()
    assert "no compiler" in caplog.text
