"""The names of tensors in files that belong to a model and are none: tuned states and adapters. No torch: an
interface asks in its own process what a file is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

# of tuned states, with the layer's number in place of LAYER
TIME_STATE = "blocks.LAYER.att.time_state"
RECURRENT = "layers.LAYER.recurrent_state"

ADAPTER_CONFIG = "adapter_config.json"

# of adapters: end of a name → which matrix it is; web-rwkv's first one is turned
ROLES = {
    ".lora_A": "A",
    ".lora_B": "B",
    ".init_lora_A": "A0",
    ".init_lora_B": "B0",
    ".lora.0": "A",
    ".lora.1": "B",
    ".miss_block": "E",
    ".bone_block": "E",
    ".disha": "E",
    ".bone": "E",
}


def layers_of(names: Collection[str], name: str) -> dict[int, str]:
    """Layer → its tensor's name, of those that are called `name`, whatever a trainer put before it."""
    pattern = re.compile(r"(?:.*\.)?" + re.escape(name).replace("LAYER", "([0-9]{1,4})"))
    found = ((pattern.fullmatch(each), each) for each in names)
    return {int(match[1]): each for match, each in found if match}


def is_tuned_state(names: Collection[str]) -> bool:
    """Whether a file with these names holds a tuned state and nothing else."""
    return bool(names) and any(len(layers_of(names, each)) == len(names) for each in (TIME_STATE, RECURRENT))


def split(name: str) -> tuple[str, str]:
    """A stored name → the module's and its ending in `ROLES`; the name itself and "" for other tensors."""
    plain = name.removesuffix(".weight").removesuffix(".default")
    ending = next((each for each in ROLES if plain.endswith(each)), "")
    return (plain.removesuffix(ending), ending) if ending else (name, "")


def is_adapter(names: Iterable[str]) -> bool:
    """Whether a file with these names holds an adapter; fla's models have a ".lora.0" of their own."""
    return any(split(name)[1] and "_lora.lora." not in name for name in names)
