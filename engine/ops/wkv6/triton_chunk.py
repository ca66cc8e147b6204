"""wkv6 in Triton: the chunk form on a card, forward and backward, the gradient of the first state included.

The same three steps as for wkv7, with a scan that has no product in it: the state's channels only decay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from engine.ops.cards import card_of, launch, options
from engine.ops.chunk_states.triton_scan import read, scan, unread
from engine.ops.wkv6.triton_chunk_kernels import grads_kernel, intra_kernel

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 16
WARPS = 2
WARPS_OF_GRADIENTS = 8  # fewer would have to spill


class _Intra(NamedTuple):
    total: Tensor  # [G,n,K]
    update: Tensor  # [G,n,K,V]
    reading: Tensor  # [G,n,C,K]
    y0: Tensor  # [G,n,C,V]


class _Shape(NamedTuple):
    """The sizes of one call, shared by its kernels."""

    B: int
    T: int
    H: int
    K: int
    V: int
    precision: str

    @property
    def n(self) -> int:
        return -(-self.T // CHUNK)

    @property
    def grid(self) -> tuple[int, int]:
        return self.n, self.B * self.H

    def sizes(self, log_w: Tensor) -> tuple[Any, ...]:
        strides = log_w.stride()[:3]
        return *strides, self.T, self.H, self.n, self.K, self.V, CHUNK, self.precision


def _intra(inputs: tuple[Tensor, ...], lengths: Tensor | None, at: _Shape) -> _Intra:
    """inputs: r, log_w, k, v, u."""
    shapes = (at.K,), (at.K, at.V), (CHUNK, at.K), (CHUNK, at.V)
    device = inputs[0].device
    out = _Intra(*(torch.empty(at.B * at.H, at.n, *s, dtype=torch.float32, device=device) for s in shapes))
    built = options(card_of(device), WARPS)
    launch(intra_kernel, at.grid, *inputs, lengths, *out, *at.sizes(inputs[1]), **built)
    return out


class _Wkv6Triton(torch.autograd.Function):
    """Everything but `lengths` and `precision` has a gradient."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor]:
        r, log_w, k, v, u, state, lengths, precision = arguments
        r, k, v, u = (x.contiguous() for x in (r, k, v, u))
        if log_w.stride(-1) != 1:
            log_w = log_w.contiguous()
        B, T, H, K = r.shape
        at = _Shape(B, T, H, K, v.shape[-1], precision)
        its = _intra((r, log_w, k, v, u), lengths, at)
        first = state.flatten(0, 1).contiguous()
        states = scan(its.total, None, its.update, first, reverse=False, precision=precision)
        ctx.save_for_backward(r, log_w, k, v, u, states)
        ctx.lengths, ctx.at = lengths, at
        return read(its.y0, its.reading, states, B, T, precision), states[:, -1].mT.reshape(state.shape)

    @staticmethod
    def backward(ctx: Any, dy: Tensor, dstate: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]  one gradient each, where the base takes any
        *inputs, states = ctx.saved_tensors
        r, log_w, k, v, u = inputs
        lengths, at = ctx.lengths, ctx.at
        dy = dy.contiguous()
        its = _intra(tuple(inputs), lengths, at)
        dupdate = unread(dy, its.reading, lengths, at.precision)
        last = dstate.flatten(0, 1).contiguous()
        dstates = scan(its.total, None, dupdate, last, reverse=True, precision=at.precision)
        dr, dk, dv = (torch.empty_like(x) for x in (r, k, v))
        dlog_w = torch.empty(r.shape, dtype=torch.float32, device=r.device)
        du = torch.empty_like(its.total)
        grads = dr, dlog_w, dk, dv, du
        built = options(card_of(r.device), WARPS_OF_GRADIENTS)
        given = (*inputs, lengths, dy, states, dstates)
        launch(grads_kernel, at.grid, *given, *grads, *at.sizes(log_w), **built)
        du = du.view(at.B, at.H, at.n, at.K).sum((0, 2))
        dfirst = dstates[:, 0].mT.reshape(at.B, at.H, at.V, at.K)
        return dr, dlog_w.to(log_w.dtype), dk, dv, du.to(u.dtype), dfirst, None, None


def wkv6_triton_chunk(
    r: Tensor,
    log_w: Tensor,
    k: Tensor,
    v: Tensor,
    u: Tensor,
    state: Tensor,
    lengths: Tensor | None,
    precision: str,
) -> tuple[Tensor, Tensor]:
    """See `engine.ops.wkv6.wkv6`; T ≥ 1, K and V 16, 32 or 64, an fp32 state; differentiable in each."""
    return _Wkv6Triton.apply(r, log_w, k, v, u, state, lengths, precision)  # pyright: ignore[reportReturnType]  apply is untyped
