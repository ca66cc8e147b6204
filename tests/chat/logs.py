"""What tests of importers ask of the sample logs under tests/data/logs; all were written for the tests."""

from __future__ import annotations

from pathlib import Path

from rwkv_chat.importers.forms import Conversation, Report
from rwkv_chat.importers.logs import Progress, conversations

LOGS = Path(__file__).parents[1] / "data" / "logs"
Said = tuple[str, str]


def read(path: Path | str, form: str = "") -> tuple[list[Conversation], Report]:
    """The conversations of a sample (by its name) or of a file, and the report."""
    found, report = [], Report()
    for item in conversations(LOGS / path, form):
        if not isinstance(item, Progress):
            report.count(item)
        if isinstance(item, Conversation):
            found.append(item)
    return found, report


def one(path: Path | str, form: str = "") -> Conversation:
    """The only conversation of a sample."""
    ((found,), _) = read(path, form)
    return found


def said(conversation: Conversation) -> list[Said]:
    """Who (or as what) and what, from the first turn to the tip; of what is no text, its kind."""
    return [
        (turn.author if turn.role == "other" else turn.role, turn.text or f"<{turn.attachments[0].kind}>")
        for turn in conversation.path()
    ]
