"""Kernels compiled ahead, by several processes and for a card that is not here: the launch finds them all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("triton", reason="Triton has wheels for Linux only; elsewhere there are no kernels")

if TYPE_CHECKING:
    from pathlib import Path

AHEAD = """
import json, sys
from pathlib import Path
import torch, triton
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver
from triton.runtime.jit import JITFunction
from engine import triton_setup
from engine.triton_child import Card
from engine.ops.cards import Card as Kind
from engine.ops.embed.triton_embed import embed

def launch():
    for width in (32, 64):
        tokens = torch.empty(1, dtype=torch.int64, device="meta")
        emb, x = torch.empty(8, width, device="meta"), torch.empty(1, width, device="meta")
        embed(tokens, emb, x, Kind(86, 82))

cache = Path(sys.argv[1])
triton_setup.os.cpu_count = lambda: 2
triton_setup.settle(cache)
driver.set_active(Card(GPUTarget("cuda", 86, 32)))
counts = [triton_setup.compile_ahead(launch, cache, "mark") for _ in range(2)]

hits = []
triton.knobs.compilation.listener = lambda src, cache_hit, **_: hits.append((src.name, cache_hit))
run = JITFunction.run
JITFunction.run = lambda self, *args, grid, warmup, **more: run(self, *args, grid=grid, warmup=True, **more)
launch()
print(json.dumps({"counts": counts, "hits": hits}))
"""


def run(program: str, folder: Path, **variables: str) -> str:
    """What a program of its own says, which compiles and does not interpret."""
    there = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        env=there | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_was_compiled_ahead_is_found_and_made_once(tmp_path: Path) -> None:
    found = json.loads(run(AHEAD, tmp_path))
    assert found["counts"] == [2, 0]
    assert found["hits"] == [["embed_kernel", True]] * 2


SETTLED = """
import os, sys
from pathlib import Path
before = dict(os.environ)
from engine import triton_setup
cache = Path(sys.argv[1])
triton_setup.settle(cache)
from triton import knobs
assert knobs.language.default_fp_fusion is True
assert knobs.language.fp32_default == "tf32"
assert knobs.nvidia.ptxas_options is None
assert knobs.nvidia.disable_ptxas_opt is False
assert knobs.cache.dir == str(cache / triton_setup.FOLDER)
assert dict(os.environ) == before

from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver
from engine.triton_child import Card
triton_setup.collect = lambda launch: [("engine.ops.nowhere", "kernel", "{}")] * 2
triton_setup.os.cpu_count = lambda: 2
driver.set_active(Card(GPUTarget("cuda", 86, 32)))
assert triton_setup.compile_ahead(lambda: None, cache, "mark") == 2
assert not (cache / triton_setup.FOLDER / "mark.done").exists()
"""


def test_no_variable_changes_what_is_compiled_and_compilers_that_fail_are_no_error(tmp_path: Path) -> None:
    variables = {
        "TRITON_DEFAULT_FP_FUSION": "0",
        "TRITON_F32_DEFAULT": "ieee",
        "PTXAS_OPTIONS": "--fmad=false",
        "DISABLE_PTXAS_OPT": "1",
    }
    run(SETTLED, tmp_path, **variables)
