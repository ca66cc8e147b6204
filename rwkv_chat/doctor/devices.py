"""What can compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.doctor.finding import Finding
from rwkv_chat.explain import size
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rwkv_chat.paths import Paths


def check(_: Paths, __: Path | None) -> Iterator[Finding]:
    from engine.devices import compute_threads, physical_cores

    threads = compute_threads()
    yield Finding.of("cpu", say("doctor.value.cpu", cores=physical_cores(), threads=threads))
    yield from _gpus()


def _gpus() -> Iterator[Finding]:
    import torch

    if not torch.cuda.is_available():
        yield Finding.of("gpu", say("doctor.value.none"))
        return
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        yield Finding(f"cuda:{index}", say("doctor.value.gpu", name=name, free=size(free), total=size(total)))
