"""A reply that says the same again and again: found when a span stands at its end `TIMES` times in a row.

`Repeats` looks at each token once, in constant time; `repeated` is its plain twin.

How: let q be the shortest period of such an end. For a length s of `SCALES` with q ≤ s ≤ 2q, the last s
tokens stand exactly q back, too, and nowhere nearer: two periods of one stretch that are together no longer
than it have their greatest common divisor as a period. So of each length it is enough to remember where it
was seen last; prefix hashes compare, and a hit is looked at token by token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SPAN = 20  # tokens; what is shorter counts as its smallest multiple of at least so many
LONGEST = 1280  # tokens of a span that is found
TIMES = 3
SCALES = tuple(SPAN << power for power in range(7))  # the last one reaches LONGEST
HELD = 8 * TIMES * LONGEST  # tokens remembered, at most
BASE, MODULUS = 0x5BD1_E995_1B87_3593, (1 << 61) - 1


class Repeats:
    """Takes a reply's tokens one by one."""

    def __init__(self) -> None:
        self._begin([])

    def _begin(self, tokens: Sequence[int]) -> None:
        self._tokens: list[int] = []
        self._hashes = [0]  # of the first i tokens
        self._seen: tuple[dict[int, int], ...] = tuple({} for _ in SCALES)  # hash → where it ended last
        for each in tokens:
            self._note(each)

    def add(self, token: int) -> int:
        """The length of the span that now stands at the end `TIMES` times in a row; 0 for none."""
        if len(self._tokens) >= HELD:
            self._begin(self._tokens[-TIMES * LONGEST :])
        return next((span for each in self._note(token) if (span := self._span(each))), 0)

    def _note(self, token: int) -> list[int]:
        """How far back the end of each length was seen last."""
        self._tokens.append(token)
        self._hashes.append((self._hashes[-1] * BASE + token + 1) % MODULUS)
        end, found = len(self._tokens), []
        for scale, power, seen in zip(SCALES, _POWERS, self._seen, strict=True):
            if scale > end:
                break
            value = (self._hashes[end] - self._hashes[end - scale] * power) % MODULUS
            if (before := seen.get(value)) is not None:
                found.append(end - before)
            seen[value] = end
        return found

    def _span(self, period: int) -> int:
        span = period * -(-SPAN // period)
        if period > LONGEST:
            return 0
        length = TIMES * span
        return span if self._has_period(period, length) else 0

    def _has_period(self, period: int, length: int) -> bool:
        """Whether the last `length` tokens are the same as those `period` before each."""
        tokens, end = self._tokens, len(self._tokens)
        if length > end or tokens[-length] != tokens[period - length]:
            return False
        if self._hash(end - length, end - period) != self._hash(end - length + period, end):
            return False
        return tokens[end - length : end - period] == tokens[end - length + period :]

    def _hash(self, first: int, last: int) -> int:
        return (self._hashes[last] - self._hashes[first] * pow(BASE, last - first, MODULUS)) % MODULUS


_POWERS = tuple(pow(BASE, scale, MODULUS) for scale in SCALES)


def repeated(tokens: Sequence[int]) -> int:
    """The same by looking at every length: 0, or the shortest span."""
    for span in range(SPAN, min(LONGEST, len(tokens) // TIMES) + 1):
        end = tuple(tokens[len(tokens) - TIMES * span :])
        if end == end[:span] * TIMES:
            return span
    return 0
