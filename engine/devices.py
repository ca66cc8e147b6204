"""How many threads compute, and how many tokens are fed at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from engine import nvidia_driver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.types import ModelInfo

LARGEST_CHUNK, SMALLEST_CHUNK = 256, 16
GPU_CHUNK = 1024  # a card fills up with as many, and the weakest takes about a second for them
CPU_CHUNK_BYTES = 192 << 30  # weight bytes a chunk may touch, token by token: a second on two slow cores


def prefill_chunk(info: ModelInfo) -> int:
    """`chunk_for` a loaded model."""
    return chunk_for(info.device, info.nbytes)


def chunk_for(device: str, nbytes: int) -> int:
    """Tokens fed at once by a model of `nbytes` of weights, and so the longest wait of a cancel.

    It depends on the model alone: the same tokens are always cut alike, so a rebuilt state is rounded alike.
    """
    if device != "cpu":
        return GPU_CHUNK
    chunk = LARGEST_CHUNK
    while chunk > SMALLEST_CHUNK and chunk * nbytes > CPU_CHUNK_BYTES:
        chunk //= 2
    return chunk


def has_bf16(device: str) -> bool:
    """Whether a device computes in bf16: NVIDIA's cards from compute capability 8.0 on, and every CPU."""
    found = nvidia_driver.card(device)
    return found is None or found.capability >= (8, 0)


def supports(built_for: Sequence[str], capability: tuple[int, int]) -> bool:
    """Whether a PyTorch built for these architectures ("sm_90", "compute_120") runs on a card.

    Machine code runs on cards of its own generation that are not older; intermediate code on all newer ones.
    """
    split = (each.rstrip("af").partition("_") for each in built_for)
    made = [(kind, divmod(int(digits), 10)) for kind, _, digits in split if digits.isdigit()]
    return any(
        wanted <= capability and (kind == "compute" or wanted[0] == capability[0]) for kind, wanted in made
    )


def compute_threads() -> int:
    """Threads for the compute thread: physical cores − 1, so that an interface can draw; at least 1."""
    return max(1, physical_cores() - 1)


def physical_cores() -> int:
    """Physical cores this process may use; logical ones where the system does not tell them apart."""
    try:
        allowed = os.sched_getaffinity(0)
    except AttributeError:
        logical = os.cpu_count() or 1
        return max(1, logical // 2) if sys.platform == "win32" else logical
    return len({_core(cpu) for cpu in allowed}) or 1


def _core(cpu: int) -> str:
    """A name that hardware threads of one core share."""
    folder = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
    try:
        return (folder / "thread_siblings_list").read_text()
    except OSError:
        return str(cpu)
