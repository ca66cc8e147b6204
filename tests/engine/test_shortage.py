"""Errors that mean that memory ran out, as PyTorch words them, and others."""

from __future__ import annotations

import pytest
import torch

from engine import memory
from engine.shortage import shortage

MIB = 1 << 20
ON_CARD = (
    "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 11.76 GiB of which "
    "14.50 MiB is free. Process 4711 has 11.74 GiB memory in use."
)


@pytest.mark.parametrize(
    ("error", "needed", "free"),
    [
        (torch.OutOfMemoryError(ON_CARD), 20 * MIB, int(14.5 * MIB)),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), 0, 0),
        (RuntimeError("CUDA driver error: out of memory"), 0, 0),
        (
            RuntimeError(
                "DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes. Error code"
            ),
            4096,
            777,
        ),
        (MemoryError(), 0, 777),
    ],
)
def test_what_the_message_says(error, needed, free, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 777)
    found = shortage(error)
    assert found is not None
    assert (found.needed, found.free, found.hint) == (needed, free, "smaller")


def test_the_real_thing():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    found = shortage(caught.value)
    assert found is not None
    assert found.needed == 1 << 60
    assert found.free > 0


@pytest.mark.parametrize("error", [ValueError("x"), RuntimeError("CUDA error: an illegal memory access")])
def test_other_errors_are_others(error):
    assert shortage(error) is None
