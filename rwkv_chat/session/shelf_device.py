"""On which device a model would run here, told without loading torch."""

from __future__ import annotations

from engine import nvidia, nvidia_driver


def device_of(setting: str) -> str:
    """The setting, "auto" resolved: "cuda" where PyTorch can use a card, else "cpu". Asks the driver."""
    if setting != "auto":
        return setting
    return "cuda" if _usable() else "cpu"


def _usable() -> bool:
    cuda = nvidia.torch_cuda()
    if cuda is None or nvidia.unusable(nvidia.machine(), cuda):
        return False
    return bool(nvidia_driver.cards())
