"""What the driver's libraries are asked, and what becomes of their answers: on stand-ins that are compiled
from the declarations in NVIDIA's headers, so that a call which does not fit them is found without a card.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from engine import nvidia_driver
from engine.devices import has_bf16
from engine.nvidia_driver import Card
from engine.weights import fit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CUDA = """
typedef int CUresult;
typedef int CUdevice;
typedef int CUdevice_attribute;
typedef struct { char bytes[16]; } CUuuid;

CUresult cuInit(unsigned int flags) { return flags ? 1 : FAILURE; }
CUresult cuDeviceGetCount(int *count) { *count = 2; return 0; }
CUresult cuDeviceGet(CUdevice *device, int ordinal) { *device = 40 + ordinal; return 0; }
CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
    int first = device == 40;
    if (attribute == 75) *value = first ? 7 : 9;
    else if (attribute == 76) *value = first ? 5 : 0;
    else return 1;
    return 0;
}
CUresult UUID(CUuuid *uuid, CUdevice device)
{
    for (int i = 0; i < 16; i++) uuid->bytes[i] = (char)(device == 40 ? i : 255 - i);
    return 0;
}
"""
NVML = """
#include <string.h>
typedef int nvmlReturn_t;
typedef struct nvmlDevice_st *nvmlDevice_t;
typedef struct { unsigned long long total, free, used; } nvmlMemory_t;
struct nvmlDevice_st { const char *name; nvmlMemory_t memory; };

static struct nvmlDevice_st devices[] = {
    { "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f", { 17179869184ULL, 15000000000ULL, 2179869184ULL } },
    { "MIG-fffefdfc-fbfa-f9f8-f7f6-f5f4f3f2f1f0", { 42949672960ULL, 40000000000ULL, 2949672960ULL } },
};
nvmlReturn_t nvmlInit_v2(void) { return 0; }
nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device)
{
    for (int i = 0; i < 2; i++)
        if (!strcmp(uuid, devices[i].name)) { *device = &devices[i]; return 0; }
    return 6;
}
nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory)
{
    *memory = device->memory;
    return 0;
}
"""
TURING = Card((7, 5), "00010203-0405-0607-0809-0a0b0c0d0e0f")
HOPPER = Card((9, 0), "fffefdfc-fbfa-f9f8-f7f6-f5f4f3f2f1f0")


@pytest.fixture
def asked_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What was found on this machine is forgotten, before and after."""
    for each in (nvidia_driver.cards, nvidia_driver._nvml):
        each.cache_clear()
    yield
    monkeypatch.undo()
    for each in (nvidia_driver.cards, nvidia_driver._nvml):
        each.cache_clear()


def built(folder: Path, name: str, source: str, **words: str) -> str:
    """A library from C."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("stand-ins for the driver's libraries are compiled, and there is no C compiler")
    (folder / f"{name}.c").write_text(source)
    defined = [f"-D{key}={value}" for key, value in words.items()]
    target = folder / f"{name}.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", str(target), *defined, str(folder / f"{name}.c")], check=True
    )
    return str(target)


def stand_in(
    folder: Path, patch: pytest.MonkeyPatch, *, failure: str = "0", uuid: str = "cuDeviceGetUuid_v2"
) -> None:
    cuda = built(folder, "cuda", CUDA, FAILURE=failure, UUID=uuid)
    patch.setattr(nvidia_driver, "CUDA", {sys.platform: cuda})
    patch.setattr(nvidia_driver, "NVML", {sys.platform: built(folder, "nvml", NVML)})


@pytest.mark.parametrize("uuid", ["cuDeviceGetUuid_v2", "cuDeviceGetUuid"])
@pytest.mark.usefixtures("asked_anew")
def test_cards_are_told_as_cuda_numbers_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uuid: str
) -> None:
    stand_in(tmp_path, monkeypatch, uuid=uuid)
    assert nvidia_driver.cards() == (TURING, HOPPER)
    assert nvidia_driver.card("cuda") == nvidia_driver.card("cuda:0") == TURING
    assert nvidia_driver.card("cuda:1") == HOPPER
    assert nvidia_driver.card("cuda:2") is None
    assert nvidia_driver.card("cpu") is None
    assert [has_bf16(each) for each in ("cuda", "cuda:1", "cuda:2", "cpu")] == [False, True, True, True]


@pytest.mark.usefixtures("asked_anew")
def test_free_memory_is_that_of_the_card_or_of_its_slice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, monkeypatch)
    monkeypatch.delitem(sys.modules, "torch", raising=False)  # as in a process that computes nothing
    found = [fit.free_bytes(each) for each in ("cuda", "cuda:1", "cuda:2")]
    assert found == [15_000_000_000, 40_000_000_000, None]


@pytest.mark.usefixtures("asked_anew")
def test_a_driver_that_fails_has_no_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, failure="100")
    assert nvidia_driver.cards() == ()
    assert nvidia_driver.free_bytes("cuda") is None


@pytest.mark.usefixtures("asked_anew")
def test_where_there_is_no_driver_there_are_no_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia_driver, "CUDA", {sys.platform: "no-such-library.so.1"})
    monkeypatch.setattr(nvidia_driver, "NVML", {})
    assert nvidia_driver.cards() == ()
    assert nvidia_driver.free_bytes("cuda") is None


@pytest.mark.gpu
def test_the_driver_says_what_pytorch_says() -> None:
    import torch

    assert [each.capability for each in nvidia_driver.cards()] == [
        torch.cuda.get_device_capability(each) for each in range(torch.cuda.device_count())
    ]
    free = nvidia_driver.free_bytes("cuda")
    assert free == pytest.approx(torch.cuda.mem_get_info(0)[0], rel=0.05)
