"""The CPU's tiers of few bits: which tensors are quantised in them, and how many bytes that makes; no torch.

In int8 all large matrices are 8-bit numbers. In int4-rows the projections and the channel mix's other
matrices are packed in 4 bits (`engine.quant`), while the head, whose errors are those of the answer, and the
channel mix's second matrix, of which a token reads few rows, are as in int8.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.models.names import counted_shapes, split_name

if TYPE_CHECKING:
    from engine.types import ModelSpec

INT8, INT4 = "int8", "int4-rows"
ROW_TIERS = (INT8, INT4)
GROUP4 = 32  # numbers that share a scale of 4-bit ones
_ROWS4 = 16  # PyTorch's operator takes so many rows together

SCALE = ".scale"  # after a matrix's name: its scales
VALUE = ".ffn.value.weight"
_OF_BLOCK = {f"att.{name}.weight" for name in ("receptance", "key", "value", "gate", "output")} | {
    f"ffn.{name}.weight" for name in ("key", "value", "receptance")
}


def is_quantised(name: str) -> bool:
    """Whether a tensor by its official name is."""
    found = split_name(name)
    return found[1] in _OF_BLOCK if found else name == "head.weight"


def is_projection(name: str) -> bool:
    """Whether `block.project` multiplies with it; a name without "blocks.i."."""
    return name == "head.weight" or (name in _OF_BLOCK and not VALUE.endswith(name))


def bits_of_rows(name: str, shape: tuple[int, ...], tier: str) -> int:
    """8, 4, or 0 for a tensor that is not quantised in this tier; `shape` as the official name has it."""
    if tier not in ROW_TIERS or not is_quantised(name):
        return 0
    eight = tier == INT8 or name == "head.weight" or name.endswith(VALUE)
    return 8 if eight or shape[0] % _ROWS4 or shape[1] % GROUP4 else 4


def quantised_bytes(spec: ModelSpec, tier: str) -> tuple[int, int]:
    """How many numbers of a model are kept in few bits, and the bytes that they take with their scales."""
    count = taken = 0
    for name, shape, times in counted_shapes(spec):
        if bits := bits_of_rows(name, shape, tier):
            numbers = math.prod(shape)
            count += times * numbers
            taken += times * (numbers * bits // 8 + _scale_bytes(name, shape, bits))
    return count, taken


def copied_bytes(spec: ModelSpec, tier: str) -> int:
    """Bytes of the copies that are packed in memory, for one row; the compiled step has none."""
    total = 0
    for name, shape, times in counted_shapes(spec) if tier in ROW_TIERS else ():
        numbers, bits = math.prod(shape), bits_of_rows(name, shape, tier)
        if bits and not name.endswith(VALUE):
            pairs = 4 * numbers // GROUP4 if bits == 4 else 0  # scales and offsets, each pair of bf16
            total += times * (numbers * bits // 8 + pairs)
    return total


def _scale_bytes(name: str, shape: tuple[int, ...], bits: int) -> int:
    """bf16 for an output, or for a group of 4-bit numbers; for a hidden unit two numbers of fp32."""
    if bits == 4:
        return 2 * math.prod(shape) // GROUP4
    return 8 * shape[1] if name.endswith(VALUE) else 2 * shape[0]
