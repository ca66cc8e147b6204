"""wkv7 in chunks of 16 tokens: matrix products inside the chunks, a short scan over them, a backward by hand.

Within a chunk, with P_t the product of the decays up to token t (all per key channel) and rows for tokens:

    R̂ = r·P_t    Â = a·P_{t−1}    K̂ = k/P_t    B̂ = b/P_t
    [Aqb Aqk; Lab Lak] = masked [R̂; Â]·[B̂; K̂]ᵀ      (Aq· keep s ≤ t, La· keep s < t)
    U = (I − Lab)⁻¹ (Â·Sᵀ + Lak·V)                    row t is S_{t−1}·a_t
    Y = R̂·Sᵀ + Aqb·U + Aqk·V
    S ← (S + Uᵀ·B̂ + Vᵀ·K̂)·diag(P_C)

Only U and S depend on the chunk before, so the scan does two small products for each chunk and everything
else is computed for all chunks at once. Pairs that always go together are stacked along the token axis
(`ra` = [R̂; Â], `bk` = [B̂; K̂], `uv` = [U; V]), which halves the number of products. The decay is at least
exp(−0.6066), so 1/P_C stays below 2·10⁴ in a chunk of 16.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.nn.functional import pad

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 16
C = CHUNK


class _Intra(NamedTuple):
    """What one chunk needs of itself; leading axes: chunks n, then G = B·H."""

    ra: Tensor  # [n,G,2C,K]
    bk: Tensor  # [n,G,2C,K]
    total: Tensor  # [n,G,1,K]  P_C
    prefix: Tensor  # [n,G,C,K]  P_t
    before: Tensor  # [n,G,C,K]  P_{t−1}
    scores: Tensor  # [n,G,2C,2C]  [Aqb Aqk; Lab Lak]
    inverse: Tensor  # [n,G,C,C]  (I − Lab)⁻¹


def _to_chunks(x: Tensor, dtype: torch.dtype) -> Tensor:
    """[B,T,H,N] → [n, B·H, C, N]; tokens of zeros at the end change no state (log_w 0 is decay 1)."""
    B, T, H, N = x.shape
    if T % C:
        x = pad(x, (0, 0, 0, 0, 0, -T % C))
    x = x.reshape(B, -1, C, H, N).permute(1, 0, 3, 2, 4)
    # cast and reordered in one pass
    return torch.empty(x.shape, dtype=dtype, device=x.device).copy_(x).view(x.shape[0], B * H, C, N)


def _from_chunks(x: Tensor, B: int, T: int, H: int) -> Tensor:
    """[n, B·H, C, N] → [B,T,H,N]."""
    n, _, _, N = x.shape
    return x.reshape(n, B, H, C, N).permute(1, 0, 3, 2, 4).reshape(B, n * C, H, N)[:, :T]


def _bmm(x: Tensor, y: Tensor) -> Tensor:
    """Matrix product over two leading axes, without matmul's broadcasting."""
    return torch.bmm(x.flatten(0, 1), y.flatten(0, 1)).unflatten(0, x.shape[:2])


