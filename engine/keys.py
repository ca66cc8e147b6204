"""The prefix keys of one chain, derived when they are asked for.

A chain of 100,000 tokens takes a tenth of a second to walk, and its state is read in a few milliseconds: so
the walk begins at the key that the request gives for its history. Short histories are walked at once, and
what the request says is checked; a long one is walked, and checked, where its state is not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import InvalidRequest
from engine.prefix import EMPTY, walk

if TYPE_CHECKING:
    from engine.joined import Joined
    from engine.types import TokenIds

CHECKED = 4096  # tokens of a history that is walked at once: a few milliseconds


class Keys:
    """`keys[i]` is the key after token i; negative indices count from the end.

    Raises:
        InvalidRequest: the key given is not the history's; perhaps only when a key of it is asked for.
    """

    def __init__(self, tokens: TokenIds | Joined, known: int = 0, start: str | None = None) -> None:
        """`start`: the key after the first `known` tokens, None to derive all."""
        self._tokens, self._known, self._start = tokens, known, start
        self._early: tuple[str, ...] | None = None
        if start is None or not known:
            self._known, self._start, self._early = 0, EMPTY, ()
        elif known <= CHECKED:
            self._walk_early(start)
        self._late = tuple(walk(tokens[self._known :], self._start or EMPTY))

    def __len__(self) -> int:
        return len(self._tokens)

    def __getitem__(self, index: int) -> str:
        index += len(self._tokens) if index < 0 else 0
        if index >= self._known:
            return self._late[index - self._known]
        if index == self._known - 1 and self._start is not None:
            return self._start
        if self._early is None:
            self._walk_early(self._start or EMPTY)
        return (self._early or ())[index]

    def has(self, length: int, prefix: str) -> bool:
        """Whether the key after `length` tokens is this one, as far as is known without a walk."""
        if not 0 < length <= len(self._tokens):
            return False
        derived = self._early is not None or length >= self._known
        return derived and self[length - 1] == prefix

    def _walk_early(self, start: str) -> None:
        self._early = tuple(walk(self._tokens[: self._known]))
        if self._early[-1] != start:
            raise InvalidRequest("start is not the key of history")
