"""What Numba has no word for: addresses, kernels called by theirs, and what threads need of each other."""

from __future__ import annotations

import os
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from engine.ops.token7.compiled import ARGUMENTS, compiled, emitted

_I64 = ir.IntType(64)
_EIGHT: Any = types.StarArgTuple.from_types([types.int64] * ARGUMENTS)


@emitted
def pointer(typing: Any, address: Any) -> Any:  # noqa: ARG001  Numba's signature
    """What `numba.carray` takes, of an address."""

    def made(context: Any, builder: Any, its: Any, args: Any) -> Any:  # noqa: ARG001  Numba's signature
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), made


@emitted
def call(typing: Any, address: Any, *eight: Any) -> Any:  # noqa: ARG001  Numba's signature
    """Runs a kernel (`kernels.py`), which takes eight int64."""

    def made(context: Any, builder: Any, its: Any, args: Any) -> Any:  # noqa: ARG001  Numba's signature
        kind = ir.FunctionType(ir.VoidType(), [_I64] * ARGUMENTS)
        target, *rest = args
        given = [builder.extract_value(rest[0], i) for i in range(ARGUMENTS)]
        builder.call(builder.inttoptr(target, kind.as_pointer()), given)
        return context.get_dummy_value()

    return types.void(types.int64, _EIGHT), made


@emitted
def fetch_add(typing: Any, address: Any, amount: Any) -> Any:  # noqa: ARG001  Numba's signature
    """Adds to the int64 that all threads see; what it was before."""

    def made(context: Any, builder: Any, its: Any, args: Any) -> Any:  # noqa: ARG001  Numba's signature
        return builder.atomic_rmw("add", builder.inttoptr(args[0], _I64.as_pointer()), args[1], "acq_rel")

    return types.int64(types.int64, types.int64), made


@emitted
def fetch(typing: Any, address: Any) -> Any:  # noqa: ARG001  Numba's signature
    """The int64 that all threads see."""

    def made(context: Any, builder: Any, its: Any, args: Any) -> Any:  # noqa: ARG001  Numba's signature
        return builder.load_atomic(builder.inttoptr(args[0], _I64.as_pointer()), "acquire", 8)

    return types.int64(types.int64), made


if os.name == "posix":
    let_others: Any = types.ExternalFunction("sched_yield", types.int32())
else:

    @compiled
    def let_others() -> int:
        """Nothing: the system's library has no name for it that is found without being asked for."""
        return 0
