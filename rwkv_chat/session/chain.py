"""From messages to the exact tokens of a chain. Pure: no database, no thread; call it off the event loop."""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from engine.prefix import EMPTY, extend
from engine.types import FeedRequest, GenerateRequest
from rwkv_chat.library.nodes import Coded
from rwkv_chat.session.wish import ANSWER, Wish
from rwkv_chat.templates import PLAIN, scrub

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.types import SamplingParams, StopRule, TokenIds
    from rwkv_chat.library.nodes import StoredNode
    from rwkv_chat.session.border import TokenizerLike
    from rwkv_chat.session.manner import Manner
    from rwkv_chat.templates import Template, ThinkMode

MOST_WALKED = 16_384  # messages
_walked: dict[tuple[str, bytes], str] = {}  # the key before a message, a digest of its tokens → the key after


class Place(NamedTuple):
    """Where a message ends in a chain: after so many tokens, with that key."""

    end: int
    prefix: str
    node: str


@dataclass(frozen=True, slots=True)
class Chain:
    """The messages from the root to a tip as token ids.

    Attributes:
        tokens: of the whole chain.  prefix: its key.
        tip: how many of `tokens` are the tip's.  before_tip: the key before those.
        changed: messages whose ids or key are new or were completed: to be committed before they are fed.
        places: where each message ends.
        initial: the state that it begins from, by the engine's id; "" for nothing.
        adapter: what reads it, by the engine's id; "" for the model alone.
    """

    tokens: TokenIds
    prefix: str
    tip: int
    before_tip: str
    changed: tuple[Coded, ...]
    places: tuple[Place, ...] = ()
    initial: str = ""
    adapter: str = ""

    @property
    def ends(self) -> tuple[tuple[int, str], ...]:
        """Where each message ends, and the key there."""
        return tuple((each.end, each.prefix) for each in self.places)

    def up_to(self, node: str) -> Chain:
        """The beginning of it that ends with this message, to go on from: nothing in it is changed."""
        last = next(at for at, each in enumerate(self.places) if each.node == node)
        end, prefix, _ = self.places[last]
        begun, before = self.places[last - 1][:2] if last else (0, EMPTY)
        return Chain(self.tokens[:end], prefix, end - begun, before, (), self.places[: last + 1])

    def cut(self) -> Chain:
        """What comes after it may go on from this, as a chain of its own: the tokens are let go of."""
        return Chain((), self.prefix, 0, self.before_tip, (), self.places and (Place(0, self.prefix, ""),))


NOTHING = Chain((), EMPTY, 0, EMPTY, ())


def code(
    path: tuple[StoredNode, ...],
    template: Template,
    tokenizer: TokenizerLike,
    rows: int,
    begun: Chain = NOTHING,
) -> Chain:
    """Tokens that were fed stay as they are; only messages without any are encoded, and those with an id
    that the model's `rows` don't have: no model was ever fed them, so they are damage.

    Keys are derived, so they are derived again here: one that does not fit its tokens (damage, or a reply
    that another program finished after this one went on from it) would name somebody else's state.

    Args:
        begun: what comes before `path`, coded earlier.
    """
    whole: list[int] = []
    tokens, changed, places, before, prefix = (), [], list(begun.places), begun.before_tip, begun.prefix
    for stored in path:
        tokens = told(stored, template, tokenizer, rows, first=not places)
        before, prefix = prefix, _extended(tokens, prefix)
        whole += tokens
        places.append(Place(len(begun.tokens) + len(whole), prefix, stored.node.id))
        if (tokens, prefix, "") != (stored.node.tokens, stored.node.prefix, stored.tail):
            changed.append(Coded(stored.node.id, tokens, prefix))
    tip = len(tokens) if path else begun.tip
    return Chain(begun.tokens + tuple(whole), prefix, tip, before, tuple(changed), tuple(places))


def _extended(tokens: TokenIds, start: str) -> str:
    """The same messages are asked for at every turn; the walk over them is not repeated. What is kept of
    them is a digest: their tokens would stay in memory long after the conversation was left.
    """
    message = start, hashlib.blake2b(array("I", tokens), digest_size=32).digest()
    if (found := _walked.get(message)) is None:
        if len(_walked) >= MOST_WALKED:
            _walked.clear()
        found = _walked[message] = extend(tokens, start)
    return found


def told(
    stored: StoredNode, template: Template, tokenizer: TokenizerLike, rows: int, *, first: bool
) -> TokenIds:
    """One message of a chain: what was fed, else what would be."""
    fed = _fed(stored, tokenizer, rows)
    return encoded(stored, template, tokenizer, first=first) if fed is None else fed


def _fed(stored: StoredNode, tokenizer: TokenizerLike, rows: int) -> TokenIds | None:
    """What was fed, and the end of a cut reply that its tokens don't cover."""
    tokens = stored.node.tokens
    if tokens is None or max(tokens, default=0) >= rows:
        return None
    return tokens + tuple(tokenizer.encode(stored.tail)) if stored.tail else tokens


def encoded(
    stored: StoredNode, template: Template, tokenizer: TokenizerLike, *, first: bool, mode: ThinkMode = PLAIN
) -> TokenIds:
    """A message as it is fed: template, cleaning, and the chain's first ids where it is the first. A passage
    is fed as it stands.
    """
    message = stored.node.message
    if stored.node.kind == "passage":
        ids = tuple(tokenizer.encode(scrub(message.text)))
        return template.first_ids + ids if first else ids
    text = template.render(message.role, message.text, first=first, mode=mode)
    ids = as_trained(tuple(tokenizer.encode(text)), tokenizer)
    return template.first_ids + ids if first else ids