def _add_bmm(base: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """base += x·y, in place (base must be contiguous): a large copy less."""
    base.view(-1, *base.shape[2:]).baddbmm_(x.flatten(0, 1), y.flatten(0, 1))
    return base


def _halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """[n,G,2C,N] → twice [n,G,C,N]."""
    return x[..., :C, :], x[..., C:, :]


def _visible(like: Tensor) -> Tensor:
    """[2C,2C], 1 where a query sees a key and else 0; all scores are finite, so a product masks them."""
    ones = like.new_ones(C, C)
    return torch.cat((ones.tril().repeat(1, 2), ones.tril(-1).repeat(1, 2)))


def _unit_inverse(lower: Tensor) -> Tensor:
    """(I − L)⁻¹ for strictly lower L [n,G,C,C]: (I + L)(I + L²)(I + L⁴)(I + L⁸), exact since L¹⁶ = 0."""
    inverse = lower + torch.eye(C, dtype=lower.dtype, device=lower.device)
    power = lower
    for _ in range(3):
        power = _bmm(power, power)
        inverse = _add_bmm(inverse.clone(), inverse, power)
    return inverse


def _intra(r: Tensor, log_w: Tensor, k: Tensor, a: Tensor, b: Tensor) -> _Intra:
    """The products of the tokens of each chunk; arguments in chunk layout."""
    prefix = log_w.cumsum(-2).exp_()
    before = pad(prefix[..., :-1, :], (0, 0, 1, 0), value=1.0)
    inverse_p = prefix.reciprocal()
    ra = torch.cat((r * prefix, a * before), dim=-2)
    bk = torch.cat((b * inverse_p, k * inverse_p), dim=-2)
    scores = _bmm(ra, bk.mT).mul_(_visible(r))
    inverse = _unit_inverse(scores[..., C:, :C])
    return _Intra(ra, bk, prefix[..., -1:, :], prefix, before, scores, inverse)


def _forward(intra: _Intra, v: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scan and output.  v: [n,G,C,V], state: [G,V,K].

    Returns y [n,G,C,V], `uv` [n,G,2C,V] and the states [n+1,G,V,K]: at each chunk's start, then the last.
    """
    n = v.shape[0]
    a_hat, lak = intra.ra[..., C:, :], intra.scores[..., C:, C:]
    by_state = _bmm(intra.inverse, a_hat)
    u = _bmm(intra.inverse, _bmm(lak, v))
    b_decayed, k_decayed = _halves(intra.bk * intra.total)
    states = state.new_empty(n + 1, *state.shape)
    states[0] = state
    torch.bmm(v.mT.flatten(0, 1), k_decayed.flatten(0, 1), out=states[1:].flatten(0, 1))
    for i in range(n):
        u[i].baddbmm_(by_state[i], states[i].mT)
        states[i + 1].addcmul_(states[i], intra.total[i]).baddbmm_(u[i].mT, b_decayed[i])
    uv = torch.cat((u, v), dim=-2)
    y = _bmm(intra.ra[..., :C, :], states[:-1].mT)
    return _add_bmm(y, intra.scores[..., :C, :], uv), uv, states


class _Gradients(NamedTuple):
    ra: Tensor  # [n,G,2C,K]
    bk: Tensor  # [n,G,2C,K]
    v: Tensor  # [n,G,C,V]
    log_total: Tensor  # [n,G,1,K]  of log P_C, through the state alone
    state: Tensor  # [G,V,K]


def _backward(intra: _Intra, uv: Tensor, states: Tensor, dy: Tensor, dstate: Tensor) -> _Gradients:
    """dy: [n,G,C,V], dstate: [G,V,K], the gradient of the last state."""
    n = dy.shape[0]
    ra, bk, total, scores = intra.ra, intra.bk, intra.total, intra.scores
    du = _bmm(scores[..., :C, :C].mT, dy)
    # G, the gradient of (Â·Sᵀ + Lak·V): its part from the chunk's own outputs first
    g = _bmm(intra.inverse.mT, du)
    b_decayed, k_decayed = _halves(bk * total)
    by_dstate = _bmm(intra.inverse.mT, b_decayed)
    r_hat, a_hat = _halves(ra)
    dstates = torch.empty_like(states)
    dstates[n] = dstate
    torch.bmm(dy.mT.flatten(0, 1), r_hat.flatten(0, 1), out=dstates[:n].flatten(0, 1))
    for i in reversed(range(n)):
        g[i].baddbmm_(by_dstate[i], dstates[i + 1].mT)
        dstates[i].addcmul_(dstates[i + 1], total[i]).baddbmm_(g[i].mT, a_hat[i])
    dq = torch.cat((dy, g), dim=-2)
    after = dstates[1:]
    dscores = _bmm(dq, uv.mT).mul_(_visible(dy))
    dra = _add_bmm(_bmm(dq, states[:-1]), dscores, bk)
    dbk = _add_bmm(_bmm(uv, after).mul_(total), dscores.mT, ra)
    dv = _add_bmm(_bmm(k_decayed, after.mT), scores[..., C:].mT, dq)
    dfirst = dstates[0].clone()
    dlog_total = after.mul_(states[1:]).sum(-2, keepdim=True)
    return _Gradients(dra, dbk, dv, dlog_total, dfirst)


def _dlog_w(intra: _Intra, grads: _Gradients) -> Tensor:
    """Gradient of log_w [n,G,C,K]: token i decays every product that spans it."""
    by_ra, by_bk = grads.ra * intra.ra, grads.bk * intra.bk
    by_a = by_ra[..., C:, :]
    spans = by_ra[..., :C, :] + by_a - by_bk[..., :C, :] - by_bk[..., C:, :]
    suffix = torch.ones(C, C, dtype=spans.dtype, device=spans.device).triu()
    # Â of token i is decayed only by the tokens before i, hence the last term
    return torch.matmul(suffix, spans) + grads.log_total - by_a


class _Wkv7Chunk(torch.autograd.Function):
    """Saves its inputs and the states at chunk starts; the backward computes the rest again."""

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        state = inputs[-1]
        r, log_w, k, v, a, b = (_to_chunks(x, state.dtype) for x in inputs[:-1])
        B, T, H, _ = inputs[0].shape
        intra = _intra(r, log_w, k, a, b)
        y, uv, states = _forward(intra, v, state.flatten(0, 1))
        ctx.save_for_backward(*intra, uv, states)
        ctx.shape = B, T, H
        ctx.dtypes = [x.dtype for x in inputs[:-1]]
        return _from_chunks(y, B, T, H), states[-1].clone().view_as(state)

    @staticmethod
    def backward(ctx: Any, dy: Tensor, dstate: Tensor) -> tuple[Tensor, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]  one gradient each, where the base takes any
        *parts, uv, states = ctx.saved_tensors
        intra = _Intra(*parts)
        B, T, H = ctx.shape
        dtype = states.dtype
        grads = _backward(intra, uv, states, _to_chunks(dy, dtype), dstate.flatten(0, 1))
        inverse_p = intra.prefix.reciprocal()
        in_order = (
            grads.ra[..., :C, :] * intra.prefix,
            _dlog_w(intra, grads),
            grads.bk[..., C:, :] * inverse_p,
            grads.v,
            grads.ra[..., C:, :] * intra.before,
            grads.bk[..., :C, :] * inverse_p,
        )
        outs = [_from_chunks(g, B, T, H).to(d) for g, d in zip(in_order, ctx.dtypes, strict=True)]
        return *outs, grads.state.view(B, H, *grads.state.shape[1:])


def wkv7_chunk(
    r: Tensor, log_w: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """See `engine.ops.wkv7.wkv7`; differentiable in every argument."""
    if r.shape[1] == 0:
        return torch.zeros_like(v, dtype=state.dtype), state.clone()
    return _Wkv7Chunk.apply(r, log_w, k, v, a, b, state)  # pyright: ignore[reportReturnType]  apply is untyped
