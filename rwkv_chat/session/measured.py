"""How long what a model knows of a conversation is: walked a few messages at a time, since the tokens of a
long one, as Python numbers, take up more memory than all else in the program.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rwkv_chat.library import nodes, walks
from rwkv_chat.session import chain
from rwkv_chat.session.manner import manner_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from rwkv_chat.session.answering import Desk
    from rwkv_chat.session.chain import Chain
    from rwkv_chat.session.manner import Manner
    from rwkv_chat.session.speaker import Speaker
    from rwkv_chat.transcript import Thread

AT_ONCE = 128  # messages


@dataclass(frozen=True, slots=True)
class Measured:
    """A chain without its tokens.

    Attributes:
        nodes: ids of its messages.  ends: where each of them ends, and the key there.
        manner: what makes tokens of them.
        initial, adapter: as of `chain.Chain`.
    """

    nodes: tuple[str, ...]
    ends: tuple[tuple[int, str], ...]
    manner: Manner
    initial: str
    adapter: str

    @property
    def length(self) -> int:
        """Tokens of the whole."""
        return self.ends[-1][0] if self.ends else 0


async def measured(desk: Desk, thread: Thread, tip: str | None, speaker: Speaker) -> Measured:
    """What a model knows at `tip`; its tokens are committed. One at a time: whoever comes second finds them.

    Raises:
        EngineError, LibraryError, TemplateInvalid.
    """
    manner = await asyncio.to_thread(manner_of, thread, speaker, desk.usual_mode())
    ids = await desk.library.run(walks.memory, tip)
    async with desk.measuring:
        ends, length = [], 0
        async for part in coded_parts(desk, ids, manner, speaker):
            ends += [(length + end, key) for end, key in part.ends]
            length += len(part.tokens)
    initial = await desk.initials.of(thread, speaker)
    adapter = await desk.adapters.of(thread, speaker)
    return Measured(ids, tuple(ends), manner, initial, adapter)


async def coded_parts(
    desk: Desk, ids: tuple[str, ...], manner: Manner, speaker: Speaker
) -> AsyncGenerator[Chain]:
    """The chain of these messages, from the first on, `AT_ONCE` of them at a time: each part has its own
    tokens and ends, counted from its beginning. New tokens are committed. Raises: LibraryError.
    """
    rows, before = speaker.info.spec.vocab_size, chain.NOTHING
    for at in range(0, len(ids), AT_ONCE):
        path = await desk.library.run(walks.some, ids[at : at + AT_ONCE], manner.coding)
        part = await asyncio.to_thread(chain.code, path, manner.template, manner.tokenizer, rows, before)
        if part.changed:
            await desk.library.run(nodes.save_tokens, manner.coding, part.changed)
        yield replace(part, places=part.places[len(before.places) :], changed=())
        before = part.cut()
