"""Line mode's commands on personas: memories with a name, that conversations begin from."""

from __future__ import annotations

from rwkv_chat.cli.line_base import LineBase
from rwkv_chat.cli.output import note, result
from rwkv_chat.plain_text import title
from rwkv_chat.texts import say


class PersonaCommands(LineBase):
    """The list, and a new conversation."""

    def do_persona(self, name: str) -> None:
        """Begin a conversation from one; without a name, list them."""
        if not name:
            self._list()
            return
        found = self._wait(self.session.states.find(name))
        self.thread = self._wait(self.session.states.begin(found.id)).id
        note(say("cli.chat.begun_as", name=title(found.name)))

    def _list(self) -> None:
        found = self._wait(self.session.states.list())
        for each in found:
            about = title(each.description) or say(f"states.kind.{each.kind}")
            result(say("cli.chat.persona_row", name=title(each.name), about=about))
        if not found:
            note(say("states.none"))
