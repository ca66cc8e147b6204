"""The table from an architecture's name to its class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.models.rwkv4 import Rwkv4
from engine.models.rwkv5 import Rwkv5
from engine.models.rwkv6 import Rwkv6
from engine.models.rwkv7 import Rwkv7

if TYPE_CHECKING:
    from engine.models.model import Model

ARCHITECTURES: dict[str, type[Model]] = {
    "rwkv4": Rwkv4,
    "rwkv5.0": Rwkv5,
    "rwkv5.1": Rwkv5,
    "rwkv5.2": Rwkv5,
    "rwkv6": Rwkv6,
    "rwkv7": Rwkv7,
}
