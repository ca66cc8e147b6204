"""What tests of conversations share: turns as token ids, requests, and what was saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetensors.torch import load as from_bytes

from engine.types import GenerateRequest, Prefilled, SamplingParams, StopRule
from tests.engine.small import NO_STOP

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from engine.types import TokenIds


USER = StopRule(ids=(0,), texts=("\n\nUser:",))
GREEDY = SamplingParams(temperature=0, max_tokens=20)


def spell(text: str) -> TokenIds:
    return tuple(byte + 1 for byte in text.encode())


def turn(n: int) -> TokenIds:
    """What the n-th user message feeds."""
    return ((0,) if n == 0 else spell("\n\n")) + spell(f"User: number\n\nAssistant {n}:")


def asking(
    prompt: TokenIds, history: TokenIds = (), params: SamplingParams = GREEDY, **more
) -> GenerateRequest:
    return GenerateRequest(prompt, history=history, params=params, **{"stop": NO_STOP, **more})


def saved_tensors(folder: Path, prefix: str) -> dict[str, torch.Tensor]:
    (path,) = (folder / "states").glob(f"{prefix[:32]}-*.safetensors")
    return from_bytes(path.read_bytes())  # not mapped: tests overwrite the file


def fed(events: list) -> int:
    """Tokens fed before the first draw; of a single one no progress is told."""
    return max((event.total for event in events if isinstance(event, Prefilled)), default=1)
