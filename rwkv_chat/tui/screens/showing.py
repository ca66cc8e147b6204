"""How a conversation, and what stands around it, is drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from rwkv_chat.phrases import listed
from rwkv_chat.plain_text import clean
from rwkv_chat.texts import say
from rwkv_chat.tui.screens.commands import CommandScreen
from rwkv_chat.tui.screens.meter import Meter
from rwkv_chat.tui.widgets.prompt import PromptBox
from rwkv_chat.tui.widgets.status_line import StatusLine

if TYPE_CHECKING:
    from rwkv_chat.session.cards import ModelCard
    from rwkv_chat.transcript import Node
    from rwkv_chat.tui.desk import Desk
    from rwkv_chat.tui.prose.entry import Entry
    from rwkv_chat.tui.widgets.suggestions import Suggestions
    from rwkv_chat.tui.widgets.transcript import Transcript


class ShowingScreen(CommandScreen):
    """Base of the chat screen.

    Attributes:
        card: the model that the screen speaks of.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.meter = Meter(desk)
        self.card: ModelCard | None = None

    @property
    def transcript(self) -> Transcript:
        from rwkv_chat.tui.widgets.transcript import Transcript

        return self.query_one(Transcript)

    @property
    def prompt(self) -> PromptBox:
        return self.query_one(PromptBox)

    def show_conversation(self) -> None:
        from rwkv_chat.tui.prose.entry import Entry
        from rwkv_chat.tui.words import live_entry

        live, nodes = self.live, self.nodes
        live = None if live is not None and live.kind == "aside" else live
        if live is not None and nodes and nodes[-1].message.role == "assistant":
            nodes = nodes[:-1]  # it is being written, or replaced: the live reply stands for it
        entries = [self.entry_of(node) for node in nodes]
        if entries and live is None and nodes[-1].message.role == "user":
            entries.append(Entry("unanswered", "note", say("app.transcript.unanswered")))
        self.show_empty(empty=not entries and live is None)
        self.transcript.show(entries)
        if live is not None:
            self.transcript.begin(live_entry(live, self.meter.hint(live)))
        self.gauge()
        self.show_status()
        self.show_asides()
        self.show_draft()
        if self.is_current:
            self.prompt.focus()

    def keys_changed(self) -> None:
        """Other keys are in force: an empty conversation, and one that lacks a reply, name them."""
        if self.live is None and (not self.nodes or self.nodes[-1].message.role == "user"):
            self.show_conversation()

    def show_draft(self) -> None:
        """What is typed for the open conversation stands in the prompt."""
        raise NotImplementedError

    def reveal(self, node_id: str) -> None:
        self.transcript.reveal(node_id)

    def entry_of(self, node: Node) -> Entry:
        from rwkv_chat.tui.words import node_entry

        last = bool(self.nodes) and node.id == self.nodes[-1].id
        return node_entry(node, last=last)

    def show_empty(self, *, empty: bool) -> None:
        """A conversation without messages says who speaks and offers what to ask."""
        self.set_class(empty, "-empty")
        self.card = card = self.desk.session.models.current
        self.prompt.offering = empty and bool(card.suggestions)
        if empty:
            text = say("app.greeting.guide") if card.builtin else say("app.greeting.model")
            greeting = Content.styled(clean(card.name), "bold $primary") + Content(f"\n{text}")
            self.query_one("#greeting", Static).update(greeting)
            self.suggestions.show(card.suggestions)

    @property
    def suggestions(self) -> Suggestions:
        from rwkv_chat.tui.widgets.suggestions import Suggestions

        return self.query_one(Suggestions)

    def show_status(self) -> None:
        status = self.meter.status(self.thread_id, self.live)
        words = [each for each in (status.download, self.desk.books.words if self.begun else "") if each]
        manner = listed((self.meter.resumed(self.live), self.manner_words()))
        self.query_one(StatusLine).show(
            replace(status, manner=manner, absorbed=self.absorbed, download=" · ".join(words))
        )

    def told(self, text: str, wrong: bool) -> None:
        """A sentence of what goes on in the background."""
        self.notify(text, severity="warning" if wrong else "information", markup=False)
