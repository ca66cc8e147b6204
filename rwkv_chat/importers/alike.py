"""Conversations that say nearly what another one said: sets of five letters each, compared through MinHash.

Of every conversation a signature of 32 numbers is kept; two texts agree in as many of them as their sets of
five-letter pieces overlap (Jaccard), within 0.1 or so. Signatures that share a band of four are compared.
Only the last `MOST` are kept, so that memory stays within some 70 MB for logs of any size.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

PIECE = 5  # letters
NUMBERS, BAND = 32, 4
MOST = 50_000  # signatures
LONGEST = 20_000  # letters that are looked at
_MIX = np.uint64(0x9E3779B97F4A7C15)
_ODD = np.random.default_rng(5).integers(1, 2**63, (NUMBERS, 1), np.uint64) | np.uint64(1)
_SHIFT = np.random.default_rng(6).integers(0, 2**63, (NUMBERS, 1), np.uint64)


def signature(text: str) -> np.ndarray | None:
    """[32] uint32; None for a text too short to be like another (fewer than five letters)."""
    plain = " ".join(text.casefold().split())[:LONGEST]
    letters = np.frombuffer(plain.encode("utf-32-le", "replace"), np.uint32).astype(np.uint64)
    if len(letters) < PIECE:
        return None
    pieces = np.zeros(len(letters) - PIECE + 1, np.uint64)
    for at in range(PIECE):
        pieces = (pieces + letters[at : len(letters) - PIECE + 1 + at]) * _MIX
        pieces ^= pieces >> np.uint64(29)
    mixed = np.unique(pieces) * _ODD + _SHIFT
    return (mixed >> np.uint64(32)).min(axis=1).astype(np.uint32)


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """0 … 1: about how much the two texts have in common."""
    return float((one == other).mean())


class Alike:
    """Tells whether a text is nearly one of those before it."""

    def __init__(self, least: float) -> None:
        self._least = least
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self._bands: dict[bytes, int] = {}
        self._number = 0

    def seen(self, text: str) -> bool:
        """Whether one like it came before; if not, it is remembered."""
        told = signature(text)
        if told is None:
            return False
        bands = [bytes([at]) + told[at : at + BAND].tobytes() for at in range(0, NUMBERS, BAND)]
        near = {self._bands[each] for each in bands if each in self._bands}
        if any(likeness(told, self._kept[each]) >= self._least for each in near):
            return True
        self._remember(told, bands)
        return False

    def _remember(self, told: np.ndarray, bands: list[bytes]) -> None:
        self._kept[self._number] = told
        self._bands |= dict.fromkeys(bands, self._number)
        self._number += 1
        if len(self._kept) > MOST:
            number, old = self._kept.popitem(last=False)
            for at in range(0, NUMBERS, BAND):
                band = bytes([at]) + old[at : at + BAND].tobytes()
                if self._bands.get(band) == number:
                    del self._bands[band]
