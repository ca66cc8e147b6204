"""What stands between the matrices of a layer: norms, mixtures, the recurrence of one head.

The equations are those of `engine.models.rwkv7`; everything is fp32.
"""

from __future__ import annotations

import numpy as np

from engine.ops.token7.compiled import compiled
from engine.ops.token7.maths import exp, sigmoid

NORM_EPS, GROUP_NORM_EPS = np.float32(1e-5), np.float32(64e-5)
LOG_W_SCALE = np.float32(-0.606531)
SMALLEST_NORM = np.float32(1e-12)
_F0, _F1 = np.float32(0), np.float32(1)


@compiled
def normalise(x, weight, bias, out):
    """The layer norm of x [C]."""
    C = len(x)
    total = _F0
    for c in range(C):
        total += x[c]
    mean = total / np.float32(C)
    square = _F0
    for c in range(C):
        square += (x[c] - mean) * (x[c] - mean)
    scale = _F1 / np.sqrt(square / np.float32(C) + NORM_EPS)
    for c in range(C):
        out[c] = (x[c] - mean) * scale * weight[c] + bias[c]


@compiled
def mix(x, last, share, out):
    """out = x + (last − x)·share, each [C]."""
    for c in range(len(x)):
        out[c] = x[c] + (last[c] - x[c]) * share[c]


@compiled
def prepare_head(k, iclr_logit, decay_logit, k_k, k_a, a, b, decay, key):
    """Of one head's k and logits, [N] each: what the recurrence takes."""
    N = len(k)
    square = _F0
    for n in range(N):
        a[n] = k[n] * k_k[n]
        square += a[n] * a[n]
    scale = -_F1 / max(np.sqrt(square), SMALLEST_NORM)
    for n in range(N):
        iclr = sigmoid(iclr_logit[n])
        a[n] *= scale
        b[n] = -a[n] * iclr
        decay[n] = exp(LOG_W_SCALE * sigmoid(decay_logit[n]))
        key[n] = k[n] + (k[n] * iclr - k[n]) * k_a[n]


@compiled
def recur(old, new, decay, a, b, key, v, r, y):
    """One head's state [V,K] a token on; y [V]."""
    N = len(v)
    for row in range(N):
        removed = _F0
        for n in range(N):
            removed += old[row, n] * a[n]
        total = _F0
        for n in range(N):
            state = old[row, n] * decay[n] + removed * b[n] + v[row] * key[n]
            new[row, n] = state
            total += state * r[n]
        y[row] = total


@compiled
def read_out(y, r, key, v, r_k, weight, bias, gate, out):
    """The group norm of one head, the bonus of the token itself, the gate; [N] each."""
    N = len(y)
    total = bonus = _F0
    for n in range(N):
        total += y[n]
        bonus += r[n] * key[n] * r_k[n]
    mean = total / np.float32(N)
    square = _F0
    for n in range(N):
        square += (y[n] - mean) * (y[n] - mean)
    scale = _F1 / np.sqrt(square / np.float32(N) + GROUP_NORM_EPS)
    for n in range(N):
        out[n] = ((y[n] - mean) * scale * weight[n] + bias[n] + bonus * v[n]) * gate[n]
