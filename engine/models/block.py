"""What the blocks of several versions are made of: norms, the token shift, the gated channel mix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812  the field's custom

from engine.models.int8_names import SCALE
from engine.ops.adapted import adapted
from engine.ops.ffn_value import ffn_value
from engine.ops.linear import linear
from engine.ops.linear.alone import alone

if TYPE_CHECKING:
    from torch import Tensor

LN_EPS = 1e-5
GROUP_NORM_EPS = 64e-5  # the reference divides by head_size_divisor 8 in training: 1e-5 · 8²


def layer_norm(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], LN_EPS)


def head_norm(y: Tensor, n_head: int, w: dict[str, Tensor]) -> Tensor:
    """Group norm over the heads, y [M,C]; parameters and result in y's dtype."""
    return F.group_norm(y, n_head, w["att.ln_x.weight"], w["att.ln_x.bias"], GROUP_NORM_EPS)


def project(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    """x [.., K] times the matrix of that name [N,K]; its scales and its adapter stand beside it, if any."""
    ready = alone(x, w[name])
    return adapted(ready(x) if ready else linear(x, w[name], w.get(name + SCALE)), x, w, name)


def project_value(hidden: Tensor, w: dict[str, Tensor]) -> Tensor:
    """hidden [.., F] times the channel mix's second matrix [C,F], in whatever form it is."""
    name = "ffn.value.weight"
    return adapted(ffn_value(hidden, w[name], w.get(name + SCALE)), hidden, w, name)


def previous(x: Tensor, last: Tensor) -> Tensor:
    """The token before each: x [B,T,C] moved by one, `last` [B,C] in front."""
    if x.shape[1] == 1:
        return last.unsqueeze(1)
    return torch.cat((last.unsqueeze(1), x[:, :-1]), dim=1)


def last_token(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Each row's last token [B,C] of x [B,T,C]: the one before its length, if rows have lengths [B]."""
    if lengths is None:
        return x[:, -1]
    return x[torch.arange(x.shape[0], device=x.device), lengths - 1]


def gated_channel_mix(x_k: Tensor, x_r: Tensor, w: dict[str, Tensor]) -> Tensor:
    """σ(R·x_r) ⊙ V·relu(K·x_k)², the channel mix of versions 4 to 6.  x_k, x_r: […,C]."""
    hidden = torch.relu(project(x_k, w, "ffn.key.weight"))
    gate = torch.sigmoid(project(x_r, w, "ffn.receptance.weight"))
    return gate * project_value(hidden * hidden, w)


def shares_mixed(x: Tensor, before: Tensor, shares: Tensor) -> Tensor:
    """x·μ + before·(1 − μ), the token shift of versions 4 and 5.  x [B,T,C], shares [M,1,1,C]: [M,B,T,C]."""
    return torch.addcmul(before, x - before, shares)


def channel_mixed_by_shares(x: Tensor, last: Tensor, w: dict[str, Tensor]) -> Tensor:
    """The channel mix of versions 4 and 5.  x [B,T,C] (LN2 output), last [B,C]."""
    x_k, x_r = shares_mixed(x, previous(x, last), w["ffn.mix"]).unbind(0)
    return gated_channel_mix(x_k, x_r, w)
