"""Which tensors the state of each version has; no torch in here, so that sizes are known before loading.

Axes stand in the names. The wkv state of a head is [V,K] in every version: row = value channel, column = key
channel, as tuned states keep it on the disk. (The `rwkv` package has [K,V] for versions 5 and 6.)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from engine.types import ModelSpec


class StateTensor(NamedTuple):
    """One tensor of a state.

    Attributes:
        shape: without the leading B.
        exact: fp32 in every tier; else the run dtype.
        start: what it is filled with before the first token.
    """

    shape: tuple[int, ...]
    exact: bool
    start: float = 0.0


NOTHING_YET = -1e30  # the exponent of an empty sum, as the reference has it


def state_tensors(spec: ModelSpec) -> dict[str, StateTensor]:
    """By name, in order; the shifts hold the last token's normed input of each mix."""
    L, C, H, N = spec.n_layer, spec.n_embd, spec.n_head, spec.head_size
    shifts = {name: StateTensor((L, C), exact=False) for name in ("att_shift_BLC", "ffn_shift_BLC")}
    if spec.arch == "rwkv4":
        sums = {name: StateTensor((L, C), exact=True) for name in ("numerator_BLC", "denominator_BLC")}
        return sums | {"exponent_BLC": StateTensor((L, C), exact=True, start=NOTHING_YET)} | shifts
    return {"wkv_BLHVK": StateTensor((L, H, N, N), exact=True)} | shifts


def state_nbytes(spec: ModelSpec, itemsize: int) -> int:
    """Bytes of one sequence's state; `itemsize` is that of the run dtype."""
    tensors = state_tensors(spec).values()
    return sum(math.prod(each.shape) * (4 if each.exact else itemsize) for each in tensors)
