"""The library of states: personas that new conversations begin from, and what saved states take up."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.errors import StateMissing
from engine.prefix import extend
from engine.types import Held, Inspected, StoreUse, Thinned
from rwkv_chat.library import adapters, initials, ladders, nodes, state_use, states, threads
from rwkv_chat.library.states import MadeState, Said, StoredPersona
from rwkv_chat.session import jobs
from rwkv_chat.session.capsules import Capsules
from rwkv_chat.session.errors import (
    NotForSpeaking,
    NothingToConfirm,
    NothingToSave,
    PersonaOfOtherModel,
)
from rwkv_chat.session.housekeeping import tell_ladders
from rwkv_chat.session.made_states import check_adapter, encode, fitting, key_of, made, voiced
from rwkv_chat.session.personas import Personas
from rwkv_chat.session.sharing import Sharing
from rwkv_chat.session.state_types import Changes, Confirmed, Persona, Shared, StatesUse
from rwkv_chat.session.titles import title_from

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from engine.types import Prefilled, StateProfile, TokenIds
    from rwkv_chat.session.answering import Desk
    from rwkv_chat.transcript import Node, Thread


class States:
    """All of them raise LibraryError; what needs a model EngineError, SessionError, TemplateInvalid too."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._library, self._engine = desk, desk.library, desk.engine
        self._personas, self._sharing = Personas(desk), Sharing(desk)
        self.capsules = Capsules(desk, self._sharing)

    # ------------------------------------------------------------------ personas

    async def list(self) -> tuple[Persona, ...]:
        """All personas, by name."""
        return await self._personas.list()

    async def get(self, persona_id: str) -> Persona:
        """Raises: PersonaMissing."""
        return await self._personas.get(persona_id)

    async def find(self, name: str) -> Persona:
        """The persona that is meant: by its id or name, or the beginning of one that fits no other.

        Raises:
            PersonaUnknown, PersonaAmbiguous.
        """
        return await self._personas.find(name)

    async def save(
        self,
        thread_id: str,
        name: str,
        *,
        node: str | None = None,
        description: str = "",
        tags: Sequence[str] = (),
        sampling: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[Prefilled | Persona]:
        """Save the state after a message (the tip, if None) under a name: the progress of a reading where the
        model in use has no state there, and last the persona.

        Args:
            sampling: differences to the model's own sampling, by field of `SamplingParams`; None: those
                of the conversation.

        Raises:
            NothingToSave; StoreFull: states with a name fill the budget.
        """
        thread, path = await self._library.run(state_use.memory, thread_id, node)
        if not path:
            raise NothingToSave(thread_id)
        voice = await voiced(self._desk, thread.chosen_template, thread.mode)
        said = tuple(Said(each.message, each.mode, each.kind) for each in path)
        state = await self._coded(voice.manner.coding, path, await encode(voice, said))
        initial = await self._desk.initials.lasting(thread, voice.speaker)
        state = replace(state, initial=initial, adapter=await self._desk.adapters.of(thread, voice.speaker))
        async for event in made(self._desk, state):
            if not isinstance(event, MadeState):
                yield event
                continue
            persona = StoredPersona(
                id=threads.new_id(),
                name=title_from(name) or thread.title,
                description=description,
                tags=tuple(tags),
                said=said,
                template=thread.chosen_template,
                mode=thread.mode,
                sampling=sampling if sampling is not None else thread.sampling,
                origin=await self._library.run(state_use.tree, thread_id),
                states=(event,),
            )
            yield await self._personas.shown(await self._library.run(states.add, persona))

    async def made_from(self, thread_id: str) -> tuple[Persona, ...]:
        """Personas that were saved from a conversation, or from another one of its tree: to be offered where
        it is erased.
        """
        tree = await self._library.run(state_use.tree, thread_id)
        found = await self._library.run(states.made_from, tree)
        return tuple([await self._personas.shown(each) for each in found])

    async def begin(self, persona_id: str, title: str = "") -> Thread:
        """A new conversation that stands where the persona does.

        Raises:
            PersonaOfOtherModel: no state of it is of the model in use; `rebuild` makes one.
        """
        found = await self._library.run(states.get, persona_id)
        voice = await voiced(self._desk, found.template, found.mode)
        state = fitting(found, voice)
        if state is None:
            made_by = tuple(dict.fromkeys(each.model_name for each in found.states if each.model))
            raise PersonaOfOtherModel(found.name, made_by, voice.name)
        await check_adapter(self._desk, found.name, state, voice)
        if state.initial:
            await self._desk.initials.make_ready(state.initial, voice.speaker)
        name = title_from(title or found.name)
        return await self._library.run(states.begin, persona_id, state, name, state.initial)

    async def speak_with(self, thread_id: str, persona_id: str | None) -> Thread:
        """Choose what a conversation speaks with from its next reply on: the adapter or tuned state that a
        persona is, None for the model alone. What was said is read again once, in the new way; the states of
        the old way stay.

        Raises:
            NotForSpeaking: the persona is neither.  PersonaOfOtherModel: its adapter is of another model.
        """
        if persona_id is None:
            return await self._library.run(adapters.speak_with, thread_id, "", "")
        found = await self._library.run(states.get, persona_id)
        if found.kind not in ("tuned", "adapter") or not found.states:
            raise NotForSpeaking(found.name)
        state, voice = found.states[0], await voiced(self._desk, found.template, found.mode)
        await check_adapter(self._desk, found.name, state, voice)
        if state.initial:
            await self._desk.initials.make_ready(state.initial, voice.speaker)
        return await self._library.run(adapters.speak_with, thread_id, state.adapter, state.initial)

    async def rebuild(self, persona_id: str) -> AsyncIterator[Prefilled | Persona]:
        """Have the model in use read what a persona was made of: progress, and last the persona with a state
        of this model. The states of others stay.

        Raises:
            NothingToSave: nothing is known of what it has read.
        """
        found = await self._library.run(states.get, persona_id)
        if not found.said:
            raise NothingToSave(persona_id)
        voice = await voiced(self._desk, found.template, found.mode)
        async for event in made(self._desk, await encode(voice, found.said)):
            if isinstance(event, MadeState):
                yield await self._personas.shown(await self._library.run(states.add_state, persona_id, event))
            else:
                yield event

    async def change(
        self,
        persona_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        tags: Sequence[str] | None = None,
        sampling: Mapping[str, Any] | None = None,
    ) -> Persona:
        """None leaves a value as it is."""
        name = title_from(name) if name else None
        changed = await self._library.run(states.change, persona_id, name, description, tags, sampling)
        return await self._personas.shown(changed)

    async def remove(self, persona_id: str, *, let_go: bool = False) -> None:
        """Take a persona off the library, and its states off the disk where nothing else needs them.
        Conversations that began from it stay.

        Args:
            let_go: conversations that speak with the adapter or tuned state that it is do so no more, and
                its file goes.
        """
        gone = await self._library.run(states.get, persona_id)
        if let_go and gone.kind in ("tuned", "adapter"):  # first: killed after it, it can be done again
            for each in gone.states:
                await self._library.run(adapters.let_go, each.adapter, each.initial)
        await self._library.run(states.remove, persona_id)
        keys = [key_of(each) for each in gone.states if each.model]
        needed = await self._library.run(state_use.needed, [each.prefix for each in keys])
        self._engine.release([each for each in keys if each.prefix in needed])
        self._engine.release([each for each in keys if each.prefix not in needed], forget=True)
        await self.drop_unneeded()

    async def drop_unneeded(self) -> None:
        """Delete the files of states from outside that nothing begins from any more."""
        await self._sharing.drop_unneeded()
        await self._desk.adapters.drop_unneeded()

    # ------------------------------------------------------------------ sharing

    async def export(self, persona_id: str, path: Path) -> Shared:
        """A persona as one safetensors file: its state, and what it is and has read. A tuned state is written
        in the form that the file's name tells (.pth, .st, .safetensors), an adapter as a new folder. Whoever
        has it may learn what it has read.

        Raises:
            StateMissing: its state is not on the disk, or came from outside.  FileInTheWay, OSError.
        """
        return await self._sharing.export(persona_id, path)

    async def import_(self, path: Path) -> Persona:
        """A persona from a file: one that `export` wrote, or a tuned state in any form of `TUNED_FORMATS`.
        Nothing here is overwritten, and what is here already is given as it is.

        A state with a text is kept apart from all that was read here until `confirm` finds that its text
        makes it.

        Raises:
            StateFileInvalid: it is neither.  TunedStateMismatch: of a model of another size.  OSError.
        """
        return await self._personas.shown(await self._sharing.take(path))

    async def confirm(self, persona_id: str) -> AsyncIterator[Prefilled | Confirmed]:
        """Have the model in use read what an imported persona is said to have read, and compare: progress,
        and last whether they agree. If so, it is trusted from now on.

        Raises:
            NothingToConfirm: it did not come from outside, or not for the model in use.
        """
        found = await self._library.run(states.get, persona_id)
        voice = await voiced(self._desk, found.template, found.mode)
        state = fitting(found, voice)
        initial = None if state is None else await self._library.run(initials.get, state.initial)
        if state is None or initial is None or initial.kind != "snapshot":
            raise NothingToConfirm(found.name)
        tokens = tuple(token for each in state.tokens for token in each)
        async for event in self._sharing.confirm(initial, tokens):
            if isinstance(event, Confirmed) and event.agrees:
                held = await jobs.outcome(self._engine.hold(event.key), Held)
                mine = replace(state, initial="", tier=event.key.tier, nbytes=held.nbytes)
                await self._library.run(states.add_state, persona_id, mine)
            yield event

    # ------------------------------------------------------------------ looking into states

    async def inspect(self, persona_id: str) -> StateProfile:
        """Norms of each layer and head of a persona's state, that of the model in use first.

        Raises:
            StateMissing: it is not on the disk; `rebuild` makes it.
        """
        return (await self._inspected(persona_id)).profiles[0]

    async def compare(self, persona_id: str, other_id: str) -> Changes:
        """What the states of two personas differ in. Raises: StateMissing."""
        found = await self._inspected(persona_id, other_id)
        one, other = found.profiles
        return Changes(one, other, found.changes)

    async def _inspected(self, *personas: str) -> Inspected:
        paths = []
        for each in personas:
            found = await self._library.run(states.get, each)
            here = [path for state in found.states if state.model for path in await self._files(state)]
            here = [path for path in here if await asyncio.to_thread(path.is_file)]
            if not here:
                raise StateMissing("")
            paths.append(here[0])
        return await jobs.outcome(self._engine.inspect(*paths), Inspected)

    async def _files(self, state: MadeState) -> tuple[Path, ...]:
        """Where a persona's state may lie: in the store, or among those from outside."""
        begun = await self._library.run(initials.get, state.initial)
        outside = begun.files[:1] if begun is not None and begun.kind == "snapshot" else ()
        return (self._engine.file(key_of(state)), *(self._desk.initials.folder / each for each in outside))

    # ------------------------------------------------------------------ the store

    async def usage(self) -> StatesUse:
        """What saved states take up, altogether and by conversation."""
        use = await jobs.outcome(self._engine.use(), StoreUse)
        saved = await asyncio.to_thread(self._engine.saved)
        chats, other = await self._library.run(state_use.chats, saved)
        sources = dict(use.sources)
        resumed = sum(sources.get(each, 0) for each in ("device", "ram", "disk"))
        return StatesUse(
            use.disk_bytes,
            use.disk_budget,
            use.held_bytes,
            use.ram_bytes,
            use.ram_budget,
            resumed,
            resumed + sources.get("rebuilt", 0),
            chats,
            other,
        )

    async def thin(self) -> Thinned:
        """Give up now what conversations can do without: of what lies further back than their last eight
        states only every 2nd, 4th and 8th stays. Whatever goes is read again when it is needed.
        """
        await tell_ladders(self._library, self._engine)
        return await jobs.outcome(self._engine.thin(), Thinned)

    async def hold(self, thread_id: str, *, on: bool) -> Thread:
        """Whether the state at a conversation's tip is never given up ("pin")."""
        thread = await self._library.run(states.hold, thread_id, on=on)
        self._engine.tell(await self._library.run(ladders.of_thread, thread_id))
        return thread

    # ------------------------------------------------------------------ inside

    async def _coded(self, coding: str, path: tuple[Node, ...], state: MadeState) -> MadeState:
        """With the tokens that the messages were fed as, where they were."""
        tip = path[-1].id
        fed = await self._library.run(nodes.memory, tip, coding)
        tokens = tuple(each.node.tokens for each in fed)
        if any(each is None for each in tokens) or fed[-1].tail:
            return state
        return _with_tokens(state, tuple(each or () for each in tokens))


def _with_tokens(state: MadeState, tokens: tuple[TokenIds, ...]) -> MadeState:
    whole = tuple(token for each in tokens for token in each)
    return replace(state, tokens=tokens, prefix=extend(whole))
