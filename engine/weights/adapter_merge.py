"""The formulas by which adapters change a weight W [out,in]; everything fp32, one weight at a time.

Read from JL-er/RWKV-PEFT `merge/*.py` and `rwkvt/peft/rwkvLinear.py` (LoRA, PiSSA, Bone/DiSHA and its "bat")
and from Hugging Face peft 0.21.2 `tuners/lora` and `tuners/miss`. The two differ in "bat": RWKV-PEFT has one
matrix for each block of columns, peft one for each block of rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Matrices = dict[str, Tensor]
    Shapes = dict[str, tuple[int, ...]]


def _lora(w: Tensor, m: Matrices, scale: float) -> Tensor:
    """W + scale·B·A.  A [r,in], B [out,r]."""
    return torch.addmm(w, m["B"], m["A"], alpha=scale)


def _pissa(w: Tensor, m: Matrices, scale: float) -> Tensor:  # noqa: ARG001  PiSSA has none
    """W − B0·A0 + B·A: the frozen part is what the first factors left of W."""
    return torch.addmm(w, m["B0"], m["A0"], alpha=-1).addmm_(m["B"], m["A"])


def _miss(w: Tensor, m: Matrices, scale: float) -> Tensor:  # noqa: ARG001  one signature for every method
    """Eᵀ added to every r columns, the last of them cut off.  E [r,out], or [r,mini] for each mini rows."""
    e = m["E"].repeat(1, w.shape[0] // m["E"].shape[1])
    times = -(-w.shape[1] // e.shape[0])
    return w + e.T.repeat(1, times)[:, : w.shape[1]]


def _bat(w: Tensor, e: Tensor) -> Tensor:
    """W_oi + W_oi·E + E for every block [r,r] in row o and column i.  e [o or 1, i or 1, r, r]."""
    r = e.shape[-1]
    blocks = w.reshape(w.shape[0] // r, r, w.shape[1] // r, r).transpose(1, 2)
    return (blocks + blocks @ e + e).transpose(1, 2).reshape(w.shape)


def _bat_rows(w: Tensor, m: Matrices, scale: float) -> Tensor:  # noqa: ARG001  one signature for every method
    """peft's: E [out/r,r,r]."""
    return _bat(w, m["E"][:, None])


def _bat_columns(w: Tensor, m: Matrices, scale: float) -> Tensor:  # noqa: ARG001  one signature for every method
    """RWKV-PEFT's: E [in/r,r,r]."""
    return _bat(w, m["E"][None])


# kind → formula
FORMULAS: dict[str, Callable[[Tensor, Matrices, float], Tensor]] = {
    "lora": _lora,
    "pissa": _pissa,
    "miss": _miss,
    "mini": _miss,
    "bat": _bat_rows,
    "bat-columns": _bat_columns,
}


def _low_rank_fits(a: tuple[int, ...], b: tuple[int, ...], out: int, width: int) -> bool:
    return len(a) == len(b) == 2 and 0 < a[0] == b[1] and a[1] == width and b[0] == out


def _bat_fits(e: tuple[int, ...], first: int, out: int, width: int) -> bool:
    r = e[-1]
    return len(e) == 3 and 0 < r == e[1] and out % r == width % r == 0 and e[0] == first // r


def fits(kind: str, m: Shapes, shape: tuple[int, ...]) -> bool:
    """Whether matrices of these shapes can change a weight of this shape."""
    out, width = shape
    if kind == "lora":
        return _low_rank_fits(m["A"], m["B"], out, width)
    if kind == "pissa":
        return _low_rank_fits(m["A"], m["B"], out, width) and _low_rank_fits(m["A0"], m["B0"], out, width)
    e = m["E"]
    if 0 in e:
        return False
    if kind in {"miss", "mini"}:
        return len(e) == 2 and e[0] <= width and (e[1] == out or (kind == "mini" and out % e[1] == 0))
    return _bat_fits(e, out if kind == "bat" else width, out, width)
