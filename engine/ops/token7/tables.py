"""What `token.py` is told of a model: where its tensors lie, which kernels take them, how large all is.

A table is int64, a line for each layer, a column for each name below. No Numba here.
"""

from __future__ import annotations

from itertools import count
from typing import Final

_column = count()


def _matrix() -> int:
    """The first of its columns."""
    first, *_ = (next(_column) for _ in range(MATRIX_COLUMNS))
    return first


# of a matrix, from its first column on: its address, its scales', and those of its kernels
SCALE, MULTIPLY, PREPARE = 1, 2, 3
MATRIX_COLUMNS: Final = 4

# vectors, fp32; MIX is [6,C], in the order of `rwkv7_names.MIXED`
LN1_WEIGHT, LN1_BIAS, LN2_WEIGHT, LN2_BIAS = (next(_column) for _ in range(4))
MIX, X_K, K_K, K_A, R_K, LN_X_WEIGHT, LN_X_BIAS = (next(_column) for _ in range(7))
# first low-rank matrices [R,C] of w, a, v, g; the second ones below each other (`low_rank.stacked`), cut into
# heads: [H, ΣR + 3, N], of so many bytes a number
LOW_W, LOW_A, LOW_V, LOW_G, LOW_OUT, LOW_BYTES, LOW_MULTIPLY, LOW_ADD = (next(_column) for _ in range(8))
RECEPTANCE, KEY, VALUE, OUTPUT, FFN_KEY = (_matrix() for _ in range(5))
FFN_VALUE, FFN_VALUE_ADD, FFN_VALUE_WEIGH = (next(_column) for _ in range(3))  # rows [F,C], or rows of bytes
LAYER_COLUMNS: Final = next(_column)

# the last line of a table: what follows the layers
LN_OUT_WEIGHT, LN_OUT_BIAS, HEAD = 0, 1, 2

# of the sizes
LAYERS, WIDTH, HEADS, HEAD_SIZE, HIDDEN, VOCABULARY = range(6)
RANK_W, RANK_A, RANK_V, RANK_G = range(6, 10)

# of a thread's own vectors [.., C]
NORMED, MIXED_R, MIXED_W, MIXED_K, MIXED_V, MIXED_A, MIXED_G, PRODUCT = range(8)
OWN_VECTORS: Final = 8
# of those of a head, [.., N]
DECAY_LOGIT, ICLR_LOGIT, V_LOGIT, GATE, A, B, DECAY, K, V, Y = range(10)
HEAD_VECTORS: Final = 10
INPUTS: Final = 3  # of which digits are kept at once

# of what all threads share: first the number of those that have come, of those that have left, then a counter
# for each phase
ARRIVED, LEFT, COUNTERS = range(3)
PHASES: Final = 5  # of a layer
