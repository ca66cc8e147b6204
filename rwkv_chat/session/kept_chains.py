"""The last chains that were coded: a long conversation is not read from the library again at every turn.

Of each, the key at every message's end is kept. Who goes on from one of these messages needs only what comes
after it, as long as the library still has that key for it: the key says what all tokens before it are.
"""

from __future__ import annotations

from collections import ChainMap
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rwkv_chat.session.chain import Chain

MOST = 4  # chains
MOST_TOKENS = 250_000  # of all of them: some megabytes


@dataclass(frozen=True, slots=True)
class _Kept:
    """A chain of one coding, for a model with so many rows.

    Attributes:
        keys: at the end of each message, by its id.
    """

    coding: str
    rows: int
    chain: Chain
    keys: dict[str, str]


class KeptChains:
    """Of the last conversations that were spoken in."""

    def __init__(self) -> None:
        self._kept: list[_Kept] = []  # the last one first

    def keep(self, coding: str, rows: int, chain: Chain) -> None:
        """In place of chains that this one goes on from, or is a beginning of."""
        ids = [place.node for place in chain.places]
        others = [each for each in self._kept if not _together(each, coding, ids)]
        keys = {place.node: place.prefix for place in chain.places}
        self._kept = [_Kept(coding, rows, chain, keys), *others][:MOST]
        while len(self._kept) > 1 and sum(len(each.chain.tokens) for each in self._kept) > MOST_TOKENS:
            self._kept.pop()

    def keys(self, coding: str, rows: int) -> Mapping[str, str]:
        """The key at the end of every message that is known, by its id."""
        return ChainMap(*(each.keys for each in self._kept if (each.coding, each.rows) == (coding, rows)))

    def up_to(self, coding: str, rows: int, node: str, key: str) -> Chain | None:
        """The chain that ends with this message, whose key is that one; None where it was let go."""
        fitting = (each for each in self._kept if (each.coding, each.rows) == (coding, rows))
        return next((each.chain.up_to(node) for each in fitting if each.keys.get(node) == key), None)

    def clear(self) -> None:
        """Something was erased."""
        self._kept.clear()


def _together(kept: _Kept, coding: str, ids: list[str]) -> bool:
    """Whether one of the two is the other's beginning."""
    theirs = list(kept.keys)
    short = min(len(ids), len(theirs))
    return kept.coding == coding and ids[:short] == theirs[:short]
