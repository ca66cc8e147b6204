"""From a wish to the tokens that are fed for it: for the turn that feeds them, and for whoever shows them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rwkv_chat.library import nodes
from rwkv_chat.library.known import memory_after
from rwkv_chat.library.nodes import StoredNode
from rwkv_chat.session import chain
from rwkv_chat.session.manner import manner_of

if TYPE_CHECKING:
    from engine.types import TokenIds
    from rwkv_chat.session.answering import Desk
    from rwkv_chat.session.chain import Asking, Chain
    from rwkv_chat.session.manner import Manner
    from rwkv_chat.session.speaker import Speaker
    from rwkv_chat.session.wish import Wish
    from rwkv_chat.templates import ThinkMode
    from rwkv_chat.transcript import Node, Thread

    Path = tuple[StoredNode, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What stands before a reply, as tokens; nothing of it was committed or fed.

    Attributes:
        manner: that fits the wish.
        whole: the last messages, with the cut reply that goes on.
        path: those that `coded` ends with: not that reply where it goes on from all that was `drawn`.
    """

    wish: Wish
    manner: Manner
    whole: Path
    path: Path
    coded: Chain
    drawn: TokenIds

    def asking(self) -> Asking:
        """What is fed for the reply; there must be a message."""
        if self.drawn:
            return chain.asking_again(self.coded, self.path, self.manner, self.drawn)
        return chain.asking(self.coded, self.path, self.manner, self.wish)


async def prepared(
    desk: Desk,
    thread: Thread,
    tip: str | None,
    speaker: Speaker,
    wish: Wish,
    unkept: tuple[Node, ...] = (),
) -> Prepared:
    """
    Args:
        tip: the last message that the library has: of what is answered, or the reply that goes on.
        unkept: messages after it that the library does not have.

    Raises:
        LibraryError, TemplateInvalid.
    """
    manner = await asyncio.to_thread(manner_of, thread, speaker, desk.usual_mode())
    rows = speaker.info.spec.vocab_size
    begun, kept = await _memory(desk, tip, manner.coding, rows)
    whole = (*_going_on(kept, wish), *map(StoredNode, unkept))
    manner = _fitting(manner, whole, wish)
    drawn = _drawn(whole, wish, rows)
    path = whole[:-1] if drawn else whole
    coded = await asyncio.to_thread(chain.code, path, manner.template, manner.tokenizer, rows, begun)
    if not unkept:
        desk.chains.keep(manner.coding, rows, coded)
    return Prepared(wish, manner, whole, path, coded, drawn)


async def _memory(desk: Desk, tip: str | None, coding: str, rows: int) -> tuple[Chain, Path]:
    """A chain that is known, and the messages after it up to `tip`. Raises: LibraryError."""
    chains = desk.chains
    at, path = await desk.library.run(memory_after, tip, coding, chains.keys(coding, rows))
    if at is None:
        return chain.NOTHING, path
    begun = chains.up_to(coding, rows, at.node.id, at.node.prefix or "")
    if begun is not None:
        return begun, path
    return chain.NOTHING, await desk.library.run(nodes.memory, tip, coding)  # let go meanwhile


def _going_on(path: Path, wish: Wish) -> Path:
    """What no whole token covers of a reply that grew when the program died is left out, and drawn again."""
    if not wish.goes_on or not path:
        return path
    last, node = path[-1], path[-1].node
    if not last.tail or not node.tokens or node.status != "growing":
        return path
    said = replace(node.message, text=node.message.text.removesuffix(last.tail))
    return (*path[:-1], StoredNode(replace(node, message=said)))


def _drawn(path: Path, wish: Wish, rows: int) -> TokenIds:
    """What a crash left of the reply at the end of `path`, where it goes on from all of that."""
    drawn = path[-1].drawn if wish.goes_on and len(path) > 1 else ()
    return drawn if max(drawn, default=0) < rows else ()


def _fitting(manner: Manner, path: Path, wish: Wish) -> Manner:
    """A reply that a person began does not think first; one that goes on thinks as it began."""
    if wish.begin:
        return replace(manner, mode=manner.template.modes[0])
    if wish.drawn:
        return replace(manner, mode=manner.template.mode(wish.mode))
    if wish.lead:
        return replace(manner, mode=_mode_of(wish, manner))
    if wish.goes_on and path:
        return replace(manner, mode=manner.template.mode(path[-1].node.mode))
    return manner


def _mode_of(wish: Wish, manner: Manner) -> ThinkMode:
    """The mode that a reply was asked for in, where its tokens begin as that asks for: else its answer alone
    is remembered.
    """
    mode = manner.template.mode(wish.mode)
    tail = mode.tail.encode()
    return mode if manner.tokenizer.decode_bytes(wish.lead).startswith(tail) else manner.template.modes[0]
