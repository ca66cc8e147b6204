"""Compiles kernels for cards that are not here: the program's own launches, on tensors without memory.

A row of `test_compile.ROWS` names a function that launches kernels through the program's own code, on tensors
of the device "meta". It runs in a process of its own, where Triton has a driver that says which card it is
and where every launch compiles and stops there. So what is compiled is what would run, configuration and all.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# largest shared memory of a block, bytes (CUDA programming guide, compute capabilities); multiprocessors
CARDS = {
    75: (65_536, 40),  # Turing: T4
    80: (166_912, 108),  # Ampere: A100
    86: (101_376, 82),  # Ampere: RTX 3090
    89: (101_376, 128),  # Ada: RTX 4090
    90: (232_448, 132),  # Hopper: H200
    100: (232_448, 148),  # Blackwell: B200
    120: (101_376, 170),  # Blackwell: RTX 5090
}
WITHOUT_BF16 = {75}


@dataclass(frozen=True, slots=True)
class Usage:
    """What one compiled kernel takes: bytes for each block (shared) or thread (stack: spilled registers)."""

    kernel: str
    shared: int
    registers: int
    stack: int


class _Driver:
    """Says which card it is, and cannot launch."""

    def __init__(self, sm: int) -> None:
        self.sm = sm

    def get_current_target(self) -> Any:
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", self.sm, 32)

    def get_current_device(self) -> int:
        return self.sm  # compiled kernels are kept by device

    def get_current_stream(self, device: int) -> int:
        return 0


@cache
def prepare_process(folder: str) -> None:
    """From now on a launch compiles into that folder and stops; to be called before kernels are imported."""
    os.environ.pop("TRITON_INTERPRET", None)
    from triton import knobs
    from triton.runtime.jit import JITFunction

    knobs.cache.dir = folder
    compile_and_launch = JITFunction.run

    def compile_only(self: Any, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> Any:
        built: Any = compile_and_launch(self, *args, grid=grid, warmup=True, **kwargs)
        _built[built.hash] = built
        return built

    JITFunction.run = compile_only


_built: dict[str, Any] = {}


def usages(folder: str, launch: str, sm: int, dtype: str) -> list[Usage]:
    """What the kernels take that `launch` ("module:function", called with a torch dtype) launches.

    `folder`: where what is compiled lies, so that processes that work together compile it once.
    """
    prepare_process(folder)
    import torch
    import triton

    from engine.ops import cards

    triton.runtime.driver.set_active(_Driver(sm))  # pyright: ignore[reportArgumentType]
    cards._found = lambda *_: cards.Card(sm, CARDS[sm][1])  # pyright: ignore[reportAttributeAccessIssue]
    module, name = launch.split(":")
    _built.clear()
    getattr(importlib.import_module(module), name)(getattr(torch, dtype))
    return [_usage(each) for each in _built.values()]


def _usage(built: Any) -> Usage:
    found = re.search(r"REG:(\d+) STACK:(\d+)", _resources(built.asm["cubin"]))
    assert found is not None
    return Usage(built.name, built.metadata.shared, int(found[1]), int(found[2]))


def _resources(cubin: bytes) -> str:
    from triton import knobs

    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(cubin)
        tool = knobs.nvidia.cuobjdump.path
        done = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True)
    return done.stdout


def meta(*shapes: tuple[int, ...], dtype: Any) -> Iterator[Any]:
    """Tensors without memory."""
    import torch

    return (torch.empty(shape, dtype=dtype, device="meta") for shape in shapes)
