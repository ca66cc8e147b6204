"""Every kernel of the decode chain against its plain twin: on the interpreter, and on a GPU.

Buffers that a kernel fills are full of NaN before, and inputs end where a page of NaN begins: what is not
written, or read beyond an end, shows.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch

from engine.models.state import relative_difference
from engine.ops.cards import card_of
from engine.ops.embed.naive import embed_naive
from engine.ops.embed.triton_embed import embed
from engine.ops.ffn_value.naive import ffn_value_add_naive
from engine.ops.ffn_value.triton_many import PARTS, ffn_value_many
from engine.ops.ffn_value.triton_sparse import ffn_value_sparse, units_room
from engine.ops.gemv.arguments import End, Mix, Norm
from engine.ops.gemv.matrix import Matrix
from engine.ops.gemv.naive import project_naive
from engine.ops.gemv.triton_many import project_many
from engine.ops.gemv.triton_project import project
from engine.ops.head_step.arguments import HeadStates, HeadStep
from engine.ops.head_step.naive import head_step_naive
from engine.ops.head_step.triton_head_step import head_step
from engine.ops.time_mix_in.arguments import Ranks, TimeMixIn
from engine.ops.time_mix_in.naive import time_mix_in_naive
from engine.ops.time_mix_in.triton_many import time_mix_in_many
from engine.ops.time_mix_in.triton_time_mix_in import time_mix_in
from engine.quant import pack4, pack8

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

LIMIT = 3e-6  # of the largest value: fp32, another order of sums
FORMS = ("plain", "int8", "int4")


class Maker:
    """Random tensors on one device, each from the seed and the order of asking."""

    def __init__(self, device: str, dtype: torch.dtype, seed: int = 0) -> None:
        self.device, self.dtype = torch.device(device), dtype
        self.card = card_of(self.device)
        self._rng = torch.Generator().manual_seed(seed)

    def of(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        return self._guarded(torch.randn(shape, generator=self._rng).to(dtype or self.dtype))

    def fp32(self, *shape: int) -> Tensor:
        return self.of(*shape, dtype=torch.float32)

    def matrix(self, form: str, rows: int, width: int) -> Matrix:
        x = torch.randn(rows, width, generator=self._rng) / width**0.5
        if form == "plain":
            return Matrix(self._guarded(x.to(self.dtype)))
        return Matrix(*(self._guarded(each) for each in {"int8": pack8, "int4": pack4}[form](x, self.dtype)))

    def norm(self, width: int, eps: float = 1e-5) -> Norm:
        return Norm(1 + self.of(width) / 4, self.of(width), eps)

    def _guarded(self, x: Tensor) -> Tensor:
        """The same, with numbers after its end that spoil whatever reads them."""
        bad = float("nan") if x.is_floating_point() else 127
        whole = torch.full((x.numel() + 64,), bad, dtype=x.dtype, device=self.device)
        whole[: x.numel()] = x.reshape(-1)
        return whole[: x.numel()].view(x.shape)

    @property
    def rounding(self) -> float:
        """What a product may be off by, of the largest value, whose vector was rounded to the run dtype."""
        return float(torch.finfo(self.dtype).eps)

    def planes(self, numbers: int) -> Tensor:
        return self.empty(numbers).to(self.dtype)

    def empty(self, *shape: int) -> Tensor:
        return torch.full(shape, float("nan"), device=self.device)


class Twins(NamedTuple):
    """What a kernel and its twin wrote, in the same order."""

    found: tuple[Tensor, ...]
    expected: tuple[Tensor, ...]


def both(kernel: Callable[..., object], twin: Callable[..., object], written: tuple[Tensor, ...]) -> Twins:
    """Runs both on the same buffers; each is called with them."""
    before = [x.clone() for x in written]
    twin(*written)
    expected = tuple(x.clone() for x in written)
    for x, old in zip(written, before, strict=True):
        x.copy_(old)
    kernel(*written)
    found = tuple(x.clone() for x in written)
    for x, old in zip(written, before, strict=True):
        x.copy_(old)
    kernel(*written)
    assert all(torch.equal(x, y) for x, y in zip(written, found, strict=True)), "two runs differ"
    return Twins(found, expected)


def check(twins: Twins, limit: float = LIMIT) -> None:
    for found, expected in zip(*twins, strict=True):
        assert found.shape == expected.shape
        assert torch.isfinite(found).all()
        # buffers of the run dtype are rounded once: values on a border may go either way
        step = {torch.float32: 0.0}.get(found.dtype, float(torch.finfo(found.dtype).eps))
        assert relative_difference(found, expected) <= max(limit, step)


def check_embed(device: str, dtype: torch.dtype, O: int, C: int, B: int) -> None:  # noqa: E741
    make = Maker(device, dtype)
    emb = make.of(O, C)
    tokens = torch.tensor([(i * 7 + O - 1) % O for i in range(B)], device=device)
    twins = both(
        lambda x: embed(tokens, emb, x, card=make.card),
        lambda x: embed_naive(tokens, emb, x),
        (make.empty(B, C),),
    )
    check(twins, 0)


def check_project(
    device: str,
    dtype: torch.dtype,
    form: str,
    shape: tuple[int, int, int],
    *,
    norm: bool = False,
    mix: bool = False,
    end: End = End.STORE,
    many: bool = False,
) -> None:
    """shape: (N, K, B)."""
    N, K, B = shape
    make = Maker(device, dtype)
    x, matrix = make.fp32(B, K), make.matrix(form, N, K)
    its_norm = make.norm(K) if norm else None
    normed = make.empty(B, K) if mix else None
    its_mix = Mix(make.of(B, K), torch.sigmoid(make.of(K)), normed) if normed is not None else None
    out = make.fp32(B, N) if end == End.ADD else make.empty(B, N)
    given = {"norm": its_norm, "mix": its_mix, "end": end}
    written = (out,) if normed is None else (out, normed)
    kernel = partial(project_many, planes=make.planes(B * K)) if many else project
    twins = both(
        lambda *_: kernel(x, matrix, out, card=make.card, **given),
        lambda *_: project_naive(x, matrix, out, **given),
        written,
    )
    check(twins, make.rounding if many else LIMIT)


def check_time_mix_in(
    device: str, dtype: torch.dtype, form: str, C: int, ranks: Ranks, B: int, *, many: bool = False
) -> None:
    make = Maker(device, dtype)
    r, k, v = (make.matrix(form, C, C) for _ in "rkv")
    w = TimeMixIn(r, k, v, make.of(sum(ranks), C) / C**0.5, ranks)
    x, norm, normed = make.fp32(B, C), make.norm(C), make.empty(B, C)
    mix = Mix(make.of(B, C), torch.sigmoid(make.of(6, C)), normed)
    kernel = partial(time_mix_in_many, planes=make.planes(6 * B * C)) if many else time_mix_in
    twins = both(
        lambda rkv, hidden, _: kernel(x, norm, mix, w, rkv, hidden, card=make.card),
        lambda rkv, hidden, _: time_mix_in_naive(x, norm, mix, w, rkv, hidden),
        (make.empty(B, 3, C), make.empty(B, sum(ranks)), normed),
    )
    check(twins, make.rounding if many else LIMIT)


def check_head_step(device: str, dtype: torch.dtype, H: int, N: int, ranks: Ranks, B: int) -> None:
    make = Maker(device, dtype)
    C = H * N
    vectors = {name: make.of(C) for name in ("w0", "a0", "v0", "k_k", "k_a")}
    w = HeadStep(make.of(C, sum(ranks)) / 4, ranks, r_k=make.of(H, N), norm=make.norm(C, 64e-5), **vectors)
    v_first = make.fp32(B, C) if ranks.v else make.empty(B, C)
    states = HeadStates(make.fp32(B, H, N, N), make.of(B, C), make.fp32(B, C), v_first)
    rkv, hidden = make.fp32(B, 3, C), make.fp32(B, sum(ranks))
    twins = both(
        lambda y, *_: head_step(rkv, hidden, w, states, y, card=make.card),
        lambda y, *_: head_step_naive(rkv, hidden, w, states, y),
        (make.empty(B, C), states.wkv, states.shift, states.v_first),
    )
    check(twins)


def hidden_units(make: Maker, B: int, F: int, zeros: float) -> Tensor:
    """relu² of a random vector; this share of it is 0."""
    hidden = make.fp32(B, F).square()
    return torch.where(make.fp32(B, F) < (2**0.5) * torch.erfinv(torch.tensor(2 * zeros - 1)), 0.0, hidden)


def check_ffn_value(
    device: str,
    dtype: torch.dtype,
    form: str,
    shape: tuple[int, int, int],
    zeros: float,
    *,
    many: bool = False,
) -> None:
    """shape: (F, C, B)."""
    F, C, B = shape
    make = Maker(device, dtype)
    matrix, hidden, normed = make.matrix(form, F, C), hidden_units(make, B, F, zeros), make.fp32(B, C)
    units = torch.full((units_room(make.card, B, matrix),), -1, dtype=torch.int32, device=device)
    kernel = partial(ffn_value_sparse, units=units)
    if many:
        hidden = 1e6 * hidden  # beyond what fp16 holds
        kernel = partial(ffn_value_many, parts=make.empty(PARTS * B * C))
    twins = both(
        lambda x, shift: kernel(hidden, matrix, x, normed, shift, card=make.card),
        lambda x, shift: ffn_value_add_naive(hidden, matrix, x, normed, shift),
        (make.fp32(B, C), make.of(B, C)),
    )
    check(twins, make.rounding if many else LIMIT)
