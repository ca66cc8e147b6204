"""Words as phrases and sentences, joined as the language in force joins them (the catalogue's `phrases`)."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Iterable


def listed(words: Iterable[str]) -> str:
    """ "a, b, c"; "" for none."""
    return _joined("phrases.list", words)


def either(words: Iterable[str]) -> str:
    """ "a or b"; "" for none."""
    return _joined("phrases.either", words)


def clauses(words: Iterable[str]) -> str:
    """ "this; that": parts of one sentence."""
    return _joined("phrases.clauses", words)


def sentences(*texts: str) -> str:
    """Whole sentences after one another; empty ones are left out."""
    return _joined("phrases.sentences", texts)


def sentence(phrase: str) -> str:
    """A phrase as a sentence: "send the message" -> "Send the message."."""
    return say("phrases.sentence", phrase=phrase[:1].upper() + phrase[1:])


def labelled(name: str, value: str) -> str:
    """ "Theme: dark"."""
    return say("phrases.labelled", name=name, value=value)


def _joined(name: str, words: Iterable[str]) -> str:
    first, *rest = [*filter(None, words)] or [""]
    return reduce(lambda before, after: say(name, before=before, after=after), rest, first)
