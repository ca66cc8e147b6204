"""Texts that a conversation has of its own for sampling: what also ends its replies (stop texts), and what is
never written in them (bans). They stand beside the numbers in `Thread.sampling`, as they were typed: which
tokens a ban means depends on the model's vocabulary.

Typed in one line, texts are parted by commas; \\n, \\t, \\, and \\\\ stand for what a line cannot hold or
would part, and quotation marks keep spaces at the ends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.types import StopRule, TokenIds

STOPS, BANS = "stop_texts", "ban_texts"
LISTS = (STOPS, BANS)
MOST, LONGEST = 32, 200  # texts of a list; characters of one
_ID = re.compile(r"#([0-9]{1,7})")
_PART = re.compile(r"(?:\\.|[^,\\])+", re.DOTALL)
_WRITTEN = {"n": "\n", "t": "\t"}


class Encoder(Protocol):
    """What is needed of a tokenizer: widgets know this module, and no session."""

    def encode(self, text: str) -> TokenIds: ...


@dataclass(frozen=True, slots=True)
class Banned:
    """Token ids, and those of the texts that no single token says."""

    ids: TokenIds
    unknown: tuple[str, ...] = ()


def texts_of(own: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The texts of a list; what a damaged conversation has in their stead is left out."""
    found = own.get(name, ())
    if not isinstance(found, list | tuple):
        return ()
    return tuple(each for each in found if isinstance(each, str) and 0 < len(each) <= LONGEST)[:MOST]


def with_stops(rule: StopRule, own: Mapping[str, Any]) -> StopRule:
    """The template's rule, with a conversation's own stop texts."""
    from engine.types import StopRule  # the settings know this module, and the first frame knows no engine

    return StopRule(rule.ids, tuple(dict.fromkeys((*rule.texts, *texts_of(own, STOPS)))))


def banned(texts: tuple[str, ...], tokenizer: Encoder) -> Banned:
    """`#123` is the token of that id; a text is the token that says it, and the one with a space before."""
    ids: list[int] = []
    unknown = []
    for text in texts:
        found = _ids(text, tokenizer)
        ids += found
        if not found:
            unknown.append(text)
    return Banned(tuple(dict.fromkeys(ids)), tuple(unknown))


def _ids(text: str, tokenizer: Encoder) -> list[int]:
    if (named := _ID.fullmatch(text)) is not None:
        return [int(named[1])]
    forms = (tokenizer.encode(text), tokenizer.encode(f" {text}"))
    return [form[0] for form in forms if len(form) == 1]


# ------------------------------------------------------------------------------------------------ one line


def parse(line: str) -> tuple[str, ...] | None:
    """The texts of a line as they are typed; None where they are too many or too long."""
    parts = [_unquoted(each.strip()) for each in _PART.findall(line)]
    texts = tuple(dict.fromkeys(each for each in parts if each))
    return texts if len(texts) <= MOST and all(len(each) <= LONGEST for each in texts) else None


def shown(texts: tuple[str, ...]) -> str:
    """The line that `parse` reads as these texts."""
    return ", ".join(_quoted(each) for each in texts)


def _unquoted(part: str) -> str:
    inner = len(part) > 1 and part[0] == part[-1] == '"' and not part.endswith('\\"')
    return re.sub(r"\\(.)", _meant, part[1:-1] if inner else part, flags=re.DOTALL)


def _meant(found: re.Match[str]) -> str:
    return _WRITTEN.get(found[1], found[1])


def _quoted(text: str) -> str:
    line = text.replace("\\", "\\\\").replace(",", "\\,").replace('"', '\\"')
    line = line.replace("\n", "\\n").replace("\t", "\\t")
    return f'"{line}"' if line != line.strip() else line
