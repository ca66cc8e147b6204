"""From messages to the exact tokens of a chain. Pure: no database, no thread; call it off the event loop."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
        coded: every message, in order.
        changed: those whose ids or key are new or were completed: to be committed before they are fed.
    """

    coded: tuple[Coded, ...]
    changed: tuple[Coded, ...]

    @property
    def prefix(self) -> str:
        """The key after the whole chain."""
        return self.coded[-1].prefix if self.coded else EMPTY

    @property
    def tokens(self) -> TokenIds:
        return tuple(token for each in self.coded for token in each.tokens)

    def before_tip(self) -> Chain:
        return replace(self, coded=self.coded[:-1])


def code(path: tuple[StoredNode, ...], template: Template, tokenizer: TokenizerLike) -> Chain:
    """Tokens that were fed stay as they are; only messages without any are encoded.

    Keys are derived, so they are derived again here: one that does not fit its tokens (damage, or a reply
    that another program finished after this one went on from it) would name somebody else's state.
    """
    coded, changed, prefix = [], [], EMPTY
    for place, stored in enumerate(path):
        tokens = _tokens(stored, template, tokenizer, first=place == 0)
        prefix = extend(tokens, prefix)
        each = Coded(stored.node.id, tokens, prefix)
        coded.append(each)
        if (tokens, prefix, "") != (stored.node.tokens, stored.node.prefix, stored.tail):
            changed.append(each)
    return Chain(tuple(coded), tuple(changed))


def _tokens(stored: StoredNode, template: Template, tokenizer: TokenizerLike, *, first: bool) -> TokenIds:
    message, tokens = stored.node.message, stored.node.tokens
    if tokens is not None:
        return tokens + tuple(tokenizer.encode(stored.tail)) if stored.tail else tokens
    rendered = tuple(tokenizer.encode(template.render(message.role, message.text, first=first)))
    return template.first_ids + rendered if first else rendered
