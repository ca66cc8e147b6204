"""Triton's interpreter, quicker: at every call of a function within a kernel it looks through all of Triton's names."""

from __future__ import annotations

import inspect
from typing import Any


def quicken() -> None:
    """From now on it replaces the operations that it found the first time, where they are not replaced already."""
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
