"""The one table of commands: name → module. A module is imported only when its command is called; its click
command is the attribute `command`. Short helps stand in the catalogue under `commands.<name>.short`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CommandRow:
    """One command of `rwkv-chat`; without a command, the terminal interface opens."""

    name: str
    module: str


COMMANDS: tuple[CommandRow, ...] = (
    CommandRow("ask", "rwkv_chat.cli.ask"),
    CommandRow("bench", "rwkv_chat.cli.bench"),
    CommandRow("backup", "rwkv_chat.cli.backup"),
    CommandRow("chat", "rwkv_chat.cli.chat"),
    CommandRow("convs", "rwkv_chat.cli.convs"),
    CommandRow("doctor", "rwkv_chat.cli.doctor"),
    CommandRow("logits", "rwkv_chat.cli.logits"),
    CommandRow("models", "rwkv_chat.cli.models"),
    CommandRow("restore", "rwkv_chat.cli.restore"),
    CommandRow("settings", "rwkv_chat.cli.settings"),
    CommandRow("states", "rwkv_chat.cli.states"),
    CommandRow("tokens", "rwkv_chat.cli.tokens"),
    CommandRow("tune", "rwkv_chat.cli.tune"),
    CommandRow("verify", "rwkv_chat.cli.verify"),
)
