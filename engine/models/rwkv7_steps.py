"""Which of RWKV-7's decode steps on a CPU a model takes: the compiled one, or the one of PyTorch's operators.

By the model and the processor alone, so that the same seed gives the same reply at every start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.models.int8_names import ROW_TIERS
from engine.ops import token7

if TYPE_CHECKING:
    from engine.types import ModelSpec


def compiles(spec: ModelSpec, tier: str) -> bool:
    """Whether the compiled step is taken: it is worth it, and the processor has an instruction for bytes
    where weights are bytes.
    """
    return is_worth_compiling(spec) and (tier not in ROW_TIERS or token7.multiplies_bytes())


def is_worth_compiling(spec: ModelSpec) -> bool:
    """`compiles`, but for what Numba has to be loaded to know."""
    return token7.is_worth_it(spec.n_embd, spec.n_ffn, spec.head_size)
