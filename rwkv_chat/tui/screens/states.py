"""The states: personas that chats begin from, and what saved states take up."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from rwkv_chat.texts import say
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.screens.states_work import StatesWork, View
from rwkv_chat.tui.screens.telling import telling
from rwkv_chat.tui.states_details import (
    change_facts,
    chat_facts,
    chat_row,
    persona_facts,
    persona_row,
    profile_facts,
    summary,
)
from rwkv_chat.tui.widgets.key_footer import KeyFooter
from rwkv_chat.tui.widgets.library_list import LibraryList

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from rwkv_chat.session.state_types import ChatUse, Persona, StatesUse
    from rwkv_chat.tui.desk import Desk

WIDE = 104  # cells; below, the details stand under the list
VIEWS: tuple[View, ...] = ("personas", "chats")


class StatesScreen(StatesWork):
    """The mode behind Ctrl+G."""

    CSS_PATH = ["lists.tcss", "states.tcss"]  # noqa: RUF012  declared by Textual
    BINDINGS = textual_bindings("states")
    AUTO_FOCUS = "#state-list"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012  declared by Textual

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.personas: dict[str, Persona] = {}
        self.chats: dict[str, ChatUse] = {}
        self.use: StatesUse | None = None

    def compose(self) -> ComposeResult:
        yield Static(classes="title", id="states-title", markup=False)
        yield Static(id="states-summary", markup=False)
        with Horizontal(id="states-body"):
            yield LibraryList(id="state-list")
            yield Static(id="no-states", classes="nothing", markup=False)
            with VerticalScroll(id="state-details"):
                yield Static(id="state-facts", markup=False)
        yield Static(id="states-said", classes="outcome", markup=False)
        yield KeyFooter()

    @property
    def rows(self) -> LibraryList:
        return self.query_one(LibraryList)

    def on_mount(self) -> None:
        self.say_outcome("")

    def on_screen_resume(self) -> None:
        self.reload()

    # ---------------------------------------------------------------- what is shown

    def reload(self, select: str | None = None) -> None:
        self.work(partial(self._reload, select), "states")

    @telling
    async def _reload(self, select: str | None) -> None:
        self.query_one("#states-title", Static).update(Content(say(f"app.states.view.{self.view}")))
        self.personas = {each.id: each for each in await self.states.list()}
        self._show(select)
        if self.desk.session.private:  # it has no store, and nothing to thin or to keep
            self.query_one("#no-states", Static).update(Content(say("app.states.none.private")))
            return
        self.use = await self.states.usage()
        self.chats = {each.thread: each for each in self.use.chats}
        self.query_one("#states-summary", Static).update(Content(summary(self.use)))
        self._show(select)

    def _show(self, select: str | None) -> None:
        rows = (
            [persona_row(each) for each in self.personas.values()]
            if self.view == "personas"
            else [chat_row(each) for each in self.chats.values()]
        )
        self.rows.show(rows, select)
        self.set_class(not rows, "-nothing")
        self.query_one("#no-states", Static).update(Content(say(f"app.states.none.{self.view}")))
        if rows and self.focused is None:  # it could not have the focus while there was nothing in it
            self.call_after_refresh(self.rows.focus)
        self._show_facts()

    def _show_facts(self) -> None:
        persona, chat = self.persona(), self.chat()
        facts = Content("")
        if persona is not None:
            facts = persona_facts(persona)
        elif chat is not None:
            facts = chat_facts(chat)
        self.query_one("#state-facts", Static).update(facts)

    def say_outcome(self, text: str, *, wrong: bool = False) -> None:
        """What was done; "" for the keys that the footer has no room for."""
        said = self.query_one("#states-said", Static)
        said.set_class(wrong, "-wrong")
        said.set_class(not text, "-hint")
        said.update(Content(text or self._hint()))

    def _hint(self) -> str:
        if self.view == "chats":
            return say("app.states.hint_chats")
        return say("app.states.hint_two" if len(self.rows.marked) == 2 else "app.states.hint")

    def persona(self) -> Persona | None:
        return self.personas.get(self.rows.current or "") if self.view == "personas" else None

    def chat(self) -> ChatUse | None:
        return self.chats.get(self.rows.current or "") if self.view == "chats" else None

    def on_keyed_list_looked(self) -> None:
        self.say_outcome("")
        self._show_facts()

    def on_keyed_list_chosen(self) -> None:
        self.action_open()

    # ---------------------------------------------------------------- keys

    def action_view(self) -> None:
        """Personas, conversations, and again."""
        self.view = VIEWS[(VIEWS.index(self.view) + 1) % len(VIEWS)]
        self.say_outcome("")
        self.reload()

    def action_mark(self) -> None:
        """Mark personas: two of them can be compared."""
        if self.view == "personas":
            self.rows.toggle()

    def action_inspect(self) -> None:
        """Look into a state; into two that are marked: at what they differ in."""
        marked = [each for each in self.personas.values() if each.id in self.rows.marked]
        if len(marked) == 2:
            self.work(partial(self._compare, *marked), "states inspect")
        elif (persona := self.persona()) is not None:
            self.work(partial(self._inspect, persona), "states inspect")

    @telling
    async def _inspect(self, persona: Persona) -> None:
        profile = await self.states.inspect(persona.id)
        known = persona_facts(persona)
        facts = Content("\n\n").join([known, profile_facts(profile)])
        self.query_one("#state-facts", Static).update(facts)
        self.call_after_refresh(self._show_line, known.plain.count("\n") + 2)

    def _show_line(self, line: int) -> None:
        """In a low terminal, what was asked for stands below what was there."""
        self.query_one("#state-details").scroll_to(y=line, animate=False)

    @telling
    async def _compare(self, one: Persona, other: Persona) -> None:
        changes = await self.states.compare(one.id, other.id)
        self.query_one("#state-facts", Static).update(change_facts(changes, one.name, other.name))

    def action_back(self) -> None:
        if self.rows.marked:
            self.rows.marked = set()
            self.reload()
        else:
            self.say_outcome("")
            self.app.switch_mode("chat")
