"""Many conversations at once with a model, greedily: each row at its own place, no padding.

The plain recurrence, one step for all rows: a row feeds the next token of its prompt, or the one it has just
chosen. A reply ends at the blank line that begins every next turn, at the document's end, or at the limit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from rwkv_chat.demo.render import END, TEMPLATE, user_tokens
from rwkv_chat.templates import template

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.models.rwkv7 import Rwkv7
    from engine.tokenizer import Tokenizer

LIMIT = 80  # tokens of a reply


@dataclass(slots=True)
class _Row:
    """One conversation on its way: what is left to feed, and the replies so far (in tokens)."""

    messages: list[str]
    pending: list[int] = field(default_factory=list)
    replies: list[list[int]] = field(default_factory=list)

    @property
    def done(self) -> bool:
        return not self.pending


def _open_turn(row: _Row, tokenizer: Tokenizer) -> None:
    """Queues the next message, or nothing after the last reply."""
    if len(row.replies) == len(row.messages):
        row.pending = []
        return
    first = not row.replies
    message = row.messages[len(row.replies)]
    row.pending = user_tokens(message, tokenizer, template(TEMPLATE), first=first)
    row.replies.append([])


def _take(row: _Row, token: int, ends: set[int], tokenizer: Tokenizer) -> None:
    """After the last pending token was fed: the chosen token goes on with the reply, or ends it."""
    if token in ends or len(row.replies[-1]) >= LIMIT:
        _open_turn(row, tokenizer)
    else:
        row.replies[-1].append(token)
        row.pending = [token]


def _advance(rows: Sequence[_Row], chosen: Sequence[int], ends: set[int], tokenizer: Tokenizer) -> None:
    for row, token in zip(rows, chosen, strict=True):
        row.pending.pop(0)
        if not row.pending:
            _take(row, token, ends, tokenizer)


@torch.inference_mode()
def _run(rows: list[_Row], model: Rwkv7, tokenizer: Tokenizer) -> None:
    ends = {END, tokenizer.encode(template(TEMPLATE).joiner)[0]}
    state = model.zero_state(len(rows))
    while rows:
        tokens = torch.tensor([row.pending[0] for row in rows], device=model.device)
        logits, state = model.step(tokens, state)
        _advance(rows, logits.argmax(-1).tolist(), ends, tokenizer)
        going = [i for i, row in enumerate(rows) if not row.done]
        if going and len(going) < len(rows):
            state = state.select(going)
        rows = [rows[i] for i in going]


def converse(
    conversations: Sequence[Sequence[str]], model: Rwkv7, tokenizer: Tokenizer, *, batch: int = 64
) -> Iterator[list[str]]:
    """The replies of each conversation (a user's messages in order), in the order given."""
    for at in range(0, len(conversations), batch):
        rows = [_Row(list(messages)) for messages in conversations[at : at + batch]]
        for row in rows:
            _open_turn(row, tokenizer)
        _run(rows, model, tokenizer)
        for row in rows:
            yield [_text(reply, tokenizer) for reply in row.replies]


def _text(reply: list[int], tokenizer: Tokenizer) -> str:
    return tokenizer.decode_bytes(reply).decode("utf-8", "replace").strip()
