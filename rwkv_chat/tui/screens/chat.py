"""The chat: conversations at the left, transcript and prompt, sampling at the right, a status line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from textual.containers import Center, Horizontal, Vertical
from textual.content import Content
from textual.widgets import Footer, Static, TextArea

from rwkv_chat.plain_text import clean
from rwkv_chat.texts import say
from rwkv_chat.tui.choices import Choices
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.screens.commands import CommandScreen
from rwkv_chat.tui.screens.meter import Meter
from rwkv_chat.tui.screens.telling import telling
from rwkv_chat.tui.slash import parse
from rwkv_chat.tui.widgets.chat_list import ChatList
from rwkv_chat.tui.widgets.lint_line import LintLine
from rwkv_chat.tui.widgets.prompt import PromptBox
from rwkv_chat.tui.widgets.status_line import StatusLine

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult

    from rwkv_chat.session import Answered, TurnEvent, TurnFailed
    from rwkv_chat.session.cards import ModelCard
    from rwkv_chat.transcript import Node
    from rwkv_chat.tui.desk import Desk
    from rwkv_chat.tui.prose.entry import Entry
    from rwkv_chat.tui.turns import LiveReply
    from rwkv_chat.tui.widgets.sampling_panel import SamplingPanel
    from rwkv_chat.tui.widgets.suggestions import Suggestions
    from rwkv_chat.tui.widgets.transcript import Transcript

BEGUN = Path(__file__).with_name("begun.tcss")
NARROW = 90  # cells; below, the list hides by itself


class ChatScreen(CommandScreen):
    """One conversation at a time; replies in others go on."""

    CSS_PATH = "chat.tcss"
    BINDINGS = textual_bindings("chat")
    AUTO_FOCUS = "#prompt"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (NARROW, "-wide")]  # noqa: RUF012  declared by Textual

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.meter = Meter(desk)
        self._card: ModelCard | None = None  # the model that the screen speaks of
        self._early: list[str] = []  # what was sent before the conversations were there
        self.add_class("-first")
        settings = desk.session.settings
        self.set_class(not settings.show_list, "-list-hidden")
        self.set_class(not settings.show_sampling, "-sampling-hidden")

    def compose(self) -> ComposeResult:
        """What the first frame shows; `begin` mounts the rest."""
        with Horizontal(id="columns"):
            yield ChatList(id="chats")
            with Vertical(id="conversation"), Center(id="typing"):
                yield PromptBox(placeholder=say("app.prompt.placeholder"), id="prompt")
        yield StatusLine(id="status")

    @property
    def transcript(self) -> Transcript:
        from rwkv_chat.tui.widgets.transcript import Transcript

        return self.query_one(Transcript)

    @property
    def prompt(self) -> PromptBox:
        return self.query_one(PromptBox)

    async def begin(self) -> None:
        """The first frame stands, and the desk is prepared: the conversations, and all else around them."""
        with self.app.batch_update():
            await self._mount_rest()
            self.desk.turns.listener = self.turn_event
            self.desk.watchers.append(self.model_changed)
            self.desk.go = self.go
            self.desk.books.tell = self.told
            self.desk.books.watchers.append(self.show_status)
            self.desk.pulls.watchers.append(self.show_status)
            await self.refresh_list()
            await self.open_thread(self.threads[0] if self.threads else None)
        self.begun = True
        self.desk.books.go_on()
        early, self._early = self._early, []
        for text in early:
            self.send(text)

    async def _mount_rest(self) -> None:
        self.app.stylesheet.read(BEGUN)
        from rwkv_chat.tui.widgets.continue_bar import ContinueBar
        from rwkv_chat.tui.widgets.suggestions import Suggestions
        from rwkv_chat.tui.widgets.transcript import Transcript

        conversation = self.query_one("#conversation")
        empty = Vertical(Static(id="greeting"), Suggestions(id="suggestions"), id="empty")
        await conversation.mount(
            Transcript(id="transcript"), empty, ContinueBar(id="continue"), before="#typing"
        )
        await conversation.mount(LintLine(id="lint"))
        await self.mount(Footer(show_command_palette=False, compact=True))
        self.remove_class("-first")
        self.refresh_bindings()  # a footer that comes later waits for them
        if not self.has_class("-sampling-hidden"):
            await self._sampling()

    @property
    def _panel(self) -> SamplingPanel | None:
        """The sampling panel; None until it is shown for the first time."""
        from rwkv_chat.tui.widgets.sampling_panel import SamplingPanel

        return next(iter(self.query(SamplingPanel)), None)

    async def _sampling(self) -> SamplingPanel:
        """The panel, mounted when it is first shown: it has half of the screen's widgets."""
        if (there := self._panel) is not None:
            return there
        from rwkv_chat.tui.widgets.sampling_panel import SamplingPanel

        panel = SamplingPanel(self.desk.params, id="sampling")
        await self.query_one("#columns").mount(panel)
        # the panel's inputs ask for their places before the layout, and then nobody is told of a new size
        self.call_after_refresh(self.transcript.on_resize)
        return panel

    def model_changed(self) -> None:
        """The model got further, or another was chosen."""
        if self._card is not self.desk.session.models.current:
            self._show_empty(empty=self.has_class("-empty"))
            if (panel := self._panel) is not None:
                panel.show(self.desk.params)
        self.show_status()
        if self.desk.model.ready:
            self.show_asides()
        if self.live is not None:
            self.transcript.hint(self.meter.hint(self.live))
        from rwkv_chat.explain import sentence

        if self.desk.model.error is not None:
            self.notify(sentence(self.desk.model.error), severity="error", markup=False)
        while self.desk.notices:
            self.notify(self.desk.notices.pop(0), severity="warning", timeout=15, markup=False)

    # ---------------------------------------------------------------- what is shown

    def show_conversation(self) -> None:
        from rwkv_chat.tui.prose.entry import Entry
        from rwkv_chat.tui.words import live_entry

        live, nodes = self.live, self.nodes
        live = None if live is not None and live.kind == "aside" else live
        if live is not None and nodes and nodes[-1].message.role == "assistant":
            nodes = nodes[:-1]  # it is being written, or replaced: the live reply stands for it
        entries = [self._entry(node) for node in nodes]
        if entries and live is None and nodes[-1].message.role == "user":
            entries.append(Entry("unanswered", "note", say("app.transcript.unanswered")))
        self._show_empty(empty=not entries and live is None)
        self.transcript.show(entries)
        if live is not None:
            self.transcript.begin(live_entry(live, self.meter.hint(live)))
        self.gauge()
        self.show_status()
        self.show_asides()
        if self.is_current:
            self.prompt.focus()

    def reveal(self, node_id: str) -> None:
        self.transcript.reveal(node_id)

    def _entry(self, node: Node) -> Entry:
        from rwkv_chat.tui.words import node_entry

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
            self.suggestions.show(card.suggestions)

    @property
    def suggestions(self) -> Suggestions:
        from rwkv_chat.tui.widgets.suggestions import Suggestions

        return self.query_one(Suggestions)

    def show_status(self) -> None:
        status = self.meter.status(self.thread_id, self.live)
        words = [each for each in (status.download, self.desk.books.words if self.begun else "") if each]
        self.query_one(StatusLine).show(
            replace(status, manner=self.manner_words(), absorbed=self.absorbed, download=" · ".join(words))
        )

    def told(self, text: str, wrong: bool) -> None:
        """A sentence of what goes on in the background."""
        self.notify(text, severity="warning" if wrong else "information", markup=False)

    # ---------------------------------------------------------------- turns

    def on_key(self, event: events.Key) -> None:
        """Letters typed on the list, the suggestions or a button are meant for the prompt."""
        from textual.widgets import Input

        if event.is_printable and event.character and not isinstance(self.focused, Input | TextArea):
            event.stop()
            self.prompt.focus()
            self.prompt.insert(event.character)

    def on_text_area_changed(self) -> None:
        self.lint_soon()

    def on_prompt_box_submitted(self, event: PromptBox.Submitted) -> None:
        self.send(event.text)

    def on_prompt_box_asked(self) -> None:
        self.suggestions.focus()

    def on_suggestions_chosen(self, event: Suggestions.Chosen) -> None:
        self.send(event.text)

    def send(self, text: str) -> None:
        """Send a message; it goes back into the prompt while a reply is being written.

        One that is sent before the conversations are there is kept, and sent when they are.
        """
        if not self.begun:
            self._early.append(text)
            return
        row, text = parse(text)
        if row is not None:
            self.command(row, text)
            return
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
        from rwkv_chat.session.errors import SessionError

        try:
            turn = self.chats.send(self.thread_id, text)
        except SessionError as error:
            from rwkv_chat.explain import sentence

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
        from engine.types import NotSaved, Prefilled
        from rwkv_chat.session.events import Answered, Committed, ReplyGrew, TurnFailed, WaitingForModel

        if live.kind == "aside":
            self.tell_failed(event)
            return
        current = live.thread == self.thread_id
        shown = current and self.shown_id == self.thread_id
        match event:
            case Committed():
                if current:
                    await self.open_thread(event.thread)
                await self.refresh_list()
            case ReplyGrew() if live.kind == "several":
                pass  # they are shown side by side, above this screen
            case ReplyGrew() if shown:
                thought = event.part == "reasoning"
                self.transcript.grow(event.text, thought=thought, seconds=live.thought_seconds)
            case Prefilled() | WaitingForModel() if shown:
                self.transcript.hint(self.meter.hint(live))
            case NotSaved():
                self.tell_not_saved(event)
            case Answered():
                await self._answered(event, shown=shown)
            case TurnFailed():
                await self._failed(live, event, shown=current)
        self.meter.take(event)
        if shown and self.meter.due(event):
            self.show_status()

    async def _answered(self, event: Answered, *, shown: bool) -> None:
        if shown and event.node is not None and not event.alternatives:
            self.nodes = (*self._before(event.node), event.node)
            self.transcript.finish(self._entry(event.node))
            self.gauge()
        elif shown:
            await self.open_thread(event.thread)
        await self.refresh_list()

    def _before(self, node: Node) -> tuple[Node, ...]:
        """The nodes up to the parent of `node`."""
        ids = [each.id for each in self.nodes]
        return self.nodes[: ids.index(node.parent) + 1] if node.parent in ids else self.nodes

    async def _failed(self, live: LiveReply, event: TurnFailed, *, shown: bool) -> None:
        from rwkv_chat.explain import explain, sentence
        from rwkv_chat.tui.prose.entry import Entry

        words = explain(event.error)
        if not shown:
            self.notify(sentence(event.error), severity="error", markup=False)
            return
        lost = bool(live.question) and not live.committed
        retry = "" if lost else say("app.error.retry")
        if lost:
            self.prompt.give_back(live.question)
        if self.thread is not None:
            await self.open_thread(self.thread)
        elif lost:
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
            panel = await self._sampling()
            panel.show(self.desk.params)
            panel.take_focus()
        await self.desk.change(show_sampling=not hidden)

    async def on_sampling_panel_changed(self, event: SamplingPanel.Changed) -> None:
        await self.desk.sample(event.params)

    async def on_sampling_panel_reset_asked(self) -> None:
        await self.desk.sample(self.desk.session.models.current.sampling)
        (await self._sampling()).show(self.desk.params)
