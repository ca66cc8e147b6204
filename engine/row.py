"""One alternative of a reply: its text, the states it may have to go back to, and how it ended."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.errors import NotFinite
from engine.ops.sample import NONE
from engine.repeats import Repeats
from engine.reply import Ending, ReplyText
from engine.types import Piece

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from engine.models.state import State
    from engine.sampling import Sampler, SamplerState
    from engine.tokenizer import Tokenizer
    from engine.types import FinishReason, GenerateRequest, SamplingParams, TokenIds

RING = 8  # states held per reply while text is held back
MARK_SECONDS = 2.0  # so much of a reply is drawn again after a crash, at most


@dataclass(frozen=True, slots=True)
class Start:
    """Where a reply begins.

    Attributes:
        state: of batch 1.  feed: the chain's tokens that it has not consumed, at least one.
        samplers: one for each alternative.
        carry: bytes of a cut reply's last, incomplete character.
        chunk: tokens fed at once: how long a cancel may wait.
        pause: after so many tokens of `feed` the state is told too, wherever a chunk would end.
        drawn: so many of the last tokens of `feed` were drawn, and are fed one by one as they were then.
        before: the end of a cut reply's bytes, as long as a stop text may be.
    """

    state: State
    feed: TokenIds
    samplers: tuple[SamplerState, ...]
    carry: bytes = b""
    chunk: int = 256
    pause: int = 0
    drawn: int = 0
    before: bytes = b""


@dataclass(frozen=True, slots=True)
class RowEnd:
    """The end of one alternative.

    Attributes:
        tokens: the reply's tokens that are part of the chain now.  text: all released text.
        state: of batch 1, has consumed the chain but `pending`; None if cancelled before the first draw.
        sampler: the sampler after `tokens`.  carry: bytes of an incomplete last character.
        decode_seconds: wall seconds from the last prompt token to here.
    """

    index: int
    reason: FinishReason
    tokens: TokenIds
    text: str
    state: State | None
    pending: TokenIds
    sampler: SamplerState
    carry: bytes = b""
    decode_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a reply stands that goes on; the fields are those of `RowEnd`."""

    index: int
    tokens: TokenIds
    state: State
    pending: TokenIds
    sampler: SamplerState


class Row:
    """One alternative while it is being written.

    Attributes:
        reason: why it ended; None while it goes on.
        newest: the token drawn last.
    """

    def __init__(
        self, index: int, tokenizer: Tokenizer, request: GenerateRequest, sampler: Sampler, start: Start
    ) -> None:
        self.reason: FinishReason | None = None
        self._index, self._tokenizer, self._request, self._sampler = index, tokenizer, request, sampler
        self._reply = ReplyText(tokenizer, request.stop.texts, start.carry, start.before)
        self._repeats = Repeats() if request.repeats else None
        self._texts: list[str] = []
        self._told = 0  # tokens already in a piece
        self._ending = Ending("", 0)
        self._last = start.feed[-1]
        self._held = [(0, start.state, 0)]  # (consumed of (last, *tokens), batch, row of the batch)
        self._marked = time.monotonic()

    @property
    def newest(self) -> int:
        return self._reply.tokens[-1]

    def hold(self, batch: State, row: int) -> None:
        """Row `row` of `batch` has consumed every token so far.

        Older states are let go once no ending can go back to them; beyond `RING`, the second oldest goes.
        """
        held = self._held
        held.append((1 + len(self._reply.tokens), batch, row))
        while len(held) > 1 and held[1][0] <= self._reply.whole:
            del held[0]
        if len(held) > RING:
            del held[1]

    def marks(self) -> Iterator[Mark]:
        """Every `MARK_SECONDS`: from where this reply could go on exactly. To be asked after `hold`; none
        while text is held back.
        """
        tokens, (consumed, batch, row) = self._reply.tokens, self._held[0]
        if time.monotonic() - self._marked < MARK_SECONDS or not tokens:
            return
        if self._reply.whole < len(tokens) or consumed != len(tokens):
            return
        self._marked = time.monotonic()
        state = batch.select([row]) if batch.batch > 1 else batch
        yield Mark(self._index, tuple(tokens), state, tuple(tokens[-1:]), self._sampler.state)

    def change(self, params: SamplingParams, restrictions: Tensor, position: int) -> None:
        """See `Sampler.change`; a new limit holds at once."""
        self._request = replace(self._request, params=params)
        self._sampler.change(params, restrictions, position)

    def advance(self, logits: Tensor) -> Iterator[Piece]:
        """Draws one token from logits [O] (fp32, CPU) and gives what it releases; may set `reason`."""
        yield from self.accept(self._sampler.next(logits))

    def accept(self, token: int) -> Iterator[Piece]:
        """The same for a token that was drawn elsewhere.

        Raises:
            NotFinite: none could be drawn.
        """
        if token == NONE:
            raise NotFinite
        if token in self._request.stop.ids:
            yield from self._finish("stop", self._reply.end_here(final=True))
            return
        self._sampler.note(token)
        text = self._reply.add(token)
        repeats = self._repeats is not None and self._repeats.add(token) > 0
        if self._reply.stopped:
            ending = self._reply.end_before_stop_text()
            yield from self._finish("stop", replace(ending, text=text + ending.text))
        elif repeats or len(self._reply.tokens) >= self._request.params.max_tokens:
            ending = self._reply.end_here(final=False)
            reason = "repeats" if repeats else "length"
            yield from self._finish(reason, replace(ending, text=text + ending.text))
        else:
            yield from self._piece(text)

    def cancel(self) -> None:
        """Ends the row with exactly what it has released."""
        self.reason, self._ending = "cancelled", self._reply.end_at_shown()

    def _finish(self, reason: FinishReason, ending: Ending) -> Iterator[Piece]:
        self.reason, self._ending = reason, ending
        yield from self._piece(ending.text)

    def _piece(self, text: str) -> Iterator[Piece]:
        first, self._told = self._told, self._reply.whole
        tokens = tuple(self._reply.tokens[first : self._told])
        if text or tokens:
            self._texts.append(text)
            yield Piece(self._index, text, tokens)

    def end(self, seconds: float) -> RowEnd:
        """The row as it ended."""
        ending = self._ending
        tokens = (*self._reply.tokens[: ending.kept], *ending.extra)
        most = ending.kept + bool(ending.extra)  # of (last, *tokens): what a state may have consumed
        consumed, batch, row = next(each for each in reversed(self._held) if each[0] <= most)
        return RowEnd(
            self._index,
            self.reason or "cancelled",
            tokens,
            "".join(self._texts),
            batch.select([row]) if batch.batch > 1 else batch,
            (self._last, *tokens)[consumed:],
            self._sampler.state_after(tokens),
            ending.carry,
            seconds,
        )
