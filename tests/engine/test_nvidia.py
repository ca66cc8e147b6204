"""Why a card cannot be used, told from files: every reason on a machine made of a few files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine import nvidia
from engine.devices import supports
from engine.nvidia import Machine, machine, torch_cuda, unbuildable, unusable

if TYPE_CHECKING:
    from pathlib import Path

CLOSED = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n"
    "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n"
)
OPEN = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder@U16)\n"
    "GCC version:  gcc version 13.3.0\n"
)
INFORMATION = "Model: \t\t NVIDIA GeForce RTX 4090\nIRQ:   \t\t 170\nGPU UUID: \t GPU-12\n"


def written(root: Path, **files: str) -> Path:
    """Files below `root`; a double underscore in a name is a slash."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def with_driver(root: Path, version: str = CLOSED) -> Path:
    return written(
        root, proc__driver__nvidia__version=version, proc__driver__nvidia__gpus__a__information=INFORMATION
    )


@pytest.mark.parametrize(("version", "expected"), [(CLOSED, (550, 54, 15)), (OPEN, (580, 65, 6))])
def test_the_driver_says_its_version_and_the_cards_names(
    tmp_path: Path, version: str, expected: tuple[int, ...]
) -> None:
    assert machine(with_driver(tmp_path, version)) == Machine(("NVIDIA GeForce RTX 4090",), expected)


def test_a_card_without_a_driver_is_seen_on_the_bus(tmp_path: Path) -> None:
    for vendor, kind in (("0x10de", "0x030000"), ("0x10de", "0x040300"), ("0x8086", "0x030000")):
        device = tmp_path / "sys/bus/pci/devices" / f"{vendor}-{kind}"
        device.mkdir(parents=True)
        (device / "vendor").write_text(vendor + "\n")
        (device / "class").write_text(kind + "\n")
    assert machine(tmp_path) == Machine(("",), None)
    assert unusable(machine(tmp_path), (13, 0)) == "no_driver"


def test_a_machine_without_cards_has_nothing_to_tell(tmp_path: Path) -> None:
    assert machine(tmp_path) == Machine((), None)
    assert unusable(machine(tmp_path), None) is None


@pytest.mark.parametrize(
    ("driver", "cuda", "reason"),
    [
        (CLOSED, None, "cpu_build"),
        (CLOSED, (13, 0), "old_driver"),
        (CLOSED, (12, 8), None),
        (OPEN, (13, 0), None),
        (OPEN, (99, 0), None),  # nobody knows what it will need
    ],
)
def test_what_pytorch_was_built_for_decides(
    tmp_path: Path, driver: str, cuda: tuple[int, int] | None, reason: str | None
) -> None:
    assert unusable(machine(with_driver(tmp_path, driver)), cuda) == reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cuda: Optional[str] = None\n", None),
        ("debug = False\ncuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n", (13, 0)),
        ('cuda = "12.8"\n', (12, 8)),
        ("", None),
    ],
)
def test_the_build_is_read_from_its_version_file(
    tmp_path: Path, text: str, expected: tuple[int, int] | None
) -> None:
    (tmp_path / "version.py").write_text(text)
    assert torch_cuda(tmp_path) == expected


def test_the_installed_build_is_what_torch_says() -> None:
    import torch

    found = torch_cuda()
    assert (None if found is None else f"{found[0]}.{found[1]}") == torch.version.cuda


def test_what_triton_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr(nvidia.sys, "platform", "linux")
    monkeypatch.setattr(nvidia.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(nvidia.shutil, "which", lambda name: "/usr/bin/gcc" if name == "gcc" else None)
    assert unbuildable(tmp_path) is None
    assert unbuildable(tmp_path / "elsewhere") == "no_headers"
    monkeypatch.setattr(nvidia.shutil, "which", lambda name: None)
    assert unbuildable(tmp_path) == "no_compiler"
    monkeypatch.setattr(nvidia.importlib.util, "find_spec", lambda name: None)
    assert unbuildable(tmp_path) == "no_triton"


@pytest.mark.parametrize(
    ("built_for", "capability", "fits"),
    [
        (["sm_75", "sm_80", "sm_90"], (8, 9), True),  # machine code of 8.0 runs on 8.9
        (["sm_75", "sm_86"], (8, 0), False),
        (["sm_75", "sm_80"], (6, 1), False),
        (["sm_80", "compute_80"], (12, 0), True),  # intermediate code runs on all that is newer
        (["sm_90a", "sm_100f"], (10, 3), True),
        ([], (9, 0), False),
    ],
)
def test_which_cards_a_build_supports(built_for: list[str], capability: tuple[int, int], fits: bool) -> None:
    assert supports(built_for, capability) is fits
