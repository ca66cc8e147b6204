"""Conversations as things that one finds, takes out, brings in and throws away."""

from __future__ import annotations

import asyncio
from operator import attrgetter
from typing import TYPE_CHECKING

from rwkv_chat.exporters import EXPORTERS
from rwkv_chat.exporters.file import write_file
from rwkv_chat.library import backup, erase, labels, restore, search, state_use, threads, trees
from rwkv_chat.session import logs
from rwkv_chat.session.capsule_files import is_capsule
from rwkv_chat.session.errors import ConversationAmbiguous, ConversationUnknown, TuneRuns
from rwkv_chat.session.housekeeping import settle_index
from rwkv_chat.session.naming import named

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
    from pathlib import Path

    from rwkv_chat.importers.arrange import Cast
    from rwkv_chat.importers.forms import Report
    from rwkv_chat.importers.logs import Progress
    from rwkv_chat.library.database import Library
    from rwkv_chat.library.search import Hits, Wanted
    from rwkv_chat.paths import Paths
    from rwkv_chat.session.border import EngineLike
    from rwkv_chat.session.chats import Chats
    from rwkv_chat.session.state_types import Persona
    from rwkv_chat.session.states import States
    from rwkv_chat.session.tune_runs import Runs
    from rwkv_chat.session.tune_types import Tune
    from rwkv_chat.transcript import Thread, Tree


class Convs:
    """All of them raise LibraryError."""

    def __init__(
        self, library: Library, chats: Chats, engine: EngineLike, paths: Paths, states: States, runs: Runs
    ) -> None:
        self._library, self._chats, self._engine, self._paths = library, chats, engine, paths
        self._states, self._runs = states, runs

    async def listed(
        self, limit: int = -1, *, deleted: bool = False, tag: str = "", archived: bool | None = None
    ) -> tuple[Thread, ...]:
        """The first `limit` conversations (-1: all), pinned ones first, then the newest; or those in the
        trash, last deleted first.

        Args:
            tag: those with this tag.  archived: those in the archive (True), or out of it (False).
        """
        if deleted:
            found = await self._library.run(threads.deleted)
            return found if limit < 0 else found[:limit]
        return await self._library.run(labels.listed, limit, tag=tag, archived=archived)

    async def tags(self) -> tuple[tuple[str, int], ...]:
        """Every tag, with how many conversations have it; the most used first."""
        return await self._library.run(labels.tags)

    async def tags_of(self, chosen: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The tags of some conversations, by id."""
        return await self._library.run(labels.tags_of, tuple(chosen))

    async def tag(self, chosen: Sequence[str], add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        """Put tags on conversations and take others off; all or nothing. Raises: ThreadMissing."""
        await self._library.run(labels.tag, chosen, add, remove)

    async def pin(self, thread_id: str, *, on: bool = True) -> Thread:
        """Above all others in the list, or not any more. Raises: ThreadMissing."""
        return await self._library.run(labels.pin, thread_id, on=on)

    async def archive(self, thread_id: str, *, on: bool = True) -> Thread:
        """Out of the list, but kept for good; or back into it. Raises: ThreadMissing."""
        return await self._library.run(labels.archive, thread_id, on=on)

    async def find(self, name: str, *, deleted: bool = False) -> Thread:
        """The conversation that is meant: by its id or title, or the beginning of one that fits no other.

        Raises:
            ConversationUnknown, ConversationAmbiguous.
        """
        among = await self.listed(deleted=deleted)
        told = attrgetter("id", "title")
        return named(name, among, told, ConversationUnknown, ConversationAmbiguous)

    async def search(self, wanted: Wanted) -> Hits:
        return await self._library.run(search.find, wanted)

    async def tree(self, thread_id: str) -> Tree:
        """A conversation with all its branches. Raises: ThreadMissing."""
        return await self._library.run(trees.tree, thread_id)

    def pieces(self, chosen: Iterable[str], form: str) -> Iterator[str]:
        """An export of conversations, in the order of their ids; `form` is a key of `EXPORTERS`.

        To be asked for outside of the event loop, which reads one conversation after the other for it.
        """
        loop = asyncio.get_running_loop()
        trees = (asyncio.run_coroutine_threadsafe(self.tree(each), loop).result() for each in chosen)
        return EXPORTERS[form].write(trees)

    async def export(self, chosen: Sequence[str], form: str, out: Path) -> None:
        """Write conversations into a file, whole or not at all. Raises: ThreadMissing, OSError."""
        await asyncio.to_thread(write_file, self.pieces(chosen, form), out)

    async def take_in(
        self, path: Path, form: str = "", cast: Cast | None = None
    ) -> AsyncIterator[logs.Imported | Progress | Report]:
        """Bring in an export of ours, a capsule, or a chat log of another program; see `session.logs.take_in`
        and `Capsules.import_`.
        """
        if not form and await asyncio.to_thread(is_capsule, path):
            taken = await self._states.capsules.import_(path)
            yield logs.Imported(taken.thread, taken.new)
            return
        async for event in logs.take_in(self._library, path, form, cast):
            yield event

    async def import_(
        self, path: Path, form: str = "", cast: Cast | None = None
    ) -> tuple[logs.Imported, ...]:
        """The same, to its end. Raises: ConversationsInvalid, CapsuleInvalid, SpeakersUnknown, OSError."""
        return tuple(
            [each async for each in self.take_in(path, form, cast) if isinstance(each, logs.Imported)]
        )

    async def made_from(self, thread_id: str) -> tuple[Persona, ...]:
        """Personas that hold what a conversation said; see `States.made_from`. Raises: ThreadMissing."""
        return await self._states.made_from(thread_id)

    async def tuned_on(self, thread_id: str) -> tuple[Tune, ...]:
        """Runs of tuning that have read a conversation: their files hold its words, so they go with it.
        Raises: ThreadMissing.
        """
        tree = await self._library.run(state_use.tree, thread_id)
        return await asyncio.to_thread(self._runs.made_from, (tree,))

    async def erase(self, thread_id: str, *, with_states: bool = False) -> None:
        """Erase a conversation now, for good: messages, index, log, copies, saved states, and runs of tuning
        that read it. It goes from the copies first: whatever fails or is killed on the way, it is in the
        trash, and may be erased again.

        Args:
            with_states: the personas that were made from it, too; what was trained on it, nobody speaks with
                any more.

        Raises:
            ThreadMissing, OSError; TuneRuns: a run that reads it is going on.
        """
        tuned = await self.tuned_on(thread_id)
        if (going := next((each for each in tuned if each.running), None)) is not None:
            raise TuneRuns(going.name)
        made = [each.id for each in await self.made_from(thread_id)] if with_states else []
        await self._chats.delete(thread_id)  # stops a reply that is being written
        copies = self._paths.backups, thread_id, made
        done = await asyncio.to_thread(backup.erase_everywhere, *copies)
        for each in tuned:
            await asyncio.to_thread(self._runs.remove, each.id)
        for each in made:
            await self._states.remove(each, let_go=True)
        self._engine.forget(await self._library.run(erase.erase, thread_id), passing=True)
        await self._states.drop_unneeded()
        await settle_index(self._library)
        await self._library.run(erase.sweep)
        await asyncio.to_thread(backup.erase_everywhere, *copies, done)  # made meanwhile

    def asides(self) -> tuple[Path, ...]:
        """Damaged libraries that a restore put aside: what was erased may still stand in them."""
        return restore.asides(self._paths.database)
