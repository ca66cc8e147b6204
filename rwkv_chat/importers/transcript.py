"""Plain transcripts: lines that begin with a role word; all that follows belongs to it, fenced code too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rwkv_chat.importers.forms import Conversation, Line, Skipped, Turn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rwkv_chat.importers.forms import TurnRole
    from rwkv_chat.importers.sample import Sample
    from rwkv_chat.importers.sources import Source

FORM = "transcript"
_WORDS: dict[TurnRole, str] = {
    "user": "User|Human|Question|Q|Bob|Me|You|Prompt|Instruction|用户|用戶|我|人类|问|問|ユーザー|質問",
    "assistant": "Assistant|Bot|AI|Answer|A|Alice|ChatGPT|GPT|Claude|Model|Response"
    "|助手|机器人|機器人|答|アシスタント|回答",
    "system": "System|系统|系統|システム",
}
_ROLES: dict[str, TurnRole] = {
    word.lower(): role for role, words in _WORDS.items() for word in words.split("|")
}
_BEGIN = re.compile(
    rf"[ \t]{{0,3}}(?:\*\*|#{{1,4}} )?(?P<who>{'|'.join(_WORDS.values())})(?:\*\*)?[ \t]?"
    r"[:\uff1a](?:\*\*)?[ \t]*(?P<said>.*)",
    re.IGNORECASE | re.DOTALL,
)
_INPUT = re.compile(r"Input:[ \t]*(.*)", re.DOTALL)
_FENCE = re.compile(r"[ \t]{0,3}(`{3,}|~{3,})")
_RULE = re.compile(r"-{5,}|={5,}|\*{5,}")


def fits(found: Sample) -> bool:
    begun = [match for each in found.lines if (match := _BEGIN.match(each))]
    roles = {_ROLES[match["who"].lower()] for match in begun}
    return (
        bool(_BEGIN.match(found.lines[0]) if found.lines else False)
        and len(begun) >= 2
        and "assistant" in roles
    )


def read(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    """A rule of dashes ends a conversation, as our own export writes it."""
    for source in sources:
        title = source.name.rsplit(".", 1)[0]
        line, number = Line(FORM, title=title), 0
        with source.text() as text:
            for told in _spoken(text.lines()):
                if told is None:
                    yield from line.rest() if number else ()
                    line, number = Line(FORM, title=title), 0
                elif told[0] is None:
                    yield from (Skipped("bad-record", source.name),) if told[1] else ()
                else:
                    yield from line.add(Turn(str(number), "", told[0], told[1]))
                    number += 1
            if text.too_long:
                yield Skipped("too-large", source.name, text.too_long)
        yield from line.rest() if number else ()


def turns_of(document: str, *, blank_lines: bool = False) -> Iterator[tuple[TurnRole, str]]:
    """Roles and texts of one document; of what stands before the first role word, nothing.

    Args:
        blank_lines: only a line after a blank one begins a turn, as in what RWKV is trained on.
    """
    for told in _spoken(document.split("\n"), blank_lines=blank_lines):
        if told is not None and told[0] is not None:
            yield told[0], told[1]


def _spoken(
    lines: Iterable[str], *, blank_lines: bool = False
) -> Iterator[tuple[TurnRole | None, str] | None]:
    """Who and what; nobody for text before the first; None between two conversations."""
    role: TurnRole | None = None
    said: list[str] = []
    fence, after_blank = "", True
    for row in lines:
        begun = _BEGIN.match(row) if not fence and (after_blank or not blank_lines) else None
        if begun is None and not fence and not blank_lines and _RULE.fullmatch(row) and after_blank:
            yield role, "\n".join(said).strip()
            yield None
            role, said = None, []
        elif begun is not None:
            if role is not None or "".join(said).strip():
                yield role, "\n".join(said).strip()
            role, said = _ROLES[begun["who"].lower()], [begun["said"]]
            fence = _after(begun["said"], fence)
        else:
            more = _INPUT.match(row) if role == "user" and not fence and after_blank else None
            said.append(more[1] if more else row)
            fence = _after(row, fence)
        after_blank = not row.strip()
    yield role, "\n".join(said).strip()


def _after(row: str, fence: str) -> str:
    """The fence that is open after a line."""
    found = _FENCE.match(row)
    if found is None:
        return fence
    return found[1] if not fence else "" if found[1].startswith(fence) else fence
