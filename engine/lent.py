"""Long histories stay with who asks: a worker in another process is told how long one is and how it ends,
and has the rest sent where no saved state makes it needless.

To send 100,000 tokens takes several milliseconds of both processes, and the state after them is read in one.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import replace
from queue import SimpleQueue
from typing import TYPE_CHECKING, cast, overload

from engine.commands import Ask, Lent
from engine.errors import EngineClosed
from engine.keys import CHECKED
from engine.types import (
    Cancelled,
    Failed,
    Fed,
    FeedRequest,
    Finished,
    GenerateRequest,
    Piece,
    Scored,
    ScoreRequest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.types import Event, TokenIds

END = 256  # tokens sent at once: what a state says of the last ones is compared with them
CHAINS = (GenerateRequest, FeedRequest, ScoreRequest)
READ = (Piece, Scored, Fed, Finished, Cancelled, Failed)  # events after which no history is looked at


class Lender:
    """What the asking process keeps back."""

    def __init__(self) -> None:
        self._histories: dict[int, TokenIds] = {}

    def lend(self, ask: Ask) -> Ask:
        """The same without a history that is long, where its key is told in its stead."""
        request = ask.request
        if not isinstance(request, CHAINS) or request.start is None or len(request.history) <= CHECKED:
            return ask
        self._histories[ask.job] = history = request.history
        return Ask(ask.job, replace(request, history=()), Lent(len(history), history[-END:]))

    def history(self, job: int) -> TokenIds:
        """What a job wants to have sent; empty where nothing was kept back."""
        return self._histories.get(job, ())

    def told(self, job: int, event: Event) -> None:
        """Lets go of what this event has made needless."""
        if isinstance(event, READ):
            self._histories.pop(job, None)


class Borrowed(Sequence[int]):
    """A history of which only the end is here, for reading; a slice is a tuple.

    Raises:
        EngineClosed: the rest was wanted, and does not come any more.
    """

    def __init__(self, lent: Lent, want: Callable[[], object]) -> None:
        """`want` has the rest sent: `give` is called then, from another thread."""
        self._length, self._end, self._want = lent.length, lent.end, want
        self._whole: TokenIds | None = None
        self._given: SimpleQueue[TokenIds] = SimpleQueue()

    def give(self, tokens: TokenIds) -> None:
        """The whole history; empty if it does not come."""
        self._given.put(tokens)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[int]:
        return iter(self._fetched())

    @overload
    def __getitem__(self, index: int) -> int: ...

    @overload
    def __getitem__(self, index: slice) -> TokenIds: ...

    def __getitem__(self, index: int | slice) -> int | TokenIds:
        first = self._length - len(self._end)
        if isinstance(index, int):
            at = index + self._length if index < 0 else index
            return self._end[at - first] if first <= at else self._fetched()[index]
        start, stop, step = index.indices(self._length)
        if step == 1 and (start >= first or start >= stop):
            return self._end[max(0, start - first) : max(0, stop - first)] if start < stop else ()
        return self._fetched()[index]

    def _fetched(self) -> TokenIds:
        if self._whole is None:
            self._want()
            self._whole = self._given.get()
        if len(self._whole) != self._length:
            raise EngineClosed
        return self._whole


class Borrower:
    """What the process that computes has of them."""

    def __init__(self, want: Callable[[int], object]) -> None:
        """`want` has a job's history sent."""
        self._want = want
        self._borrowed: weakref.WeakValueDictionary[int, Borrowed] = weakref.WeakValueDictionary()

    def borrow(self, ask: Ask) -> Ask:
        """The same with a history that is fetched when it is looked at."""
        if ask.lent is None or not isinstance(ask.request, CHAINS):
            return ask
        borrowed = Borrowed(ask.lent, lambda: self._want(ask.job))
        self._borrowed[ask.job] = borrowed
        return Ask(ask.job, replace(ask.request, history=cast("TokenIds", borrowed)))

    def give(self, job: int, tokens: TokenIds) -> None:
        """What came for a job, which may have ended since."""
        if (borrowed := self._borrowed.get(job)) is not None:
            borrowed.give(tokens)

    def close(self) -> None:
        """Nothing comes any more: whoever waits for it stops."""
        for each in list(self._borrowed.values()):
            each.give(())
