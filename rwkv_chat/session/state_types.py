"""What the library of states is made of, for front ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from rwkv_chat.library.state_use import ChatUse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.types import StateKey, StateProfile

__all__ = [
    "Changes",
    "ChatUse",
    "Confirmed",
    "Persona",
    "PersonaKind",
    "PersonaState",
    "Shared",
    "StatesUse",
]

PersonaKind = Literal["lived", "tuned", "imported", "adapter"]


def kind_of(stored: str) -> PersonaKind:
    """As it is stored; "lived" where it means nothing."""
    return cast("PersonaKind", stored) if stored in get_args(PersonaKind) else "lived"


@dataclass(frozen=True, slots=True)
class PersonaState:
    """What one model made of a persona.

    Attributes:
        model: SHA-256 of the weights.  model_name: for people.
        tokens: length of its chain.  nbytes: of the state file, 0 where it has to be read again.
        trusted: it was read here; a state that came from outside may hold what its text does not show.
        difference: the largest relative difference found between it and a reading of the text here, None
            where nobody has looked.
    """

    model: str
    model_name: str
    tier: str
    coding: str
    prefix: str
    tokens: int
    nbytes: int
    trusted: bool = True
    difference: float | None = None


@dataclass(frozen=True, slots=True)
class Persona:
    """A state with a name, that new conversations begin from.

    Attributes:
        kind: "lived": saved from a conversation; "tuned": an initial state from training; "imported": a state
            file from elsewhere, with the text that it is said to have read; "adapter": changes to a model's
            weights, from training.
        text: the beginning of what it has read.  messages: how many there are.
        template, mode: how it is spoken ("" for the model's own and the usual one).
        sampling: differences to the model's own sampling, by field of `SamplingParams`.
        states: what models have made of it; () of tuned ones, which fit every model of their size, and of
            adapters, which are of one model.
    """

    id: str
    name: str
    kind: PersonaKind
    description: str
    tags: tuple[str, ...]
    text: str
    messages: int
    template: str
    mode: str
    sampling: Mapping[str, Any]
    states: tuple[PersonaState, ...]
    created: float
    used: float | None

    def state_for(self, model: str) -> PersonaState | None:
        """What the model of this id made of it."""
        return next((each for each in self.states if each.model == model), None)


@dataclass(frozen=True, slots=True)
class Changes:
    """What two states differ in.

    Attributes:
        heads: ‖b − a‖ / ‖a‖ of each head, [L][H]; () where they are of different layouts.
    """

    one: StateProfile
    other: StateProfile
    heads: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class StatesUse:
    """What saved states take up, and how often they were of use.

    Attributes:
        disk_bytes, disk_budget: everything on the disk.  held_bytes: of that, states with a name.
        ram_bytes, ram_budget: kept in memory beside it.
        resumed, asked: of `asked` requests in this run that went on from something, so many found its state.
        chats: most bytes first.  other: bytes of states on no message (on the way to one, or its message is
            gone).
    """

    disk_bytes: int
    disk_budget: int
    held_bytes: int
    ram_bytes: int
    ram_budget: int
    resumed: int
    asked: int
    chats: tuple[ChatUse, ...]
    other: int

    @property
    def hit_rate(self) -> float | None:
        """The share of requests whose state was there; None before the first."""
        return self.resumed / self.asked if self.asked else None


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A state from outside was compared with a reading of its text here.

    Attributes:
        agrees: it is what its text makes; it is trusted from now on.
        difference: the largest relative difference of a tensor.
        key: of the state that was read here.
    """

    agrees: bool
    difference: float
    key: StateKey


@dataclass(frozen=True, slots=True)
class Shared:
    """A file that was written to be given away.

    Attributes:
        reveals: it holds a state, which may reveal what it has read.
    """

    path: str
    nbytes: int
    messages: int
    states: int
    reveals: bool = True
