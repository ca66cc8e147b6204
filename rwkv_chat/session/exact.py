"""The exact prompt: which tokens stand in a conversation, and which would be fed now."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwkv_chat.session.chain import shared
from rwkv_chat.session.prepared import prepared
from rwkv_chat.session.wish import ANSWER
from rwkv_chat.transcript import ChatMessage, Node

if TYPE_CHECKING:
    from engine.types import TokenIds
    from rwkv_chat.session.answering import Desk
    from rwkv_chat.session.prepared import Prepared
    from rwkv_chat.session.wish import Wish
    from rwkv_chat.transcript import Role, Thread


@dataclass(frozen=True, slots=True)
class ExactPrompt:
    """Tokens, and the bytes that each stands for (none for a special one).

    Attributes:
        new_from: how many of them belong to the conversation already; the rest would be fed now.
        template, mode: names of the template and the think mode in force.
    """

    tokens: TokenIds
    pieces: tuple[bytes, ...]
    new_from: int
    template: str
    mode: str


async def exact_prompt(
    desk: Desk, thread: Thread, tip: str | None, wish: Wish = ANSWER, unkept: tuple[Node, ...] = ()
) -> ExactPrompt:
    """What is fed where a turn begins so; see `prepared`. Where nothing is wanted (the tip is a reply), what
    is remembered. Raises: EngineError, LibraryError, TemplateInvalid.
    """
    speaker = await desk.models.speaking()
    there = await prepared(desk, thread, tip, speaker, wish, unkept)
    return await asyncio.to_thread(_exact, there, len(unkept))


def unsaid(role: Role, text: str) -> Node:
    """A message that would be said."""
    return Node("", None, ChatMessage(role, text))


def _exact(there: Prepared, unkept: int) -> ExactPrompt:
    coded, manner = there.coded, there.manner
    count = len(coded.ends) - unkept
    kept = coded.tokens[: coded.ends[count - 1][0]] if count > 0 else ()
    tokens = there.asking().tokens if _is_wanted(there) else coded.tokens
    pieces = tuple(manner.tokenizer.decode_bytes((token,)) for token in tokens)
    return ExactPrompt(tokens, pieces, shared(kept, tokens), manner.template.name, manner.mode.name)


def _is_wanted(there: Prepared) -> bool:
    """Whether there is something to reply to."""
    asks = bool(there.path) and there.path[-1].node.message.role == "user"
    return asks or (bool(there.path) and there.wish != ANSWER)
