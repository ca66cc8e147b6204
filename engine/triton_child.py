"""A process that compiles kernels into the cache, for a card that it does not touch."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.triton_setup import settle

if TYPE_CHECKING:
    from triton.backends.compiler import GPUTarget


class Card:
    """A driver that says which card it is, and knows nothing else."""

    def __init__(self, target: GPUTarget) -> None:
        self._target = target

    def get_current_target(self) -> GPUTarget:
        return self._target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, _: int) -> int:
        return 0


def compile_all(job: dict[str, Any]) -> None:
    """`job` as `triton_setup` makes it: cache folder, target, and kernels."""
    from triton.backends.compiler import GPUTarget
    from triton.runtime.driver import driver

    settle(Path(job["cache"]))
    driver.set_active(Card(GPUTarget(**job["target"])))  # pyright: ignore[reportArgumentType]
    for module, name, data in job["kernels"]:
        getattr(importlib.import_module(module), name).preload(data)
