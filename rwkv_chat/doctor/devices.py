"""What can compute."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.types import NotFast
from rwkv_chat.doctor.finding import Finding
from rwkv_chat.explain import not_fast_sentence, size
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rwkv_chat.paths import Paths


def check(paths: Paths, _: Path | None) -> Iterator[Finding]:
    from engine.devices import compute_threads, physical_cores

    threads = compute_threads()
    yield Finding.of("cpu", say("doctor.value.cpu", cores=physical_cores(), threads=threads))
    yield from _gpus()
    yield from _kernels(paths)


def _gpus() -> Iterator[Finding]:
    if (told := _unusable()) is not None:
        yield _not_fast("gpu", told)
        return
    import torch

    if not torch.cuda.is_available():
        yield Finding.of("gpu", say("doctor.value.none"))
        return
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        yield Finding(f"cuda:{index}", say("doctor.value.gpu", name=name, free=size(free), total=size(total)))


def _unusable() -> NotFast | None:
    """A card of NVIDIA's that PyTorch cannot use, told without PyTorch."""
    from engine import nvidia

    here, cuda = nvidia.machine(), nvidia.torch_cuda()
    reason = nvidia.unusable(here, cuda)
    return NotFast(reason, here.cards[0], nvidia.versions(here, cuda)) if reason else None


def _kernels(paths: Paths) -> Iterator[Finding]:
    """Whether kernels can be built for the card here, and what their checks found."""
    from engine import nvidia
    from engine.verdicts import Verdicts

    here = nvidia.machine()
    if not here.cards or here.driver is None:
        return
    if reason := nvidia.unbuildable():
        yield _not_fast("kernels", NotFast(reason, here.cards[0]))
    for each in dict.fromkeys(Verdicts(paths.cache).all()):
        if each.reason:
            yield _not_fast("kernels", NotFast(each.reason, each.card, each.detail))
        else:
            yield Finding.of("kernels", say("doctor.value.kernels", card=each.card))


def _not_fast(name: str, told: NotFast) -> Finding:
    found = Finding.of(name, told.card or say("doctor.value.unknown"), "note")
    return replace(found, advice=not_fast_sentence(told))
