"""What a person chose for one conversation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Choices:
    """A person's choices for one conversation; "" leaves one to the model.

    Attributes:
        own: how its sampling differs (see `Thread.sampling`).
        voice: what it speaks with (`Voice.id`), "" for the model alone; only where that is asked.
    """

    template: str = ""
    mode: str = ""
    keep_reasoning: bool = False
    own: Mapping[str, Any] = field(default_factory=dict)
    voice: str = ""
