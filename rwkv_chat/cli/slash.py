"""The one table of line mode's commands. Texts stand in the catalogue under `cli.slash.<name>`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """`/name`, carried out by the method `do_<name>` of `LineMode`."""

    name: str
    takes_text: bool = False


SLASH_COMMANDS: tuple[SlashCommand, ...] = (
    SlashCommand("help"),
    SlashCommand("new"),
    SlashCommand("list"),
    SlashCommand("open", takes_text=True),
    SlashCommand("regen"),
    SlashCommand("begin", takes_text=True),
    SlashCommand("continue"),
    SlashCommand("alt", takes_text=True),
    SlashCommand("choose", takes_text=True),
    SlashCommand("aside", takes_text=True),
    SlashCommand("undo"),
    SlashCommand("redo"),
    SlashCommand("messages"),
    SlashCommand("edit", takes_text=True),
    SlashCommand("replace", takes_text=True),
    SlashCommand("go", takes_text=True),
    SlashCommand("switch", takes_text=True),
    SlashCommand("branch", takes_text=True),
    SlashCommand("prune", takes_text=True),
    SlashCommand("bookmark", takes_text=True),
    SlashCommand("pin", takes_text=True),
    SlashCommand("memory"),
    SlashCommand("refresh", takes_text=True),
    SlashCommand("last", takes_text=True),
    SlashCommand("text"),
    SlashCommand("read", takes_text=True),
    SlashCommand("books"),
    SlashCommand("quote", takes_text=True),
    SlashCommand("attach", takes_text=True),
    SlashCommand("persona", takes_text=True),
    SlashCommand("set", takes_text=True),
    SlashCommand("preset", takes_text=True),
    SlashCommand("tokens", takes_text=True),
    SlashCommand("think", takes_text=True),
    SlashCommand("template", takes_text=True),
    SlashCommand("prompt", takes_text=True),
    SlashCommand("rename", takes_text=True),
    SlashCommand("delete"),
    SlashCommand("quit"),
)


def parse(line: str) -> tuple[SlashCommand | None, str]:
    """The command that a line calls and the rest of the line; (None, message) for a message."""
    if not line.startswith("/") or line.startswith("//"):
        return None, line.removeprefix("/") if line.startswith("//") else line
    word, _, rest = line[1:].partition(" ")
    row = next((each for each in SLASH_COMMANDS if each.name == word), None)
    if row is None or (rest.strip() and not row.takes_text):
        raise UnknownCommand(line.split(maxsplit=1)[0])
    return row, rest.strip()


class UnknownCommand(Exception):
    """A line that begins with / but calls nothing."""
