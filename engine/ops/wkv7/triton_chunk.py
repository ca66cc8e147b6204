"""wkv7 in Triton: the chunk form on a card, forward and backward, with the gradient of the first state.

Forward: each chunk by itself (`triton_intra`), a scan over the chunks, each chunk's output from the state
before it (`engine.ops.chunk_states`). Backward: the first again, the scan from the other end, then the
gradients of each chunk by itself (`triton_grads`). Kept between the two: the inputs and the states at the
chunks' ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from engine.ops.cards import Card, card_of, launch, options
from engine.ops.chunk_states.triton_scan import read, scan, unread
from engine.ops.wkv7.triton_grads import dkeys_kernel, dqueries_kernel, dvalues_kernel
from engine.ops.wkv7.triton_intra import intra_kernel

if TYPE_CHECKING:
    from torch import Tensor

    from engine.ops.chunk_states.settings import Settings


class _Intra(NamedTuple):
    """What `intra_kernel` makes: tensors, but None for what it was not asked for."""

    total: Tensor
    q: Tensor
    update: Any
    reading: Tensor
    y0: Any
    by_state: Any
    own: Any
    inverse: Any


class _Launch(NamedTuple):
    """The shape of one call, shared by its kernels."""

    B: int
    T: int
    H: int
    K: int
    V: int
    settings: Settings
    card: Card

    @property
    def n(self) -> int:
        return -(-self.T // self.settings.chunk)

    @property
    def grid(self) -> tuple[int, int]:
        return self.n, self.B * self.H

    @property
    def sizes(self) -> tuple[int, int, int]:
        return self.T, self.H, self.n

    @property
    def meta(self) -> dict[str, Any]:
        chunk, block, precision, warps = self.settings
        meta = {
            "K": self.K,
            "V": self.V,
            "C": chunk,
            "BK": min(block, self.K, self.V),
            "PRECISION": precision,
        }
        return meta | options(self.card, warps)


def _intra(inputs: tuple[Tensor, ...], lengths: Tensor | None, at: _Launch, *, backward: bool) -> _Intra:
    """inputs: r, log_w, k, v, a, b."""
    G, n, C, K, V = at.B * at.H, at.n, at.settings.chunk, at.K, at.V

    def made(wanted: bool, *shape: int) -> Any:
        return torch.empty(G, n, *shape, dtype=torch.float32, device=inputs[0].device) if wanted else None

    out = _Intra(
        total=made(True, K),
        q=made(True, K, K),
        update=made(not backward, K, V),
        reading=made(True, C, K),
        y0=made(not backward, C, V),
        by_state=made(backward, C, K),
        own=made(backward, C, V),
        inverse=made(backward, C, C),
    )
    launch(intra_kernel, at.grid, *inputs, lengths, *out, *at.sizes, WITH_Y=not backward, **at.meta)
    return out


class _Wkv7Triton(torch.autograd.Function):
    """Everything but `lengths` and `settings` has a gradient."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor]:
        *inputs, state, lengths, settings = arguments
        inputs = tuple(x.contiguous() for x in inputs)
        B, T, H, K = inputs[0].shape
        at = _Launch(B, T, H, K, state.shape[2], settings, card_of(state.device))
        its = _intra(inputs, lengths, at, backward=False)
        first = state.flatten(0, 1).contiguous()
        states = scan(its.total, its.q, its.update, first, reverse=False, precision=settings.precision)
        y = read(its.y0, its.reading, states, B, T, settings.precision)
        ctx.save_for_backward(*inputs, states)
        ctx.lengths, ctx.at = lengths, at
        return y, states[:, -1].mT.reshape(state.shape)

    @staticmethod
    def backward(ctx: Any, dy: Tensor, dstate: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]  one gradient each, where the base takes any
        *inputs, states = ctx.saved_tensors
        r, log_w, k, v, a, b = inputs
        lengths, at = ctx.lengths, ctx.at
        sizes, meta = at.sizes, at.meta
        dy = dy.contiguous()
        its = _intra(tuple(inputs), lengths, at, backward=True)
        dupdate = unread(dy, its.reading, lengths, at.settings.precision)
        last = dstate.flatten(0, 1).contiguous()
        dstates = scan(its.total, its.q, dupdate, last, reverse=True, precision=at.settings.precision)
        u, gu = torch.empty_like(its.own), torch.empty_like(its.own)
        dr, dk, dv, da, db = (torch.empty_like(x) for x in (r, k, v, a, b))
        dlog_w = torch.empty_like(log_w, dtype=torch.float32)
        from_intra = its.by_state, its.own, its.inverse
        launch(
            dvalues_kernel,
            at.grid,
            r,
            log_w,
            k,
            a,
            b,
            lengths,
            dy,
            states,
            dstates,
            *from_intra,
            u,
            gu,
            dv,
            *sizes,
            **meta,
        )
        shared = r, log_w, k, v, a, b, lengths, dy, states
        launch(dqueries_kernel, at.grid, *shared, u, gu, dr, da, dlog_w, *sizes, **meta)
        launch(dkeys_kernel, at.grid, *shared, dstates, u, gu, dk, db, dlog_w, *sizes, **meta)
        dfirst = dstates[:, 0].mT.reshape(at.B, at.H, at.V, at.K)
        return dr, dlog_w.to(log_w.dtype), dk, dv, da, db, dfirst, None, None


def wkv7_triton_chunk(
    r: Tensor,
    log_w: Tensor,
    k: Tensor,
    v: Tensor,
    a: Tensor,
    b: Tensor,
    state: Tensor,
    lengths: Tensor | None,
    settings: Settings,
) -> tuple[Tensor, Tensor]:
    """See `engine.ops.wkv7.wkv7`; T ≥ 1, K and V 16, 32 or 64, an fp32 state; differentiable in each."""
    return _Wkv7Triton.apply(r, log_w, k, v, a, b, state, lengths, settings)  # pyright: ignore[reportReturnType]  apply is untyped
