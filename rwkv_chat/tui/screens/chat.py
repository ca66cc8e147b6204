"""The chat: conversations at the left, transcript and prompt, sampling at the right, a status line."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual.containers import Center, Horizontal, Vertical
from textual.content import Content
from textual.widgets import Footer, Input, Static, TextArea

from engine.types import Prefilled
from rwkv_chat.explain import explain, not_kept_sentence, sentence
from rwkv_chat.plain_text import clean
from rwkv_chat.session.errors import SessionError
from rwkv_chat.session.events import Answered, Committed, ReplyGrew, TurnFailed, WaitingForModel
from rwkv_chat.texts import say
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.prose.entry import Entry
from rwkv_chat.tui.screens.asides import AsidesScreen
from rwkv_chat.tui.screens.manner import Choices
from rwkv_chat.tui.screens.meter import Meter
from rwkv_chat.tui.screens.telling import telling
from rwkv_chat.tui.widgets.chat_list import ChatList
from rwkv_chat.tui.widgets.continue_bar import ContinueBar
from rwkv_chat.tui.widgets.lint_line import LintLine
from rwkv_chat.tui.widgets.prompt import PromptBox
from rwkv_chat.tui.widgets.sampling_panel import SamplingPanel
from rwkv_chat.tui.widgets.status_line import StatusLine
from rwkv_chat.tui.widgets.suggestions import Suggestions
from rwkv_chat.tui.widgets.transcript import Transcript
from rwkv_chat.tui.words import live_entry, node_entry

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult

    from rwkv_chat.session import TurnEvent
    from rwkv_chat.transcript import Node
    from rwkv_chat.tui.desk import Desk
    from rwkv_chat.tui.turns import LiveReply

NARROW = 90  # cells; below, the list hides by itself


class ChatScreen(AsidesScreen):
    """One conversation at a time; replies in others go on."""

    CSS_PATH = "chat.tcss"
    BINDINGS = textual_bindings("chat")
    AUTO_FOCUS = "#prompt"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (NARROW, "-wide")]  # noqa: RUF012  declared by Textual

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.meter = Meter(desk)
        self._card = desk.session.models.current  # the model that the screen speaks of

    def compose(self) -> ComposeResult:
        with Horizontal(id="columns"):
            yield ChatList(id="chats")
            with Vertical(id="conversation"):
                yield Transcript(id="transcript")
                with Vertical(id="empty"):
                    yield Static(id="greeting")
                    yield Suggestions(id="suggestions")
                yield ContinueBar(id="continue")
                with Center():
                    yield PromptBox(placeholder=say("app.prompt.placeholder"), id="prompt")
                yield LintLine(id="lint")
            yield SamplingPanel(self.desk.params, id="sampling")
        yield StatusLine(id="status")
        yield Footer(show_command_palette=False, compact=True)

    @property
    def transcript(self) -> Transcript:
        return self.query_one(Transcript)

    @property
    def prompt(self) -> PromptBox:
        return self.query_one(PromptBox)

    async def on_mount(self) -> None:
        settings = self.desk.session.settings
        self.set_class(not settings.show_list, "-list-hidden")
        self.set_class(not settings.show_sampling, "-sampling-hidden")
        self.desk.turns.listener = self.turn_event
        self.desk.watchers.append(self.model_changed)
        self.desk.pulls.watchers.append(self.show_status)
        await self.refresh_list()
        await self.open_thread(self.threads[0] if self.threads else None)

    def model_changed(self) -> None:
        """The model got further, or another was chosen."""
        if self._card is not self.desk.session.models.current:
            self._show_empty(empty=self.has_class("-empty"))
            self.query_one(SamplingPanel).show(self.desk.params)
        self.show_status()
        if self.desk.model.ready:
            self.show_asides()
        if self.live is not None:
            self.transcript.hint(self.meter.hint(self.live))
        if self.desk.model.error is not None:
            self.notify(sentence(self.desk.model.error), severity="error", markup=False)
        if self.desk.not_kept is not None:
            told, self.desk.not_kept = self.desk.not_kept, None
            self.notify(not_kept_sentence(told), severity="warning", timeout=15, markup=False)

    # ---------------------------------------------------------------- what is shown

    def show_conversation(self) -> None:
        live, nodes = self.live, self.nodes
        if live is not None and nodes and nodes[-1].message.role == "assistant":
            nodes = nodes[:-1]  # it is being written, or replaced: the live reply stands for it
        entries = [self._entry(node) for node in nodes]
        if entries and live is None and nodes[-1].message.role == "user":
            entries.append(Entry("unanswered", "note", say("app.transcript.unanswered")))
        self._show_empty(empty=not entries and live is None)
        self.transcript.show(entries)
        if live is not None:
            self.transcript.begin(live_entry(live, self.meter.hint(live)))
        self.show_status()
        self.show_asides()
        if self.is_current:
            self.prompt.focus()

    def _entry(self, node: Node) -> Entry:
        return node_entry(node, self.desk.turns.thought.get(node.id, 0.0))

    def _show_empty(self, *, empty: bool) -> None:
        """A conversation without messages says who speaks and offers what to ask."""
        self.set_class(empty, "-empty")
        self._card = card = self.desk.session.models.current
        self.prompt.offering = empty and bool(card.suggestions)
        if empty:
            text = say("app.greeting.guide") if card.builtin else say("app.greeting.model")
            greeting = Content.styled(clean(card.name), "bold $primary") + Content(f"\n{text}")
            self.query_one("#greeting", Static).update(greeting)
            self.query_one(Suggestions).show(card.suggestions)

    def show_status(self) -> None:
        status = self.meter.status(self.thread_id, self.live)
        self.query_one(StatusLine).show(replace(status, manner=self.manner_words()))

    # ---------------------------------------------------------------- turns

    def on_key(self, event: events.Key) -> None:
        """Letters typed on the list, the suggestions or a button are meant for the prompt."""
        if event.is_printable and event.character and not isinstance(self.focused, Input | TextArea):
            event.stop()
            self.prompt.focus()
            self.prompt.insert(event.character)

    def on_text_area_changed(self) -> None:
        self.lint_soon()

    def on_prompt_box_submitted(self, event: PromptBox.Submitted) -> None:
        self.send(event.text)

    def on_prompt_box_asked(self) -> None:
        self.query_one(Suggestions).focus()

    def on_suggestions_chosen(self, event: Suggestions.Chosen) -> None:
        self.send(event.text)

    def send(self, text: str) -> None:
        """Send a message; it goes back into the prompt while a reply is being written."""
        if self.live is not None:
            self.prompt.give_back(text)
            self.notify(say("app.busy"), markup=False)
            return
        if self.thread_id is None and self.pending != Choices():
            self.call_later(self._send_first, text, self.pending)
            self.pending = Choices()
        else:
            self._send(text)

    @telling
    async def _send_first(self, text: str, chosen: Choices) -> None:
        """A new conversation with choices of its own: they must stand before its first message is fed."""
        thread = await self.chats.create(text)
        await self.configure(thread.id, chosen)
        self.thread_id = thread.id
        self._send(text)

    def _send(self, text: str) -> None:
        try:
            turn = self.chats.send(self.thread_id, text)
        except SessionError as error:
            self.prompt.give_back(text)
            self.notify(sentence(error), severity="warning", markup=False)
            return
        self.thread_id = self.desk.turns.follow(turn, text).thread
        self.bar.hide()
        self.prompt.focus()
        self._show_empty(empty=False)

    @telling
    async def action_regenerate(self) -> None:
        """Answer the last message again; one that was never answered gets its first reply."""
        if self.thread is None or self.live is not None:
            return
        pending = await self.chats.answer_pending(self.thread.id)
        self.desk.turns.follow(pending or self.chats.regenerate(self.thread.id))

    def action_stop(self) -> None:
        """Stop the reply; with none running, go back to the prompt."""
        if self.live is None:
            self.prompt.focus()
            return
        self.live.stop()
        self.transcript.hint(self.meter.hint(self.live))
        self.show_status()

    async def turn_event(self, live: LiveReply, event: TurnEvent) -> None:
        """One event of a reply, here or in a conversation that is not shown."""
        current = live.thread == self.thread_id
        shown = current and self.shown_id == self.thread_id
        match event:
            case Committed():
                if current:
                    await self.open_thread(event.thread)
                await self.refresh_list()
            case ReplyGrew() if shown:
                thought = event.part == "reasoning"
                self.transcript.grow(event.text, thought=thought, seconds=live.thought_seconds)
            case Prefilled() | WaitingForModel() if shown:
                self.transcript.hint(self.meter.hint(live))
            case Answered():
                await self._answered(event, shown=shown)
            case TurnFailed():
                await self._failed(live, event, shown=current)
        self.meter.take(event)
        if shown and self.meter.due(event):
            self.show_status()

    async def _answered(self, event: Answered, *, shown: bool) -> None:
        if shown and event.node is not None:
            self.nodes = (*self._before(event.node), event.node)
            self.transcript.finish(self._entry(event.node))
        elif shown:
            await self.open_thread(event.thread)
        await self.refresh_list()

    def _before(self, node: Node) -> tuple[Node, ...]:
        """The nodes up to the parent of `node`."""
        ids = [each.id for each in self.nodes]
        return self.nodes[: ids.index(node.parent) + 1] if node.parent in ids else self.nodes

    async def _failed(self, live: LiveReply, event: TurnFailed, *, shown: bool) -> None:
        words = explain(event.error)
        if not shown:
            self.notify(sentence(event.error), severity="error", markup=False)
            return
        retry = ""
        if self.thread is not None:
            await self.open_thread(self.thread)
            retry = say("app.error.retry")
        elif live.question:
            self.prompt.give_back(live.question)  # it was not committed
            self.thread_id = None
        text = " ".join(part for part in (words.what, words.advice, retry) if part)
        self._show_empty(empty=False)
        self.transcript.drop("unanswered")
        self.transcript.add(Entry("error", "error", text, words.title))

    # ---------------------------------------------------------------- the rest

    def action_copy_reply(self) -> None:
        replies = [each.message.text for each in self.nodes if each.message.role == "assistant"]
        if not replies:
            self.notify(say("app.copy.nothing"), markup=False)
            return
        self.app.copy_to_clipboard(replies[-1])
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
            self.query_one(SamplingPanel).take_focus()
        await self.desk.change(show_sampling=not hidden)

    async def on_sampling_panel_changed(self, event: SamplingPanel.Changed) -> None:
        await self.desk.sample(event.params)

    async def on_sampling_panel_reset_asked(self) -> None:
        await self.desk.sample(self.desk.session.models.current.sampling)
        self.query_one(SamplingPanel).show(self.desk.params)
