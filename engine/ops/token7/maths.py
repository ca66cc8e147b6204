"""exp, sigmoid and tanh of fp32, written so that loops over them become vectors: within 3 units of the last
place. The polynomial is the well-known one of Cephes (S. Moshier, `expf`).
"""

from __future__ import annotations

import numpy as np

from engine.ops.token7.compiled import compiled

_F = np.float32
_HIGHEST, _LOWEST = _F(88.0), _F(-87.0)
_LOG2E, _LN2_HIGH, _LN2_LOW = _F(1.44269504), _F(0.693359375), _F(-2.12194440e-4)
_P0, _P1, _P2 = _F(1.9875691e-4), _F(1.3981999e-3), _F(8.3334519e-3)
_P3, _P4, _P5 = _F(4.1665795e-2), _F(1.6666665e-1), _F(5.0e-1)
_ONE, _TWO, _HALF = _F(1.0), _F(2.0), _F(0.5)
_BIAS, _MANTISSA = np.int32(127), np.int32(23)


@compiled
def exp(x):
    """e^x, between e^−87 and e^88."""
    near = min(max(x, _LOWEST), _HIGHEST)
    whole = np.floor(near * _LOG2E + _HALF)
    rest = near - whole * _LN2_HIGH - whole * _LN2_LOW
    series = ((((_P0 * rest + _P1) * rest + _P2) * rest + _P3) * rest + _P4) * rest + _P5
    power = np.int32((np.int32(whole) + _BIAS) << _MANTISSA).view(np.float32)
    found = (series * rest * rest + rest + _ONE) * power
    return found if x == x else x  # NaN is not itself


@compiled
def sigmoid(x):
    return _ONE / (_ONE + exp(-x))


@compiled
def tanh(x):
    return _TWO * sigmoid(_TWO * x) - _ONE
