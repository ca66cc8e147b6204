"""What names a state, and what can be said of one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StateKey:
    """Names one recurrent state: what it depends on, and nothing else.

    Attributes:
        model: SHA-256 of the weights, hex.
        tier: numeric tier of the weights ("fp32", "bf16", "int8" …).
        adapter: id of the adapter, "" for none.
        initial: id of the initial (tuned) state, "" for zeros.
        prefix: chained key of every token of the chain (`engine.prefix`), pending tokens included.
    """

    model: str
    tier: str
    adapter: str
    initial: str
    prefix: str

    def digest(self) -> str:
        """64 hex digits, safe as a file name."""
        joined = "\0".join((self.model, self.tier, self.adapter, self.initial, self.prefix))
        return hashlib.blake2b(joined.encode(), digest_size=32).hexdigest()


@dataclass(frozen=True, slots=True)
class Ladder:
    """The places of one conversation at which states may be saved: what the store must know of it to give up
    the least useful first.

    Attributes:
        name: stands for the conversation; a ladder told again replaces the one of the same name.
        rungs: prefix keys, each after the one that it follows.
        parents: for each rung the place in `rungs` of the one before it, −1 for none.
        tips: keys of the rungs where somebody stands.
        pinned: keys of those that are never given up.
    """

    name: str
    rungs: tuple[str, ...] = ()
    parents: tuple[int, ...] = ()
    tips: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StateProfile:
    """What can be said of a saved state by looking at it.

    Attributes:
        length: tokens of its chain.
        norms: Frobenius norm of each head's wkv state, [L][H] (RWKV-4: of each layer's, [L][1]).
        shifts: by name, the norm of each layer's token-shift vector, [L].
    """

    path: str
    arch: str
    model: str
    tier: str
    length: int
    nbytes: int
    norms: tuple[tuple[float, ...], ...]
    shifts: tuple[tuple[str, tuple[float, ...]], ...]
