"""`rwkv-chat models info` of what belongs to a model: tuned states and adapters."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rwkv_chat.cli.models_shared import print_json
from rwkv_chat.cli.output import result
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from pathlib import Path

    from engine.weights.kinds import Part


def part_at(path: Path) -> Part | None:
    """What lies there, if it is no model; files that cannot be opened are told of as models are."""
    from engine.errors import EngineError
    from engine.weights.kinds import kind_of, part_of

    try:
        kind_of(path)
    except EngineError:
        return None
    return part_of(path)


def show_part(path: Path, part: Part, *, as_json: bool) -> None:
    if as_json:
        print_json({"path": str(path), **asdict(part)})
        return
    if part.kind == "tuned-state":
        layers, heads, size, *_ = (*part.shape, 0, 0)
        result(say("models.part.tuned-state", form=part.form, layers=layers, heads=heads, size=size))
        return
    alpha = "" if part.alpha is None else say("models.part.alpha", alpha=part.alpha)
    weights, rank = part.shape
    result(say("models.part.adapter", form=part.form, weights=weights, rank=rank, alpha=alpha))
