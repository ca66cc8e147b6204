"""How tokens are drawn, and where a reply ends."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from engine.errors import InvalidParameter

if TYPE_CHECKING:
    from engine.types.basics import TokenIds


def _param(default: Any, low: float, high: float, step: float) -> Any:
    return field(default=default, metadata={"min": low, "max": high, "step": step})


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How the next token is chosen (the official package's semantics, plus min-p and bans).

    Each numeric field carries min, max and step in its metadata; its label and help stand in the app's text
    catalogue under `sampling.<name>`. Panel rows, CLI options and validation are made from both.

    Attributes:
        temperature: 0 means greedy.
        max_tokens: the longest reply, in tokens.
        seed: None draws a fresh one, reported in `Usage.seed`; the same seed gives the same text.
        bans: token ids never sampled.  biases: (token id, added logit) pairs.

    Raises:
        InvalidParameter: a value is out of its range or not a number.
    """

    temperature: float = _param(1.0, 0.0, 5.0, 0.05)
    top_p: float = _param(0.5, 0.0, 1.0, 0.05)
    top_k: int = _param(0, 0, 65536, 1)
    min_p: float = _param(0.0, 0.0, 1.0, 0.01)
    presence_penalty: float = _param(0.0, -5.0, 5.0, 0.1)
    frequency_penalty: float = _param(0.0, -5.0, 5.0, 0.1)
    penalty_decay: float = _param(0.996, 0.0, 1.0, 0.001)
    max_tokens: int = _param(1024, 1, 1_000_000, 64)
    seed: int | None = _param(None, 0, 2**63 - 1, 1)
    bans: TokenIds = ()
    biases: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not each.metadata or value is None:
                continue
            low, high = each.metadata["min"], each.metadata["max"]
            wrong_type = isinstance(value, bool) or not isinstance(value, int | float)
            if not wrong_type and isinstance(each.default, int) and not isinstance(value, int):
                wrong_type = True
            if wrong_type or not low <= value <= high:
                raise InvalidParameter(each.name, repr(value), low, high)


@dataclass(frozen=True, slots=True)
class StopRule:
    """What ends a reply; neither the ids nor the texts belong to it."""

    ids: TokenIds = (0,)
    texts: tuple[str, ...] = ()
