"""How likely each token of a message was, and what else could have stood in its place.

What a conversation remembers is what is scored; of a reply whose thoughts are forgotten, all that was drawn,
after what asked for it. Where that was not kept (in a copy, by an older program), its answer alone.
Nothing is read again where the engine has a state before the message.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from engine.errors import EngineClosed
from engine.types import Failed, Prefilled, Scored, ScoreRequest
from rwkv_chat.library import nodes
from rwkv_chat.session import chain
from rwkv_chat.session.manner import manner_of
from rwkv_chat.session.readings import thread_and_tip
from rwkv_chat.session.wish import Wish

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.types import TokenIds, TokenScore
    from rwkv_chat.library.database import Library
    from rwkv_chat.library.nodes import StoredNode
    from rwkv_chat.session.answering import Desk
    from rwkv_chat.session.border import JobLike, TokenizerLike
    from rwkv_chat.session.chain import Chain
    from rwkv_chat.session.manner import Manner

Form = Literal["remembered", "drawn", "answer"]
ALTERNATIVES = 8


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token that could stand at a place: its bytes, and its share of the probability there, 0…1."""

    id: int
    piece: bytes
    share: float


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One token of a message.

    Attributes:
        share: its probability, 0…1.  bits: its surprise, −log₂ of that.
        rank: 0 for the likeliest token in this place.  others: the likeliest, it may be among them.
    """

    id: int
    piece: bytes
    share: float
    bits: float
    rank: int
    others: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class TokenRows:
    """The next tokens of a message.

    Attributes:
        first: the place of the first one in the message.  total: tokens of the message.
        form: "drawn" with thoughts that are not remembered; "answer" without such thoughts, whose tokens were
            not kept.
    """

    first: int
    total: int
    rows: tuple[TokenRow, ...]
    form: Form = "remembered"


async def token_scores(
    desk: Desk, library: Library, thread_id: str, node: str
) -> AsyncIterator[Prefilled | TokenRows]:
    """See `Chats.token_scores`."""
    speaker = await desk.models.speaking()
    thread, _ = await library.run(thread_and_tip, thread_id)
    manner = await asyncio.to_thread(manner_of, thread, speaker, desk.usual_mode())
    path = await library.run(nodes.memory, node, manner.coding)
    drawn = await library.run(nodes.as_drawn, node, manner.coding)
    rows = speaker.info.spec.vocab_size
    coded = await asyncio.to_thread(chain.code, path, manner.template, manner.tokenizer, rows)
    initial = await desk.initials.of(thread, speaker)
    coded = replace(coded, initial=initial, adapter=await desk.adapters.of(thread, speaker))
    form = _form(path[-1], drawn, manner, rows)
    request = await asyncio.to_thread(_request, form, path, drawn, coded, manner)
    if not request.prompt:
        return
    total = len(drawn) if form == "drawn" else coded.tip
    job = await desk.adapters.submit(request, coded.adapter)
    try:
        async for event in _told(
            job, manner.tokenizer, TokenRows(total - len(request.prompt), total, (), form)
        ):
            yield event
    finally:
        job.cancel()


def _form(last: StoredNode, drawn: TokenIds, manner: Manner, rows: int) -> Form:
    if drawn and last.node.parent is not None and max(drawn) < rows:
        return "drawn"
    thoughts = manner.tokenizer.decode_bytes(last.node.tokens or ())
    mark = manner.template.think_open.encode()
    return "answer" if last.node.message.reasoning and mark not in thoughts else "remembered"


def _request(
    form: Form, path: tuple[StoredNode, ...], drawn: TokenIds, coded: Chain, manner: Manner
) -> ScoreRequest:
    """Of a chain's first message all but its first token, which stands after nothing."""
    if form == "drawn":
        return ScoreRequest(drawn, _before_drawn(path, coded, manner), None, ALTERNATIVES, coded.initial)
    before = len(coded.tokens) - coded.tip
    at = max(1, before)
    start = coded.before_tip if before else None
    return ScoreRequest(coded.tokens[at:], coded.tokens[:at], start, ALTERNATIVES, coded.initial)


def _before_drawn(path: tuple[StoredNode, ...], coded: Chain, manner: Manner) -> TokenIds:
    """What stood before the reply at the end of `path` when it was drawn, the way to think included."""
    *before, reply = path
    asked = replace(manner, mode=manner.template.mode(reply.node.mode))
    return chain.asking(coded.up_to(before[-1].node.id), tuple(before), asked, Wish(again=True)).tokens


async def _told(
    job: JobLike, tokenizer: TokenizerLike, blank: TokenRows
) -> AsyncIterator[Prefilled | TokenRows]:
    at = blank.first
    async for event in job:
        if isinstance(event, Prefilled):
            yield event
        elif isinstance(event, Scored):
            yield replace(blank, first=at, rows=tuple(_row(each, tokenizer) for each in event.scores))
            at += len(event.scores)
            if event.last:
                return
        elif isinstance(event, Failed):
            raise event.error
    raise EngineClosed


def _row(score: TokenScore, tokenizer: TokenizerLike) -> TokenRow:
    others = tuple(
        Candidate(each.id, _piece(each.id, tokenizer), math.exp(each.logprob)) for each in score.top
    )
    bits = max(0.0, -score.logprob / math.log(2))  # no −0
    return TokenRow(score.id, _piece(score.id, tokenizer), math.exp(score.logprob), bits, score.rank, others)


def _piece(token: int, tokenizer: TokenizerLike) -> bytes:
    return tokenizer.decode_bytes((token,))
