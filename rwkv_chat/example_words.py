"""What was found in a chat log or in a selection, in words: for every front end the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rwkv_chat.phrases import listed
from rwkv_chat.plain_text import title
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rwkv_chat.importers.forms import Report
    from rwkv_chat.session.examples_types import Caution, Found

NAMED = 5


def reported(told: Report) -> str:
    """ "n conversations, n turns, n skipped because …": what was taken in of a log."""
    why, skipped = _why(told.skipped), sum(told.skipped.values())
    numbers = {"conversations": f"{told.conversations:,}", "turns": f"{told.turns:,}"}
    return say("logs.counted", **numbers, skipped=f"{skipped:,}", why=why)


def _why(skipped: Mapping[Any, int]) -> str:
    """The reasons, the commonest first; "" for none."""
    counts = sorted(skipped.items(), key=lambda each: -each[1])
    reasons = listed(
        say("logs.reason", number=f"{number:,}", word=say(f"logs.skipped.{reason}"))
        for reason, number in counts
        if number
    )
    return say("logs.why", reasons=reasons) if reasons else ""


def counted(found: Found) -> str:
    """ "n conversations, n messages, n left out because …"."""
    why, skipped = _why(found.skipped), sum(found.skipped.values())
    numbers = {"conversations": f"{found.conversations:,}", "turns": f"{found.turns:,}"}
    return say("examples.counted", **numbers, skipped=f"{skipped:,}", why=why)


def tokens(found: Found) -> str:
    amounts = {"train": f"{found.train.tokens:,}", "learned": f"{found.train.learned:,}"}
    return say("examples.tokens", **amounts, held=f"{found.validation.examples:,}")


def redacted(found: Found) -> str:
    """What was taken out; "" for nothing."""
    things = listed(
        say("examples.redaction", number=f"{number:,}", word=say(f"examples.secret.{kind}"))
        for kind, number in found.redacted.items()
    )
    return say("examples.redacted", things=things) if things else ""


def speakers(found: Found) -> str:
    """Whose messages are learnt; "" where the log says."""
    names = listed(map(title, found.speakers[:NAMED]))
    return say("examples.speakers", names=names) if names else ""


def caution(found: Caution) -> str:
    return say(f"examples.caution.{found.kind}", number=f"{found.number:,}", word=found.word)


def told(found: Found) -> tuple[str, ...]:
    """What was found, a line each."""
    longest = say("examples.longest", tokens=f"{found.longest:,}")
    lines = (counted(found), tokens(found), longest, speakers(found), redacted(found))
    return tuple(filter(None, lines))


def lines(found: Found) -> tuple[str, ...]:
    """The same, and what stands out."""
    return (*told(found), *map(caution, found.warnings))
