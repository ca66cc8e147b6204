"""Which tensors are 8-bit numbers in the tier int8, and how many bytes that makes; no torch in here."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.models.names import expected_shapes, split_name

if TYPE_CHECKING:
    from engine.types import ModelSpec

SCALE = ".scale"  # after a matrix's name: its scales
VALUE = ".ffn.value.weight"
_OF_BLOCK = {f"att.{name}.weight" for name in ("receptance", "key", "value", "gate", "output")} | {
    f"ffn.{name}.weight" for name in ("key", "value", "receptance")
}


def is_quantised(name: str) -> bool:
    """Whether a tensor by its official name is."""
    found = split_name(name)
    return found[1] in _OF_BLOCK if found else name == "head.weight"


def quantised_bytes(spec: ModelSpec) -> tuple[int, int]:
    """How many numbers of a model are kept in 8 bits, and the bytes that they take with their scales."""
    shapes = [(name, shape) for name, shape in expected_shapes(spec).items() if is_quantised(name)]
    count = sum(math.prod(shape) for _, shape in shapes)
    return count, count + sum(_scale_bytes(name, *shape) for name, shape in shapes)


def _scale_bytes(name: str, rows: int, columns: int) -> int:
    """bf16 for an output; for a hidden unit two numbers of fp32."""
    return 8 * columns if name.endswith(VALUE) else 2 * rows
