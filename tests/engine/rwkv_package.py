"""Runs the official `rwkv` package ('cpu fp32') on a checkpoint, in a process of its own: the package reads
environment variables while it is imported and sets global torch options.

As a script: MODEL (without ".pth"), IDS (JSON), OUT (.npz).
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Reference:
    """logits [T,O] after each token, and the state after the last, in our layout with batch 1."""

    logits: torch.Tensor
    state: dict[str, torch.Tensor]


def reference(checkpoint: Path, ids: list[int]) -> Reference:
    """What the package says; `checkpoint` must end in ".pth"."""
    out = checkpoint.with_suffix(".npz")
    command = [sys.executable, __file__, str(checkpoint.with_suffix("")), json.dumps(ids), str(out)]
    env = os.environ | {"RWKV_V7_ON": "1", "RWKV_JIT_ON": "0", "RWKV_CUDA_ON": "0"}
    subprocess.run(command, env=env, check=True, capture_output=True, timeout=300)
    arrays = {name: torch.from_numpy(x) for name, x in np.load(out).items()}
    return Reference(arrays.pop("logits"), arrays)


def _main(model: str, ids: list[int], out: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        from rwkv.model import RWKV

        net = RWKV(model=model, strategy="cpu fp32")
    state, logits = None, []
    for token in ids:
        row, state = net.forward([token], state)
        logits.append(row.clone())
    assert state is not None
    layers = {"att_shift_BLC": state[0::3], "wkv_BLHVK": state[1::3], "ffn_shift_BLC": state[2::3]}
    arrays: dict[str, Any] = {name: torch.stack(xs)[None].numpy() for name, xs in layers.items()}
    arrays["logits"] = torch.stack(logits).numpy()
    np.savez(out, **arrays)


if __name__ == "__main__":
    _main(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3])
