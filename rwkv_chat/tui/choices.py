"""What a person chose for one conversation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Choices:
    """A person's choices for one conversation; "" leaves one to the model."""

    template: str = ""
    mode: str = ""
    keep_reasoning: bool = False
