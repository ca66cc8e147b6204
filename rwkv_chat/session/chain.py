"""From messages to the exact tokens of a chain. Pure: no database, no thread; call it off the event loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.prefix import EMPTY, extend
from rwkv_chat.library.nodes import Coded

if TYPE_CHECKING:
    from engine.types import TokenIds
    from rwkv_chat.library.nodes import StoredNode
    from rwkv_chat.session.border import TokenizerLike
    from rwkv_chat.templates import Template


@dataclass(frozen=True, slots=True)
class Chain:
    """The messages from the root to a tip as token ids.

    Attributes:
        tokens: of the whole chain.  prefix: its key.
        tip: how many of `tokens` are the tip's.  before_tip: the key before those.
        changed: messages whose ids or key are new or were completed: to be committed before they are fed.
    """

    tokens: TokenIds
    prefix: str
    tip: int
    before_tip: str
    changed: tuple[Coded, ...]


def code(path: tuple[StoredNode, ...], template: Template, tokenizer: TokenizerLike, rows: int) -> Chain:
    """Tokens that were fed stay as they are; only messages without any are encoded, and those with an id
    that the model's `rows` don't have: no model was ever fed them, so they are damage.

    Keys are derived, so they are derived again here: one that does not fit its tokens (damage, or a reply
    that another program finished after this one went on from it) would name somebody else's state.
    """
    whole: list[int] = []
    tokens, changed, before, prefix = (), [], EMPTY, EMPTY
    for place, stored in enumerate(path):
        tokens = _fed(stored, tokenizer, rows)
        if tokens is None:
            tokens = _encoded(stored, template, tokenizer, first=place == 0)
        before, prefix = prefix, extend(tokens, prefix)
        whole += tokens
        if (tokens, prefix, "") != (stored.node.tokens, stored.node.prefix, stored.tail):
            changed.append(Coded(stored.node.id, tokens, prefix))
    return Chain(tuple(whole), prefix, len(tokens), before, tuple(changed))


def _fed(stored: StoredNode, tokenizer: TokenizerLike, rows: int) -> TokenIds | None:
    """What was fed, and the end of a cut reply that its tokens don't cover."""
    tokens = stored.node.tokens
    if tokens is None or max(tokens, default=0) >= rows:
        return None
    return tokens + tuple(tokenizer.encode(stored.tail)) if stored.tail else tokens


def _encoded(stored: StoredNode, template: Template, tokenizer: TokenizerLike, *, first: bool) -> TokenIds:
    message = stored.node.message
    rendered = tuple(tokenizer.encode(template.render(message.role, message.text, first=first)))
    return template.first_ids + rendered if first else rendered
