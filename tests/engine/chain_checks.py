"""The decode chain against the model: on the interpreter, and on a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.models.packed import packed_tensors
from engine.models.prepare import prepared_shapes
from engine.models.rwkv7 import Rwkv7
from engine.models.rwkv7_chain import MANY_FROM, Chain7
from engine.models.state import State, relative_difference
from tests.engine import tiny

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from engine.types import ModelSpec

# fp32 sums in another order, through two layers; the group norm multiplies rounding
LIMIT = 1e-5
SPEC = tiny.spec(n_embd=64, rank=20, vocab_size=77, n_ffn=200)
PACKED_SPEC = tiny.spec(n_embd=64, vocab_size=77, n_ffn=192)


def model_of(of: ModelSpec, dtype: torch.dtype, device: str) -> Rwkv7:
    made = tiny.model(of, dtype=dtype)
    return Rwkv7(of, {name: x.to(device) for name, x in made.tensors.items()})


def packed_model(of: ModelSpec, tier: str, device: str) -> Rwkv7:
    read = tiny.plain_tensors(of).__getitem__
    made: dict[str, Tensor] = {}
    for name in prepared_shapes(of):
        made |= packed_tensors(name, read, of, tier, torch.device(device))
    return Rwkv7(of, made, tier=tier)


def in_fp32(model: Rwkv7) -> Rwkv7:
    """The same plain weights, exactly, computed with in fp32."""
    return Rwkv7(model.spec, {name: x.float() for name, x in model.tensors.items()})


def random_state(model: Rwkv7, batch: int) -> State:
    """Of the size that tokens leave behind."""
    rng = torch.Generator().manual_seed(5)
    zero = model.zero_state(batch).tensors
    filled = {n: torch.randn(x.shape, generator=rng).to(x.device, x.dtype) for n, x in zero.items()}
    return State(model.arch, filled)


def steps(chain: Chain7, state: State, ids: Tensor, step: Callable[[], None]) -> tuple[Tensor, State]:
    """Logits after each token [T,B,O] and the last state."""
    chain.load(state)
    logits = []
    for token in ids.T:
        chain.tokens.copy_(token)
        step()
        logits.append(chain.logits.clone())
    return torch.stack(logits), chain.state()


def check_same(found: tuple[Tensor, State], expected: tuple[Tensor, State]) -> None:
    """Shifts are rounded to the run dtype: a number on a border may go either way."""
    assert relative_difference(found[0], expected[0]) <= LIMIT
    for name, x in found[1].tensors.items():
        other = expected[1].tensors[name]
        assert x.dtype == other.dtype
        limit = LIMIT if x.dtype == torch.float32 else torch.finfo(x.dtype).eps
        assert relative_difference(x, other) <= limit


def check_with_twin(model: Rwkv7, tokens: int, batch: int) -> None:
    """The kernels against their twins, every token from the same state."""
    ids, state = tiny.ids(model.spec, tokens, batch), random_state(model, batch)
    chain, twin = Chain7(model, batch), Chain7(model, batch, plain=True)
    for token in ids.T:
        before = state.clone()
        expected = steps(twin, state, token[:, None], twin.step)
        check_same(steps(chain, state, token[:, None], chain.step), expected)
        assert state.max_difference(before) == 0
        state = expected[1]


def check_with_model(model: Rwkv7, tokens: int, batch: int, *, plain: bool) -> None:
    """An fp32 model's own step, token by token."""
    ids, state = tiny.ids(model.spec, tokens, batch), random_state(model, batch)
    chain = Chain7(model, batch, plain=plain)
    found, logits, after = steps(chain, state, ids, chain.step), [], state
    for token in ids.T:
        each, after = model.step(token.to(model.device), after)
        logits.append(each)
    check_same(found, (torch.stack(logits), after))


def check_many(model: Rwkv7, batch: int, limit: float) -> None:
    """One token of a batch that goes over tensor cores, against fp32 on the same weights."""
    exact, state, ids = in_fp32(model), random_state(model, batch), tiny.ids(model.spec, 1, batch)
    chain = Chain7(model, batch)
    assert batch >= MANY_FROM
    found = steps(chain, state, ids, chain.step)
    same = State(state.arch, {name: x.float() for name, x in state.tensors.items()})
    logits, after = exact.step(ids[:, 0].to(model.device), same)
    assert relative_difference(found[0][0], logits) <= limit
    assert found[1].max_difference(after) <= 2 * limit
