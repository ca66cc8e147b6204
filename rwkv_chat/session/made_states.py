"""What a model makes of messages: their tokens, and the state after them, read if it is not there."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.types import FeedRequest, Held, StateKey
from rwkv_chat.library import adapters
from rwkv_chat.library.nodes import StoredNode
from rwkv_chat.library.states import MadeState, Said
from rwkv_chat.session import chain, jobs
from rwkv_chat.session.errors import PersonaOfOtherModel
from rwkv_chat.session.manner import manner_of
from rwkv_chat.transcript import Node, unbegun

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from engine.types import Prefilled
    from rwkv_chat.library.states import StoredPersona
    from rwkv_chat.session.answering import Desk
    from rwkv_chat.session.manner import Manner
    from rwkv_chat.session.speaker import Speaker


@dataclass(frozen=True, slots=True)
class Voiced:
    """A model as a persona is spoken by it."""

    speaker: Speaker
    manner: Manner
    name: str


def key_of(state: MadeState) -> StateKey:
    """Of what a model made of a persona here."""
    return StateKey(state.model, state.tier, state.adapter, state.initial, state.prefix)


async def voiced(desk: Desk, template: str, mode: str) -> Voiced:
    """The model in use with a persona's choices. Raises: EngineError, SessionError, TemplateInvalid."""
    speaker = await desk.models.identified()
    manner = await asyncio.to_thread(manner_of, unbegun(template, mode), speaker, desk.usual_mode())
    return Voiced(speaker, manner, desk.models.current.name)


def fitting(persona: StoredPersona, voice: Voiced) -> MadeState | None:
    """What the model in use made of a persona; of several tiers the one in use first. A tuned state is of any
    model that can take it up.
    """
    if persona.kind in ("tuned", "adapter"):
        return persona.states[0] if persona.states else None
    info = voice.speaker.info
    found = [each for each in persona.states if each.model == info.id and each.coding == voice.manner.coding]
    return next((each for each in found if each.tier == info.tier), found[0] if found else None)


async def check_adapter(desk: Desk, name: str, state: MadeState, voice: Voiced) -> None:
    """That a persona's adapter is of the model in use. Raises: PersonaOfOtherModel, AdapterGone."""
    if state.adapter and not await desk.adapters.fitting(state.adapter, voice.speaker):
        found = await desk.library.run(adapters.find, state.adapter)
        raise PersonaOfOtherModel(name, (found.model_name,) if found else (), voice.name)


async def encode(voice: Voiced, said: Sequence[Said]) -> MadeState:
    """The tokens of messages and the key after them; no state yet."""
    path = tuple(_stored(place, each) for place, each in enumerate(said))
    manner, info = voice.manner, voice.speaker.info
    coded = await asyncio.to_thread(chain.code, path, manner.template, manner.tokenizer, info.spec.vocab_size)
    ends = [0, *(end for end, _ in coded.ends)]
    tokens = tuple(coded.tokens[begin:end] for begin, end in itertools.pairwise(ends))
    return MadeState(info.id, voice.name, info.tier, manner.coding, coded.prefix, tokens)


async def made(desk: Desk, state: MadeState) -> AsyncIterator[Prefilled | MadeState]:
    """Has a chain read where its state is not saved, and the state held; progress, and last what was made.

    Raises:
        EngineError.
    """
    tokens = tuple(token for each in state.tokens for token in each)
    request = FeedRequest(tokens, initial=state.initial, background=False)
    async for event in jobs.read(await desk.adapters.submit(request, state.adapter)):
        if isinstance(event, StateKey):
            held = await jobs.outcome(desk.engine.hold(event), Held)
            yield replace(state, tier=event.tier, adapter=event.adapter, nbytes=held.nbytes)
        else:
            yield event


def _stored(place: int, said: Said) -> StoredNode:
    return StoredNode(Node(str(place), None, said.message, mode=said.mode, kind=said.kind))
