"""Why an NVIDIA card that is here cannot be used, told from files alone: imports no torch, runs nothing.

Linux says which cards and which driver there are; PyTorch's `version.py` says which CUDA it was built for.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

NVIDIA, DISPLAY = "0x10de", "0x03"  # a PCI device's vendor, and how the class of a graphics card begins

# The oldest driver for Linux that runs a CUDA of this major version (NVIDIA's table of CUDA compatibility).
OLDEST_DRIVERS = {11: (450, 80), 12: (525, 60), 13: (580, 65)}

Reason = Literal[
    "no_driver",  # the system has no driver of NVIDIA
    "cpu_build",  # PyTorch was built without CUDA
    "old_driver",  # the driver is older than PyTorch's CUDA
    "not_seen",  # PyTorch sees no card although all is there
    "old_card",  # PyTorch has nothing for a card so old
    "slow_card",  # our kernels are not made for a card so old
    "no_triton",
    "no_compiler",  # Triton builds its launchers with a C compiler …
    "no_headers",  # … and Python's headers
    "failed",  # a kernel could not be compiled, or ended in an error
    "differs",  # the kernels do not compute what the plain operations do
    "crashed",  # the program ended while the kernels were being checked
]


@dataclass(frozen=True, slots=True)
class Machine:
    """What the system says.

    Attributes:
        cards: names of NVIDIA cards, "" where only their presence is known.
        driver: the driver's version, None without one.
    """

    cards: tuple[str, ...]
    driver: tuple[int, ...] | None


def machine(root: Path = Path("/")) -> Machine:
    """The cards and the driver below `root`; nothing where the system is not Linux."""
    driver = _driver(root / "proc/driver/nvidia/version")
    cards = tuple(_name(each) for each in sorted(root.glob("proc/driver/nvidia/gpus/*/information")))
    return Machine(cards or _on_the_bus(root), driver)


def _driver(file: Path) -> tuple[int, ...] | None:
    found = re.search(r"^NVRM version:.*?\s(\d+(?:\.\d+)+)\s", _text(file), re.MULTILINE)
    return tuple(map(int, found[1].split("."))) if found else None


def _name(file: Path) -> str:
    found = re.search(r"^Model:\s*(.+)$", _text(file), re.MULTILINE)
    return found[1].strip() if found else ""


def _on_the_bus(root: Path) -> tuple[str, ...]:
    """A card without a driver has no name."""
    devices = sorted(root.glob("sys/bus/pci/devices/*"))
    there = [each for each in devices if _text(each / "vendor").strip() == NVIDIA]
    return tuple("" for each in there if _text(each / "class").startswith(DISPLAY))


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def torch_cuda(folder: Path | None = None) -> tuple[int, int] | None:
    """The CUDA that the installed PyTorch was built for; None for a build without."""
    if folder is None:
        spec = importlib.util.find_spec("torch")
        folder = Path(spec.origin).parent if spec and spec.origin else Path()
    found = re.search(r"^cuda\b.*=\s*['\"](\d+)\.(\d+)", _text(folder / "version.py"), re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else None


def unusable(here: Machine, cuda: tuple[int, int] | None) -> Reason | None:
    """Why PyTorch can use no card of this machine; None where nothing is against it, or there is no card."""
    if not here.cards:
        return None
    if here.driver is None:
        return "no_driver"
    if cuda is None:
        return "cpu_build"
    return "old_driver" if here.driver[:2] < OLDEST_DRIVERS.get(cuda[0], (0, 0)) else None


def versions(here: Machine, cuda: tuple[int, int] | None) -> str:
    """Both sides in a few words."""
    driver = ".".join(map(str, here.driver or ())) or "none"
    return f"driver {driver}, CUDA {cuda[0]}.{cuda[1]}" if cuda else f"driver {driver}, CUDA none"


def unbuildable(headers: Path | None = None) -> Reason | None:
    """Why Triton can build nothing here; None where nothing is against it."""
    if importlib.util.find_spec("triton") is None:
        return "no_triton"
    if sys.platform != "linux":
        return None
    if not (shutil.which("gcc") or shutil.which("clang")):
        return "no_compiler"
    return None if ((headers or _headers()) / "Python.h").is_file() else "no_headers"


def _headers() -> Path:
    """Where Triton looks for them."""
    scheme = sysconfig.get_default_scheme()
    return Path(sysconfig.get_paths("posix_prefix" if scheme == "posix_local" else scheme)["include"])
