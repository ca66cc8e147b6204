"""The commands that may be typed into the prompt, by the words that line mode has for them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SlashRow:
    """`/name`, carried out by the method `do_<name>` of the chat screen."""

    name: str
    takes_text: bool = False


SLASH: tuple[SlashRow, ...] = (
    SlashRow("help"),
    SlashRow("aside", takes_text=True),
    SlashRow("alt", takes_text=True),
    SlashRow("begin", takes_text=True),
    SlashRow("continue"),
    SlashRow("undo"),
    SlashRow("redo"),
    SlashRow("messages"),
    SlashRow("tokens"),
    SlashRow("preset", takes_text=True),
    SlashRow("refresh", takes_text=True),
    SlashRow("last", takes_text=True),
    SlashRow("read", takes_text=True),
    SlashRow("books"),
    SlashRow("quote", takes_text=True),
    SlashRow("text"),
    SlashRow("edit"),
    SlashRow("copy"),
    SlashRow("plain"),
    SlashRow("tune"),
)


def parse(text: str) -> tuple[SlashRow | None, str]:
    """The command that a message calls and the rest of its line; (None, message) for what is only said.

    Two slashes at the beginning say one.
    """
    if text.startswith("//"):
        return None, text[1:]
    word, _, rest = text[1:].partition(" ") if text.startswith("/") else ("", "", "")
    row = next((each for each in SLASH if each.name == word.strip()), None)
    if row is None or "\n" in text.strip() or (rest.strip() and not row.takes_text):
        return None, text
    return row, rest.strip()
