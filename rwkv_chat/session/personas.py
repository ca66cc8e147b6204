"""Personas as they are shown: what each is, what it has read, where its states lie."""

from __future__ import annotations

import asyncio
from operator import attrgetter
from typing import TYPE_CHECKING

from rwkv_chat.library import initials, states
from rwkv_chat.session.errors import PersonaAmbiguous, PersonaUnknown
from rwkv_chat.session.made_states import key_of
from rwkv_chat.session.naming import named
from rwkv_chat.session.state_types import Persona, PersonaState, kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rwkv_chat.library.initials import Initial
    from rwkv_chat.library.states import MadeState, StoredPersona
    from rwkv_chat.session.answering import Desk

EXCERPT = 400  # letters of what a persona has read


class Personas:
    """All of them raise LibraryError."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._library, self._engine = desk, desk.library, desk.engine

    async def list(self) -> tuple[Persona, ...]:
        """All personas, by name."""
        found = await self._library.run(states.listed)
        return tuple([await self.shown(each) for each in found])

    async def get(self, persona_id: str) -> Persona:
        """Raises: PersonaMissing."""
        return await self.shown(await self._library.run(states.get, persona_id))

    async def find(self, name: str) -> Persona:
        """The persona that is meant, see `named`. Raises: PersonaUnknown, PersonaAmbiguous."""
        told = attrgetter("id", "name")
        return named(name, await self.list(), told, PersonaUnknown, PersonaAmbiguous)

    async def shown(self, stored: StoredPersona) -> Persona:
        """With what is known of the states that came from outside, and where each lies."""
        ids = {each.initial for each in stored.states if each.initial}
        found = [await self._library.run(initials.get, each) for each in ids]
        outside = {each.id: each for each in found if each is not None and each.kind == "snapshot"}
        return await asyncio.to_thread(self._persona, stored, outside)

    def _persona(self, stored: StoredPersona, outside: Mapping[str, Initial]) -> Persona:
        text = "\n\n".join(each.message.text for each in stored.said)
        return Persona(
            id=stored.id,
            name=stored.name,
            kind=kind_of(stored.kind),
            description=stored.description,
            tags=stored.tags,
            text=text[:EXCERPT],
            messages=len(stored.said),
            template=stored.template,
            mode=stored.mode,
            sampling=stored.sampling,
            states=tuple(
                self._state(each, outside.get(each.initial)) for each in stored.states if each.model
            ),
            created=stored.created,
            used=stored.used,
        )

    def _state(self, state: MadeState, outside: Initial | None) -> PersonaState:
        path = self._engine.file(key_of(state))
        if outside is not None and outside.prefix == state.prefix:
            path = self._desk.initials.folder / outside.files[0]
        return PersonaState(
            model=state.model,
            model_name=state.model_name,
            tier=state.tier,
            coding=state.coding,
            prefix=state.prefix,
            tokens=sum(map(len, state.tokens)),
            nbytes=path.stat().st_size if path.is_file() else 0,
            trusted=outside is None,
            difference=None if outside is None else outside.difference,
        )
