"""The chat: conversations at the left, transcript and prompt, sampling at the right, a status line."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static

from engine.types import Prefilled
from rwkv_chat.explain import explain, sentence
from rwkv_chat.plain_text import clean, title
from rwkv_chat.session.errors import SessionError
from rwkv_chat.session.events import Answered, Committed, ReplyGrew, TurnFailed, WaitingForModel
from rwkv_chat.texts import say
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.prose.entry import Entry
from rwkv_chat.tui.screens.dialogs import Ask, Confirm
from rwkv_chat.tui.screens.meter import Meter
from rwkv_chat.tui.widgets.chat_list import ChatList, ChatRow
from rwkv_chat.tui.widgets.prompt import PromptBox
from rwkv_chat.tui.widgets.sampling_panel import SamplingPanel
from rwkv_chat.tui.widgets.status_line import StatusLine
from rwkv_chat.tui.widgets.suggestions import Suggestions
from rwkv_chat.tui.widgets.transcript import Transcript
from rwkv_chat.tui.words import node_entry

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from rwkv_chat.session import TurnEvent
    from rwkv_chat.transcript import Node, Thread
    from rwkv_chat.tui.desk import Desk
    from rwkv_chat.tui.turns import LiveReply

log = logging.getLogger(__name__)
NARROW = 90  # cells; below, the list hides by itself


class ChatScreen(Screen[None]):
    """One conversation at a time; replies in others go on."""

    CSS_PATH = "chat.tcss"
    BINDINGS = textual_bindings("chat")
    AUTO_FOCUS = "#prompt"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (NARROW, "-wide")]  # noqa: RUF012  declared by Textual

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.chats = desk.session.chats
        self.thread_id: str | None = None  # known before a new conversation is on the disk
        self.thread: Thread | None = None
        self.threads: tuple[Thread, ...] = ()
        self.nodes: tuple[Node, ...] = ()
        self.meter = Meter(desk)
        self._deleted: Thread | None = None

    # ---------------------------------------------------------------- parts

    def compose(self) -> ComposeResult:
        with Horizontal(id="columns"):
            yield ChatList(id="chats")
            with Vertical(id="conversation"):
                yield Transcript(id="transcript")
                with Vertical(id="empty"):
                    yield Static(id="greeting")
                    yield Suggestions(id="suggestions")
                yield PromptBox(placeholder=say("app.prompt.placeholder"), id="prompt")
            yield SamplingPanel(self.desk.params, id="sampling")
        yield StatusLine(id="status")
        yield Footer(show_command_palette=False, compact=True)

    @property
    def transcript(self) -> Transcript:
        return self.query_one(Transcript)

    @property
    def prompt(self) -> PromptBox:
        return self.query_one(PromptBox)

    @property
    def live(self) -> LiveReply | None:
        """The reply being written in the conversation that is shown."""
        return self.desk.turns.of(self.thread_id)

    async def on_mount(self) -> None:
        values = self.desk.session.settings
        self.set_class(not values.show_list, "-list-hidden")
        self.set_class(not values.show_sampling, "-sampling-hidden")
        self.desk.turns.listener = self.turn_event
        self.desk.watchers.append(self.model_changed)
        await self.refresh_list()
        await self.open_thread(self.threads[0] if self.threads else None)

    def model_changed(self) -> None:
        """The model got further, or another was chosen."""
        self._show_empty(empty=self.has_class("-empty"))
        self.query_one(SamplingPanel).show(self.desk.params)
        self._show_status()

    # ---------------------------------------------------------------- conversations

    async def refresh_list(self) -> None:
        self.threads = await self.chats.threads()
        self._show_list()

    def _show_list(self) -> None:
        busy = self.desk.turns.busy
        rows = tuple(ChatRow(each.id, _name(each), each.id in busy) for each in self.threads)
        self.query_one(ChatList).show(rows, self.thread_id)

    async def open_thread(self, thread: Thread | None) -> None:
        """Show a conversation, or an empty new one."""
        self.thread, self.nodes = thread, ()
        self.thread_id = thread.id if thread is not None else None
        if thread is not None:
            conversation = await self.chats.open(thread.id)
            self.thread, self.nodes = conversation.thread, conversation.nodes
        self._show_nodes()
        live = self.live
        if live is not None:
            self.transcript.begin(self._live_entry(live))
        self._show_list()
        self._show_status()
        self.prompt.focus()

    def _show_nodes(self) -> None:
        name = self.desk.session.models.current.name
        live = self.live
        nodes = self.nodes
        if live is not None and nodes and nodes[-1].message.role == "assistant":
            nodes = nodes[:-1]  # it is being written: the live reply stands for it
        entries = [node_entry(node, name) for node in nodes]
        if nodes and nodes[-1].message.role == "user" and live is None:
            entries.append(Entry("unanswered", "note", say("app.transcript.unanswered")))
        self.transcript.show(entries)
        self._show_empty(empty=not nodes and live is None)
        self.app.title = _name(self.thread) if self.thread else say("app.title")

    def _show_empty(self, *, empty: bool) -> None:
        """A conversation without messages says who speaks and offers what to ask."""
        self.set_class(empty, "-empty")
        self.prompt.offering = empty and bool(self.desk.session.models.current.suggestions)
        if not empty:
            return
        card = self.desk.session.models.current
        text = say("app.greeting.guide") if card.builtin else say("app.greeting.model")
        greeting = Content.styled(clean(card.name), "bold $primary") + Content(f"\n{text}")
        self.query_one("#greeting", Static).update(greeting)
        self.query_one(Suggestions).show(card.suggestions)

    def _live_entry(self, live: LiveReply) -> Entry:
        name = self.desk.session.models.current.name
        return Entry("live", "assistant", live.text, name, live.reasoning, self.meter.hint(live))

    def on_chat_list_picked(self, event: ChatList.Picked) -> None:
        thread = next((each for each in self.threads if each.id == event.thread_id), None)
        self.call_later(self.open_thread, thread)

    async def action_new_chat(self) -> None:
        await self.open_thread(None)

    async def _step(self, step: int) -> None:
        ids = [each.id for each in self.threads]
        if not ids:
            return
        at = ids.index(self.thread.id) + step if self.thread and self.thread.id in ids else 0
        await self.open_thread(self.threads[at % len(ids)])

    async def action_next_chat(self) -> None:
        await self._step(1)

    async def action_previous_chat(self) -> None:
        await self._step(-1)

    def action_rename_chat(self) -> None:
        if self.thread is not None:
            self.app.push_screen(Ask(say("app.rename.title"), self.thread.title), self._rename)

    async def _rename(self, name: str | None) -> None:
        if name and self.thread is not None:
            self.thread = await self.chats.rename(self.thread.id, title(name))
            await self.refresh_list()

    def action_delete_chat(self) -> None:
        if self.thread is not None:
            text = say("app.delete.question", title=_name(self.thread), count=len(self.nodes))
            self.app.push_screen(Confirm(text, say("app.delete.yes")), self._delete)

    async def _delete(self, sure: bool | None) -> None:
        thread = self.thread
        if not sure or thread is None:
            return
        await self.desk.turns.stop(thread.id)
        self._deleted = await self.chats.delete(thread.id)
        await self.refresh_list()
        await self.open_thread(self.threads[0] if self.threads else None)
        self.notify(say("app.delete.done", title=_name(thread)), markup=False)

    async def action_undo_delete(self) -> None:
        if self._deleted is None:
            self.notify(say("app.delete.nothing"), markup=False)
            return
        thread, self._deleted = await self.chats.restore(self._deleted.id), None
        await self.refresh_list()
        await self.open_thread(thread)

    # ---------------------------------------------------------------- turns

    def on_prompt_box_submitted(self, event: PromptBox.Submitted) -> None:
        self.send(event.text)

    def on_prompt_box_asked(self) -> None:
        self.query_one(Suggestions).focus()

    def on_suggestions_chosen(self, event: Suggestions.Chosen) -> None:
        self.send(event.text)

    def send(self, text: str) -> None:
        """Send a message; it stays in the prompt while a reply is being written."""
        if self.live is not None:
            self.notify(say("app.busy"), markup=False)
            return
        try:
            turn = self.chats.send(self.thread_id, text)
        except SessionError as error:
            self.notify(sentence(error), severity="warning", markup=False)
            return
        self.thread_id = self.desk.turns.follow(turn, text).thread
        self.prompt.clear()
        self.prompt.focus()
        self._show_empty(empty=False)

    async def action_regenerate(self) -> None:
        """Answer the last message again; one that was never answered gets its first reply."""
        if self.thread is None or self.live is not None:
            return
        try:
            turn = self.chats.regenerate(self.thread.id)
        except SessionError as error:
            self.notify(sentence(error), severity="warning", markup=False)
            return
        self.desk.turns.follow(turn)

    def action_stop(self) -> None:
        live = self.live
        if live is None:
            self.prompt.focus()
            return
        live.stop()
        self._show_status()

    async def turn_event(self, live: LiveReply, event: TurnEvent) -> None:
        """One event of a reply, here or in a conversation that is not shown."""
        shown = live.thread == self.thread_id
        match event:
            case Committed():
                await self._committed(event, shown=shown)
            case ReplyGrew() if shown:
                self.transcript.grow(event.text, thought=event.part == "reasoning")
            case Prefilled() | WaitingForModel() if shown:
                self.transcript.hint(self.meter.hint(live))
            case Answered():
                await self._answered(event, shown=shown)
            case TurnFailed():
                await self._failed(live, event, shown=shown)
        self.meter.take(event)
        if shown:
            self._show_status()

    async def _committed(self, event: Committed, *, shown: bool) -> None:
        if shown:
            await self.open_thread(event.thread)
        await self.refresh_list()

    async def _answered(self, event: Answered, *, shown: bool) -> None:
        if shown and event.node is not None:
            self.nodes = (*self._before(event.node), event.node)
            self.transcript.finish(node_entry(event.node, self.desk.session.models.current.name))
        elif shown:
            await self.open_thread(event.thread)
        await self.refresh_list()

    def _before(self, node: Node) -> tuple[Node, ...]:
        """The nodes up to the parent of `node`."""
        ids = [each.id for each in self.nodes]
        return self.nodes[: ids.index(node.parent) + 1] if node.parent in ids else self.nodes

    async def _failed(self, live: LiveReply, event: TurnFailed, *, shown: bool) -> None:
        text = sentence(event.error)
        if not shown:
            self.notify(text, severity="error", markup=False)
            return
        if self.thread is not None:
            await self.open_thread(self.thread)
        elif live.question and not self.prompt.text:
            self.prompt.text = live.question  # it was not committed: give it back
        retry = say("app.error.retry") if self.thread else ""
        self.transcript.add(Entry("error", "error", f"{text}\n{retry}".strip(), explain(event.error).title))

    # ---------------------------------------------------------------- the rest

    def action_copy_reply(self) -> None:
        replies = [each.message.text for each in self.nodes if each.message.role == "assistant"]
        if not replies:
            self.notify(say("app.copy.nothing"), markup=False)
            return
        self.app.copy_to_clipboard(clean(replies[-1]))
        self.notify(say("app.copy.done"), markup=False)

    def action_scroll_transcript(self, pages: int) -> None:
        self.transcript.scroll_pages(pages)

    def action_toggle_thoughts(self) -> None:
        self.transcript.toggle_thoughts()

    async def action_toggle_list(self) -> None:
        if self.has_class("-narrow"):
            self.toggle_class("-list-over")
            return
        self.toggle_class("-list-hidden")
        await self.desk.change(show_list=not self.has_class("-list-hidden"))

    async def action_toggle_sampling(self) -> None:
        self.toggle_class("-sampling-hidden")
        hidden = self.has_class("-sampling-hidden")
        if hidden:
            self.prompt.focus()
        else:
            self.query_one("#param-temperature").focus()
        await self.desk.change(show_sampling=not hidden)

    async def on_sampling_panel_changed(self, event: SamplingPanel.Changed) -> None:
        await self.desk.sample(event.params)

    async def on_sampling_panel_reset_asked(self) -> None:
        await self.desk.sample(self.desk.session.models.current.sampling)
        self.query_one(SamplingPanel).show(self.desk.params)

    def _show_status(self) -> None:
        live = self.live
        self.query_one(StatusLine).show(self.meter.status(live))


def _name(thread: Thread) -> str:
    return title(thread.title) or say("app.untitled")
