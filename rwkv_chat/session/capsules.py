"""Conversations given away with their memory, and taken in."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.prefix import extend
from engine.types import FeedRequest, StateKey
from rwkv_chat.library import capsules, initials, threads
from rwkv_chat.library.initials import Initial
from rwkv_chat.session import capsule_files, jobs
from rwkv_chat.session.capsule_files import MOST_STATES, Capsule, Opened
from rwkv_chat.session.errors import NothingToConfirm, NothingToSave
from rwkv_chat.session.manner import manner_of
from rwkv_chat.session.reading import coded_memory
from rwkv_chat.session.sharing import new_file, put_beside
from rwkv_chat.session.state_types import Confirmed, Shared
from rwkv_chat.session.titles import title_from
from rwkv_chat.transcript import Tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from engine.types import Prefilled
    from rwkv_chat.session.answering import Desk
    from rwkv_chat.session.chain import Chain
    from rwkv_chat.session.sharing import Sharing
    from rwkv_chat.session.speaker import Speaker
    from rwkv_chat.transcript import Node, Thread


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A conversation from a capsule.

    Attributes:
        new: False where the same conversation was here already; nothing was changed then.
        states: how many states came with it; they are kept apart until they are confirmed.
        model_name: which model they are of.
    """

    thread: Thread
    new: bool
    states: int
    model_name: str


class Capsules:
    """All of it raises LibraryError; what needs a model EngineError, SessionError, TemplateInvalid too."""

    def __init__(self, desk: Desk, sharing: Sharing) -> None:
        self._desk, self._library, self._engine = desk, desk.library, desk.engine
        self._sharing, self._folder = sharing, desk.initials.folder

    async def export(
        self, thread_id: str, path: Path, *, node: str | None = None
    ) -> AsyncIterator[Prefilled | Shared]:
        """The branch up to a message (to where the conversation stands, if None), with the state there and
        those at pinned and bookmarked messages: the progress of a reading where the model in use has no state
        there, and last the file.

        Raises:
            NothingToSave, FileInTheWay, OSError.
        """
        thread, nodes = await self._library.run(capsules.branch, thread_id, node)
        if not nodes:
            raise NothingToSave(thread_id)
        speaker = await self._desk.models.identified()
        coded = await coded_memory(self._desk, thread, nodes[-1].id, speaker)
        request = FeedRequest(coded.tokens, initial=coded.initial, background=False)
        # a capsule's states are the model's own: where it is unpacked, the adapter is not there
        async for event in jobs.read(await self._desk.adapters.submit(request)):
            if isinstance(event, StateKey):
                places = await asyncio.to_thread(self._places, coded, event, nodes)
                capsule = await self._capsule(thread, nodes, coded, speaker, tuple(places))
                yield await asyncio.to_thread(_written, path, capsule, tuple(places.values()))
            else:
                yield event

    def _places(self, coded: Chain, key: StateKey, nodes: Sequence[Node]) -> dict[int, Path]:
        """Messages known → the file of the state there; the last first."""
        count = len(coded.places)
        marked = [
            at + 1
            for at, each in enumerate(nodes[-count:])
            if (each.pinned or each.bookmark is not None) and at + 1 < count
        ]
        keys = {at: replace(key, prefix=coded.places[at - 1].prefix) for at in (count, *reversed(marked))}
        files = {at: self._engine.file(each) for at, each in keys.items()}
        return dict([(at, file) for at, file in files.items() if file.is_file()][:MOST_STATES])

    async def _capsule(
        self, thread: Thread, nodes: Sequence[Node], coded: Chain, speaker: Speaker, known: tuple[int, ...]
    ) -> Capsule:
        manner = await asyncio.to_thread(manner_of, thread, speaker, self._desk.usual_mode())
        ends = [0, *(each.end for each in coded.places)]
        return Capsule(
            tree=Tree(replace(thread, tip=nodes[-1].id), tuple(nodes)),
            model=speaker.info.id,
            model_name=self._desk.models.current.name,
            tier=speaker.info.tier,
            coding=manner.coding,
            sampling=thread.sampling,
            tokens=tuple(coded.tokens[a:b] for a, b in itertools.pairwise(ends)),
            known=known,
        )

    async def import_(self, path: Path) -> Unpacked:
        """A conversation from a capsule; nothing here is overwritten. With the same weights it opens at once,
        on states that are kept apart until `confirm` finds that its text makes them; else it is read.

        Raises:
            CapsuleInvalid, OSError.
        """
        opened = await asyncio.to_thread(self._opened, path)
        capsule = opened.capsule
        for place, data in enumerate(opened.files):
            target = self._folder / _name(opened.id, place)
            if not await asyncio.to_thread(target.exists):
                await asyncio.to_thread(put_beside, target, lambda data=data: data)
        tree = capsule.tree
        tree = replace(tree, thread=replace(tree.thread, title=title_from(tree.thread.title)))
        made, new = await self._library.run(
            capsules.take_in, tree, capsule.coding, capsule.tokens, capsule.sampling, _initial(opened)
        )
        if not new:
            await self._sharing.drop_unneeded()
        return Unpacked(made, new, len(opened.files), capsule.model_name)

    def _opened(self, path: Path) -> Opened:
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".capsule.") as folder:
            return capsule_files.read(path, Path(folder) / "state.safetensors")

    async def unverified(self, chosen: Iterable[str]) -> frozenset[str]:
        """Those of some conversations whose memory came with a file and was not confirmed."""
        return await self._library.run(capsules.unverified, tuple(chosen))

    async def confirm(self, thread_id: str) -> AsyncIterator[Prefilled | Confirmed]:
        """Have the model in use read what the states of a conversation from a capsule are said to have read,
        and compare: progress, and last whether they agree. If so, they are not needed any more.

        Raises:
            NothingToConfirm: it has none, or of another model.
        """
        thread = await self._library.run(threads.get, thread_id)
        initial = await self._library.run(initials.get, thread.initial)
        speaker = await self._desk.models.identified()
        if initial is None or initial.kind != "snapshot" or initial.model != speaker.info.id:
            raise NothingToConfirm(thread.title)
        coded = await coded_memory(self._desk, thread, thread.tip, speaker)
        async for event in self._sharing.confirm(initial, coded.tokens):
            yield event


def _written(path: Path, capsule: Capsule, files: tuple[Path, ...]) -> Shared:
    new_file(path, lambda file: capsule_files.write(file, capsule, files))
    return Shared(str(path), path.stat().st_size, len(capsule.tree.nodes), len(files))


def _name(id_: str, place: int) -> str:
    return f"{id_}-{place}.safetensors"


def _initial(opened: Opened) -> Initial | None:
    capsule = opened.capsule
    if not opened.files:
        return None
    chain = capsule.chain(capsule.known[0])
    names = tuple(_name(opened.id, place) for place in range(len(opened.files)))
    title = capsule.tree.thread.title
    return Initial(
        opened.id, "snapshot", names, title, capsule.model, capsule.tier, extend(chain), len(chain)
    )
