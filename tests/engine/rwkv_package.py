"""Runs the official `rwkv` package on the CPU on checkpoints, in a process of its own: the package reads
environment variables while it is imported (RWKV-7 is another class) and sets global torch options."""

from __future__ import annotations

import contextlib
import gc
import io
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tests.children import in_child

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = 0  # under which the state stands where all tokens were fed at once

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Reference:
    """What the package says about one checkpoint and one chain of tokens.

    Attributes:
        logits: [T,O] after each token, fed one by one.  states: after some counts of tokens, in our layout.
        whole_logits, whole_state: the last logits [O] and the state where all were fed at once.
    """

    logits: torch.Tensor
    states: dict[int, Tensors]
    whole_logits: torch.Tensor
    whole_state: Tensors


@dataclass(frozen=True)
class Job:
    """A checkpoint ending in ".pth", what to feed, after how many tokens to look, and the run dtype."""

    path: Path
    ids: list[int]
    counts: tuple[int, ...]
    dtype: str = "fp32"

    @property
    def answer(self) -> Path:
        """Where the answer is left."""
        return self.path.with_suffix(f".{self.dtype}.npz")


def references(jobs: list[Job], *, v7: bool) -> list[Reference]:
    """One process for all jobs; `v7` says which of the package's two classes."""
    if not jobs:
        return []
    in_child(_answer, jobs, v7)
    return [_read(job.answer) for job in jobs]


def reference(checkpoint: Path, ids: list[int]) -> Reference:
    """Of one RWKV-7 checkpoint; the state after all tokens is looked at."""
    return references([Job(checkpoint, ids, (len(ids),))], v7=True)[0]


def _read(path: Path) -> Reference:
    arrays = {name: torch.from_numpy(x) for name, x in np.load(path).items()}
    logits, whole_logits = arrays.pop("logits"), arrays.pop("whole_logits")
    states: dict[int, Tensors] = {}
    for name, x in arrays.items():
        count, tensor = name.split("/")
        states.setdefault(int(count), {})[tensor] = x
    return Reference(logits, states, whole_logits, states.pop(WHOLE))


# ------------------------------------------------------------------------------------------ in the process


def _ours(state: list[torch.Tensor]) -> Tensors:
    """The package's flat list in our layout, batch 1: five tensors for a layer of RWKV-4, else three."""
    if state[1].dim() == 1:
        order = ("att_shift_BLC", "numerator_BLC", "denominator_BLC", "exponent_BLC", "ffn_shift_BLC")
        return {name: torch.stack(state[i::5])[None] for i, name in enumerate(order)}
    order = ("att_shift_BLC", "wkv_BLHVK", "ffn_shift_BLC")
    return {name: torch.stack(state[i::3])[None] for i, name in enumerate(order)}


def _run(net: Any, ids: list[int], counts: tuple[int, ...], *, key_major: bool) -> dict[str, np.ndarray]:
    found: dict[str, torch.Tensor] = {}

    def look(count: int, state: list[torch.Tensor]) -> None:
        for name, x in _ours(state).items():
            turned = x.mT if key_major and name == "wkv_BLHVK" else x
            found[f"{count}/{name}"] = turned.float()

    state, logits = None, []
    for count, token in enumerate(ids, start=1):
        row, state = net.forward([token], state)
        logits.append(row.float())
        if count in counts:
            look(count, [x.clone() for x in state])
    found["logits"] = torch.stack(logits)
    row, state = net.forward(ids, None)
    found["whole_logits"] = row.float()
    look(WHOLE, state)
    return {name: x.contiguous().numpy() for name, x in found.items()}


def _answer(jobs: list[Job], v7: bool) -> None:
    os.environ |= {"RWKV_JIT_ON": "0", "RWKV_CUDA_ON": "0"} | ({"RWKV_V7_ON": "1"} if v7 else {})
    gc.freeze()  # the package collects garbage at every layer that it loads: most of the time here
    for job in jobs:
        with contextlib.redirect_stdout(io.StringIO()):
            from rwkv.model import RWKV

            net = RWKV(model=str(job.path.with_suffix("")), strategy=f"cpu {job.dtype}")
        np.savez(job.answer, **_run(net, job.ids, job.counts, key_major=not v7))  # pyright: ignore[reportArgumentType]  names are free
