"""What should not be learnt by heart: addresses, numbers of phones, cards and accounts. Every place is told,
so that a person sees what goes; names become stable aliases. Pure.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

Secret = Literal["e-mail", "card", "account", "phone"]
SECRETS: tuple[Secret, ...] = ("e-mail", "card", "account", "phone")

_PATTERNS: tuple[tuple[Secret, re.Pattern[str]], ...] = (
    ("e-mail", re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")),
    ("account", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")),
    ("card", re.compile(r"(?<![\d-])\d(?:[ -]?\d){12,18}(?![\d-])")),
    ("phone", re.compile(r"(?<![\w.])(?:\+|00)?\(?\d(?:[ ()/-]{0,2}\d){6,14}(?![\w])")),
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}|\d{1,2}/\d{1,2}/\d{4}|(?:19|20)\d{2}-(?:19|20)\d{2}")


@dataclass(frozen=True, slots=True)
class Found:
    """One thing to take out: where it stands in the text, and what it seems to be."""

    start: int
    end: int
    kind: Secret


def secrets(text: str, kinds: Container[Secret] = SECRETS) -> tuple[Found, ...]:
    """Everything that would be taken out, in order, none over another."""
    found: list[Found] = []
    digits = any(map(str.isdigit, text))
    for kind, pattern in _PATTERNS:
        if kind not in kinds or (not digits if kind != "e-mail" else "@" not in text):
            continue
        for match in pattern.finditer(text):
            apart = all(match.end() <= each.start or match.start() >= each.end for each in found)
            if apart and _meant(kind, match[0]):
                found.append(Found(match.start(), match.end(), kind))
    return tuple(sorted(found, key=lambda each: each.start))


def redacted(text: str, found: Iterable[Found]) -> str:
    """The text with a word in brackets in each place."""
    pieces, at = [], 0
    for each in found:
        pieces += [text[at : each.start], f"[{each.kind}]"]
        at = each.end
    return "".join([*pieces, text[at:]])


def _meant(kind: Secret, text: str) -> bool:
    digits = [int(each) for each in text if each.isdigit()]
    if kind == "card":
        return luhn(digits)
    if kind == "account":
        return iban(text)
    return kind != "phone" or (_DATE.fullmatch(text) is None and len(digits) >= 7)


def luhn(digits: list[int]) -> bool:
    """The check digit of cards: every second digit from the right counts twice."""
    doubled = [sum(divmod(2 * each, 10)) for each in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def iban(text: str) -> bool:
    """The check digits of accounts: the number modulo 97 is one."""
    told = text.replace(" ", "")
    turned = "".join(str(int(each, 36)) for each in told[4:] + told[:4])
    return int(turned) % 97 == 1


def aliases(names: Iterable[str]) -> dict[str, str]:
    """Person A, Person B …, in the order of their first words: the same in every run over the same log."""
    told = dict.fromkeys(names)
    return {name: f"Person {_letters(at)}" for at, name in enumerate(told)}


def _letters(number: int) -> str:
    """A … Z, AA, AB …"""
    return (_letters(number // 26 - 1) if number >= 26 else "") + chr(ord("A") + number % 26)


class Aliases:
    """Puts aliases in the place of names: whole words, the longest first.

    The first part of a name stands for its person too, where it is three letters or more, no other person's,
    and written with a capital (in scripts that have none, only whole names are known).
    """

    def __init__(self, given: dict[str, str]) -> None:
        self._given = _first_parts(given) | {name: alias for name, alias in given.items() if name}
        known = sorted(self._given, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_whole, known))) if known else None

    def __call__(self, text: str) -> str:
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda each: self._given[each[0]], text)


def _first_parts(given: dict[str, str]) -> dict[str, str]:
    parts = [(name.split()[0], alias) for name, alias in given.items() if len(name.split()) > 1]
    told = Counter(part for part, _ in parts)
    return {
        part: alias
        for part, alias in parts
        if told[part] == 1 and part not in given and len(part) >= 3 and part[0].isupper()
    }


def _whole(name: str) -> str:
    """A word's ends are where letters end, but for scripts that write without spaces."""
    before = "" if unspaced(name[0]) else r"(?<!\w)"
    after = "" if unspaced(name[-1]) else r"(?!\w)"
    return before + re.escape(name) + after


def unspaced(letter: str) -> bool:
    """Chinese characters, kana, Thai and their neighbours."""
    return "\u0e00" <= letter <= "\u0eff" or "\u2e80" <= letter <= "\u9fff" or letter >= "\U00020000"


def preview(texts: Iterable[str], most: int = 100) -> Iterator[tuple[str, str]]:
    """What would go, and as what: the first `most` of them."""
    left = most
    for text in texts:
        for each in secrets(text)[:left]:
            left -= 1
            yield text[each.start : each.end], each.kind
        if left <= 0:
            return
