"""What is wanted of one turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.types import SamplingParams, TokenIds

    # a think mode, a conversation's own differences → how to sample
    Sampled = Callable[[str, Mapping[str, Any]], SamplingParams]

MOST_ALTERNATIVES = 8


@dataclass(frozen=True, slots=True)
class Wish:
    """A reply, and which.

    Attributes:
        again: another one to a message that has one: the state after the message is taken up as it was,
            nothing of the old reply is in it.
        begin: text that it begins with, "" for none.
        goes_on: the last message is a cut reply that goes on.
        number: how many, decoded at once from one state.
        aside: answered, and neither kept nor remembered.
        lead: tokens that it begins with, of a reply in the think mode `mode`.
        repeating: it may say the same again and again.
    """

    again: bool = False
    begin: str = ""
    goes_on: bool = False
    number: int = 1
    aside: bool = False
    lead: TokenIds = ()
    mode: str = ""
    repeating: bool = False


ANSWER = Wish()
