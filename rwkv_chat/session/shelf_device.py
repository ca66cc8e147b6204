"""On which device a model would run here, asked without loading torch where there is no GPU anyway."""

from __future__ import annotations

import sys
from pathlib import Path

DRIVER = Path("/proc/driver/nvidia/version")


def device_of(setting: str) -> str:
    """The setting, "auto" resolved: "cuda" where PyTorch can use one, else "cpu". May import torch."""
    if setting != "auto":
        return setting
    if sys.platform == "linux" and not DRIVER.exists():
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