def as_trained(ids: TokenIds, tokenizer: TokenizerLike) -> TokenIds:
    """The 20B models saw each line end as a token of its own: a blank line at a turn's end is two of them."""
    if ids[-1:] != (535,) or tuple(tokenizer.encode("\n\n")) != (535,):
        return ids
    return (*ids[:-1], 187, 187) if tuple(tokenizer.encode("\n")) == (187,) else ids


# ------------------------------------------------------------------------------------------------ asking


@dataclass(frozen=True, slots=True)
class Asking:
    """What is fed for one reply.

    Attributes:
        tokens: of the whole chain, the way to think included.
        known: how many of them are no news to the model.  start: their key.
        fork: how many of them will be remembered as they are, the reply apart; None: all.
        lead: ids of the way to think, for a chain that remembers the reply as it was drawn.
        begun: `lead` is the reply's own beginning: of a cut reply that goes on, or what a person began it
            with. What follows is remembered as it is drawn.
        drawn: what had been drawn of a reply that a crash cut, or of one that another parts from, where that
            is not what would be remembered of it: it goes on as if nothing had happened.
    """

    tokens: TokenIds
    known: int
    start: str
    fork: int | None = None
    lead: TokenIds = ()
    begun: bool = False
    drawn: TokenIds = ()

    def request(
        self, params: SamplingParams, stop: StopRule, initial: str = "", number: int = 1
    ) -> GenerateRequest:
        """`initial`: the tuned state that the chain begins from; `number`: replies at once."""
        return GenerateRequest(
            n=number,
            continues=len(self.lead) if self.begun else len(self.drawn),
            prompt=self.tokens[self.known :],
            history=self.tokens[: self.known],
            start=self.start,
            params=params,
            stop=stop,
            fork=self.fork,
            initial=initial,
        )


def asking(coded: Chain, path: tuple[StoredNode, ...], manner: Manner, wish: Wish = ANSWER) -> Asking:
    """What to feed for a reply after the last message of `path`."""
    plain, before = coded.tokens, len(coded.tokens) - coded.tip
    if wish.goes_on:
        return Asking(plain, len(plain), coded.prefix, lead=plain[before:], begun=True)
    if wish.aside:
        return _aside(coded, path, manner)
    if wish.drawn:
        return asking_again(coded, path, manner, wish.lead)
    if wish.lead:
        return Asking(plain + wish.lead, len(plain), coded.prefix, lead=wish.lead, begun=True)
    known, start = before, coded.before_tip
    if wish.again or path[-1].node.message.role == "assistant":
        known, start = len(plain), coded.prefix
    if wish.begin:
        begun = beginning(wish.begin, manner)
        return Asking(plain + begun, len(plain), coded.prefix, lead=begun, begun=True)
    if not manner.mode.hint and not manner.mode.tail:
        return Asking(plain, known, start)
    last = _asked(coded, path, manner)
    tokens = plain[:before] + last
    fork = max(1, before + shared(plain[before:], last))
    known, start = (fork, _key(coded, tokens, fork)) if wish.again else (before, coded.before_tip)
    if manner.keep and fork == len(plain):
        return Asking(tokens, known, start, None, tokens[fork:])
    return Asking(tokens, known, start, fork, tuple(manner.tokenizer.encode(manner.mode.tail)))


def asking_again(coded: Chain, path: tuple[StoredNode, ...], manner: Manner, drawn: TokenIds) -> Asking:
    """What to feed for a reply to the last message of `path` that goes on after what was `drawn` of it."""
    asked = asking(coded, path, manner, Wish(again=True))
    tokens = asked.tokens + drawn
    return replace(asked, tokens=tokens, known=len(tokens), start=_key(coded, tokens), drawn=drawn)


def _key(coded: Chain, tokens: TokenIds, end: int | None = None) -> str:
    """The key of the first `end` of `tokens` (None: of all), which are the chain's up to its last message.
    Only what comes after that is walked.
    """
    return extend(tokens[len(coded.tokens) - coded.tip : end], coded.before_tip)


def _aside(coded: Chain, path: tuple[StoredNode, ...], manner: Manner) -> Asking:
    """A message that will be forgotten: the chain goes back to where it stood."""
    before = len(coded.tokens) - coded.tip
    tokens = coded.tokens[:before] + _asked(coded, path, manner)
    return Asking(tokens, before, coded.before_tip, max(1, before))


def _asked(coded: Chain, path: tuple[StoredNode, ...], manner: Manner) -> TokenIds:
    """The last message with what asks for thoughts."""
    first = len(coded.places) == 1
    return encoded(path[-1], manner.template, manner.tokenizer, first=first, mode=manner.mode)


def beginning(text: str, manner: Manner) -> TokenIds:
    """How a reply begins that begins with `text`."""
    return tuple(manner.tokenizer.encode(manner.template.render("assistant", text, first=False)))


def shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many of the first tokens of both are the same."""
    pairs = zip(one, other, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def settling(coded: Chain, asked: Asking, reply: TokenIds) -> FeedRequest:
    """Has the chain read as it will be remembered: from where the reply's own chain parts from it."""
    whole = coded.tokens + reply
    known = asked.fork or len(coded.tokens)
    start = _key(coded, whole, known)
    return FeedRequest(whole[known:], whole[:known], start, coded.initial, background=False)
