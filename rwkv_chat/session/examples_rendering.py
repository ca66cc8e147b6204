"""From a conversation to tokens with a loss weight for each, by the code that chats are fed by.

The loss falls on what the assistant said, on what ends it, and on the 0 that ends the example; not on
answers that a log marks as not to be learnt. What ends an answer is what ends it in a chat: the stop text,
which is the beginning of the next turn.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from rwkv_chat.session import chain
from rwkv_chat.session.examples_reading import Quoted
from rwkv_chat.session.examples_types import Example, Piece
from rwkv_chat.templates import scrub
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.types import TokenIds
    from rwkv_chat.library.nodes import StoredNode
    from rwkv_chat.session.examples_reading import Dialogue
    from rwkv_chat.session.examples_types import Row, Voice

END = 0  # ends a document, and begins one
SHOWN_TOKENS = 600  # of an example that is shown
CUT = ("stopped", "length", "failed", "growing")  # answers that do not end where they end


def row(dialogue: Dialogue, voice: Voice) -> Row | None:
    """The tokens that a chat is fed, then what ends the last answer; None: an id that the model has not."""
    tokens, weights = _document(dialogue, voice) if dialogue.document else _turns(dialogue, voice)
    if max(tokens) >= voice.rows:
        return None
    return tuple(tokens), tuple(weights)


def _document(dialogue: Dialogue, voice: Voice) -> tuple[list[int], list[float]]:
    text = scrub("".join(each.node.message.text for each in dialogue.stored))
    ids, first = voice.tokenizer.encode(text), voice.template.first_ids
    return [*first, *ids, END], [0.0] * len(first) + [1.0] * (len(ids) + 1)


def _turns(dialogue: Dialogue, voice: Voice) -> tuple[list[int], list[float]]:
    tokens: list[int] = []
    weights: list[float] = []
    before: StoredNode | None = None
    for stored in dialogue.stored:
        fed = chain.told(stored, voice.template, voice.tokenizer, voice.rows, first=before is None)
        learnt = _is_whole(before)
        tokens += fed
        weights += _weights(stored, fed, voice, ends_answer=learnt)
        before = stored
    mark = closing(voice)
    whole = float(_is_whole(before))
    return [*tokens, *mark, END], [*weights, *[whole] * len(mark), whole]


def _weights(stored: StoredNode, fed: TokenIds, voice: Voice, *, ends_answer: bool) -> list[float]:
    if stored.node.message.role == "assistant":
        return [0.0 if isinstance(stored, Quoted) else 1.0] * len(fed)
    ends = _ending(fed, voice) if ends_answer else 0
    return [1.0] * ends + [0.0] * (len(fed) - ends)


def _is_whole(stored: StoredNode | None) -> bool:
    """Whether it is an answer that is learnt and ends where it should; one that was cut teaches nothing of
    ends.
    """
    if stored is None or isinstance(stored, Quoted):
        return False
    return stored.node.message.role == "assistant" and stored.node.status not in CUT


def _ending(fed: TokenIds, voice: Voice) -> int:
    """How many tokens of a turn are what ended the answer before it: those inside of the stop text."""
    length = max((len(text.encode()) for text in _stops(voice)), default=0)
    taken = 0
    for number, token in enumerate(fed):
        taken += len(voice.tokenizer.decode_bytes((token,)))
        if taken > length:
            return number
    return len(fed)


def _stops(voice: Voice) -> Iterator[str]:
    """The stop texts with which a person's turn begins."""
    turn = voice.template.render("user", "", first=False)
    return (text for text in voice.template.stop.texts if turn.startswith(text))


def closing(voice: Voice) -> TokenIds:
    """What stands between the last answer and the end: the stop text where it belongs to the answer's own
    turn (✿), nothing where it is how the next one begins.
    """
    own = [text for text in _stops(voice) if text and voice.template.joiner.startswith(text)]
    return tuple(voice.tokenizer.encode(min(own, key=len))) if own else ()


# ------------------------------------------------------------------------------------------------ to be shown


def example(found: Row, voice: Voice) -> Example:
    """A row as text, in pieces that are learnt and pieces that are not."""
    tokens, weights = found
    shown = zip(tokens[:SHOWN_TOKENS], weights[:SHOWN_TOKENS], strict=True)
    pieces = tuple(
        Piece(_text(tuple(token for token, _ in some), voice), learned)
        for learned, some in groupby(shown, lambda each: each[1] > 0)
    )
    return Example(pieces, len(tokens), sum(each > 0 for each in weights), len(tokens) > SHOWN_TOKENS)


def _text(tokens: TokenIds, voice: Voice) -> str:
    """With a mark for the token that has no letters."""
    return "".join(
        say("examples.end") * len(tuple(some))
        if end
        else voice.tokenizer.decode_bytes(tuple(some)).decode("utf-8", "replace")
        for end, some in groupby(tokens, lambda each: each == END)
    )
