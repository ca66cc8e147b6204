"""The exact prompt: which tokens a model was fed in a conversation, and would be fed now."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwkv_chat.library import nodes
from rwkv_chat.library.nodes import StoredNode
from rwkv_chat.session import chain
from rwkv_chat.session.manner import manner_of
from rwkv_chat.transcript import ChatMessage, Node

if TYPE_CHECKING:
    from engine.types import TokenIds
    from rwkv_chat.session.answering import Desk
    from rwkv_chat.session.manner import Manner
    from rwkv_chat.transcript import Thread


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


async def exact_prompt(desk: Desk, thread: Thread, tip: str | None, said: tuple[str, str]) -> ExactPrompt:
    """See `Chats.exact_prompt`; `said`: a system message and the person's, "" for none."""
    speaker = await desk.models.speaking()
    manner = await asyncio.to_thread(manner_of, thread, speaker, desk.usual_mode())
    path = await desk.library.run(nodes.memory, tip, manner.coding)
    return await asyncio.to_thread(_exact, path, manner, speaker.info.spec.vocab_size, said)


def _exact(path: tuple[StoredNode, ...], manner: Manner, rows: int, said: tuple[str, str]) -> ExactPrompt:
    system, text = said
    known = len(chain.code(path, manner.template, manner.tokenizer, rows).tokens)
    if system.strip() and not path:
        path = (StoredNode(Node("", None, ChatMessage("system", system))),)
    if text:
        path = (*path, StoredNode(Node("", None, ChatMessage("user", text))))
    coded = chain.code(path, manner.template, manner.tokenizer, rows)
    tokens = coded.tokens
    if path and path[-1].node.message.role == "user":
        tokens = chain.asking(coded, path, manner).tokens
    pieces = tuple(manner.tokenizer.decode_bytes((token,)) for token in tokens)
    return ExactPrompt(tokens, pieces, min(known, len(tokens)), manner.template.name, manner.mode.name)
