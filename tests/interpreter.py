"""Triton's interpreter, quicker: it looks through all of Triton's names at every call within a kernel."""

from __future__ import annotations

import inspect
from typing import Any


def quicken() -> None:
    """From now on it replaces what it found the first time, unless it has been replaced already."""
    import triton.language as tl
    from triton.runtime import interpreter

    found: dict[Any, list[tuple[str, Any]]] = {}

    def patch(package: Any, builder: Any, scope: Any) -> None:
        if package not in found:
            found[package] = [each for each in inspect.getmembers(package) if tl.core.is_builtin(each[1])]
        operations = found[package]
        if operations and getattr(package, operations[0][0]) is operations[0][1]:
            for name, operation in operations:
                interpreter._patch_attr(package, name, operation, builder, scope)

    interpreter._patch_builtin = patch
