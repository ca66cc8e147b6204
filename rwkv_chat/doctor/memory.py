"""Main memory: total, and what programs could still take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.memory import available_bytes, total_bytes
from rwkv_chat.doctor.finding import Finding
from rwkv_chat.explain import size
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rwkv_chat.paths import Paths

LITTLE = 1_000_000_000


def check(_: Paths, __: Path | None) -> Iterator[Finding]:
    total, free = total_bytes(), available_bytes()
    if total is None:
        yield Finding.of("memory", say("doctor.value.unknown"))
        return
    value = say("doctor.value.of", part=size(free), whole=size(total)) if free is not None else size(total)
    yield Finding.unless(free is None or free >= LITTLE, "memory", value, "little_memory")
