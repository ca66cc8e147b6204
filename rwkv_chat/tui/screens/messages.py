"""The messages of a conversation, one of which is chosen, and what can be done to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from rwkv_chat.plain_text import title
from rwkv_chat.texts import say
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.widgets.key_footer import KeyFooter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from textual.app import ComposeResult

    from rwkv_chat.transcript import Node

_OfTheTree = Literal["edit", "branch", "go", "previous", "next", "delete"]
_OfAReply = Literal["regenerate", "begin", "continue", "alternatives"]
_Seen = Literal["copy", "block", "links", "tokens"]
What = Literal["bookmark", "pin", "persona", "capsule"] | _Seen | _OfTheTree | _OfAReply
LONGEST = 300


@dataclass(frozen=True, slots=True)
class Act:
    """What is to be done to which message."""

    what: What
    node: Node


class MessagesScreen(ModalScreen[Act | None]):
    """The conversation stays in view above; the highlighted message is scrolled to."""

    CSS_PATH = "messages.tcss"
    BINDINGS = textual_bindings("message")
    AUTO_FOCUS = "#messages"

    def __init__(
        self,
        nodes: tuple[Node, ...],
        places: Mapping[str, tuple[int, int]],
        look: Callable[[str], None],
        chosen: str = "",
    ) -> None:
        """
        Args:
            nodes: the conversation, oldest first.  places: by id, which of how many alternatives each is.
            look: brings a message into view.  chosen: the one to begin with; the last one if "".
        """
        super().__init__()
        self._said, self._places, self._look, self._chosen = nodes, places, look, chosen

    def compose(self) -> ComposeResult:
        with Vertical(id="message-panel"):
            yield Static(say("app.message.title"), classes="title", markup=False)
            yield OptionList(
                *(Option(self._line(each), id=each.id) for each in self._said), id="messages", compact=True
            )
            yield Static(say("app.message.hint"), id="message-hint", markup=False)
            yield KeyFooter()

    def on_mount(self) -> None:
        ids = [each.id for each in self._said]
        at = ids.index(self._chosen) if self._chosen in ids else len(ids) - 1
        self.query_one(OptionList).highlighted = at

    def _line(self, node: Node) -> Content:
        """Who, what is to be known of it, and the beginning of what was said."""
        who = say(f"app.message.who.{node.message.role}")
        marks = "".join(f"{each}  " for each in self._marks(node))  # before the text, whose end may be cut
        text = Content(title(node.message.text, LONGEST) or "…")
        return Content.styled(f"{who}  ", "$primary") + Content.styled(marks, "$accent") + text

    def _marks(self, node: Node) -> list[str]:
        place, number = self._places.get(node.id, (1, 1))
        marks = [say("app.message.place", place=place, number=number)] if number > 1 else []
        if node.bookmark is not None:
            marks.append(f"⚑ {title(node.bookmark)}".strip())
        if node.pinned:
            marks.append("▲")
        if node.fresh:
            marks.append(say("app.message.fresh"))
        return marks

    @property
    def node(self) -> Node | None:
        at = self.query_one(OptionList).highlighted
        return self._said[at] if at is not None else None

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        if event.option_id is not None:
            self._look(event.option_id)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_act("edit")

    def action_act(self, what: What) -> None:
        if self.node is not None:
            self.dismiss(Act(what, self.node))

    def action_leave(self) -> None:
        self.dismiss(None)
