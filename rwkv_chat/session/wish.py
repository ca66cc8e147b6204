"""What is wanted of one turn."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.types import SamplingParams, TokenIds

    # a think mode, a conversation's own differences → how to sample
    Sampled = Callable[[str, Mapping[str, Any]], SamplingParams]

MOST_ALTERNATIVES = 8


@dataclass(frozen=True, slots=True)
class AsItWas:
    """How a reply was sampled that a crash cut.

    Attributes:
        params: the seed is the reply's own.
        usual: what the settings and the conversation's own choices came to then; None where it is not known.
        counted: how many tokens of the limit it has used up.
    """

    params: SamplingParams
    usual: SamplingParams | None
    counted: int

    def changed(self, chosen: SamplingParams) -> tuple[str, ...]:
        """What a person has changed since, by what is chosen now; never the seed, which is the reply's."""
        usual = self.usual
        names = () if usual is None else (each.name for each in fields(usual) if each.name != "seed")
        return tuple(name for name in names if getattr(chosen, name) != getattr(usual, name))

    def now(self, chosen: SamplingParams) -> SamplingParams:
        """As it was, but for what was changed since; what it has is taken from the limit."""
        params = replace(self.params, **{name: getattr(chosen, name) for name in self.changed(chosen)})
        return replace(params, max_tokens=max(1, params.max_tokens - self.counted))


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
        lead: tokens that it begins with, of a reply in the think mode `mode`.  drawn: they are those of a
            reply whose thoughts are not remembered, as they were drawn.
        repeating: it may say the same again and again.
        was: how the cut reply was sampled, which goes on so.
    """

    again: bool = False
    begin: str = ""
    goes_on: bool = False
    number: int = 1
    aside: bool = False
    lead: TokenIds = ()
    mode: str = ""
    drawn: bool = False
    repeating: bool = False
    was: AsItWas | None = None


ANSWER = Wish()
