"""A text that is written together: the model goes on at the cursor, and one writes on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual.screen import ModalScreen
from textual.widgets import Button, Static, TextArea

from rwkv_chat.explain import sentence
from rwkv_chat.plain_text import clean, title
from rwkv_chat.session.drafts import WRITING, Draft
from rwkv_chat.session.errors import NothingToUndo, SessionError
from rwkv_chat.settings import sampling_with
from rwkv_chat.stronger import stronger
from rwkv_chat.texts import say
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.screens.telling import telling
from rwkv_chat.tui.widgets.key_footer import KeyFooter
from rwkv_chat.tui.widgets.repeat_bar import RepeatBar
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult

    from rwkv_chat.session import Turn
    from rwkv_chat.transcript import Thread
    from rwkv_chat.tui.desk import Desk
    from rwkv_chat.tui.turns import LiveReply

FRAME = 1 / 10
ALTERNATIVES = 3


class WritingScreen(ModalScreen[None]):
    """Kept whenever the model is asked to go on, and when it is left; what was typed since is a draft."""

    CSS_PATH = "writing.tcss"
    BINDINGS = textual_bindings("writing")
    AUTO_FOCUS = "#text"

    def __init__(self, desk: Desk, thread: Thread) -> None:
        super().__init__()
        self.desk, self.thread = desk, thread
        self.live: LiveReply | None = None
        self._kept = ("", "")
        self._shown = ""  # the text as it is kept
        self._around = ("", "")  # what stands around that which is being written
        self._typed: list[tuple[str, str]] = []  # what stood around the cursor when the model went on

    def compose(self) -> ComposeResult:
        yield Static(title(self.thread.title) or say("app.writing.untitled"), id="text-title", markup=False)
        yield TextArea(id="text", soft_wrap=True, tab_behavior="indent")
        yield RepeatBar(id="repeats")
        yield Static(say("app.writing.hint"), id="text-hint", markup=False)
        yield KeyFooter()

    async def on_mount(self) -> None:
        await self._open()
        if draft := self.desk.drafts.of(self.thread.id, WRITING).text:
            self._show(draft, "")
        self.set_interval(FRAME, self._draw)

    @property
    def area(self) -> TextArea:
        return self.query_one(TextArea)

    @property
    def bar(self) -> RepeatBar:
        return self.query_one(RepeatBar)

    @telling
    async def _open(self) -> None:
        """The text as it is kept, with the cursor where it stood."""
        text = await self.desk.session.writings.open(self.thread.id)
        self._kept = text.before, text.after
        before, after = clean(text.before), clean(text.after)
        self._shown = before + after
        self._show(before, after)

    def _show(self, before: str, after: str) -> None:
        self.area.load_text(before + after)
        *above, line = before.split("\n")
        self.area.move_cursor((len(above), len(line)))

    def on_text_area_changed(self) -> None:
        """What the model is writing is kept by itself; whoever writes on after it paused has chosen to."""
        if self.live is None:
            text = self.area.text
            self._keep_draft("" if text == self._shown else text)
            if text != self._shown:
                self.bar.display = False

    def _keep_draft(self, text: str) -> None:
        self.desk.drafts.put(self.thread.id, Draft(text), WRITING)

    def parts(self) -> tuple[str, str]:
        """What stands before the cursor, and after it."""
        document, at = self.area.document, self.area.cursor_location
        return document.get_text_range((0, 0), at), document.get_text_range(at, document.end)

    # ---------------------------------------------------------------- the model

    def action_complete(self) -> None:
        """Have the model go on at the cursor."""
        self._complete(1)

    def action_alternatives(self) -> None:
        self._complete(ALTERNATIVES)

    def _complete(self, number: int) -> None:
        if self.live is not None:
            return
        before, after = self.parts()
        try:
            turn = self.desk.session.writings.complete(self.thread.id, before, after, number=number)
        except SessionError as error:
            self.notify(sentence(error), severity="warning", markup=False)
            return
        self._around = before, after
        live = self._follow(turn)
        if number > 1:
            from rwkv_chat.tui.screens.replies import RepliesScreen

            end = before[-300:]
            self.app.push_screen(RepliesScreen(live, end, number), partial(self._chosen, live))
        else:
            self._watch(live)

    def _follow(self, turn: Turn) -> LiveReply:
        self._typed.append(self.parts())
        self.bar.display = False
        return self.desk.turns.follow(turn, kind="several")  # drawn here, not by the chat

    def _watch(self, live: LiveReply) -> None:
        self.live = live
        self.area.read_only = True

    def _draw(self) -> None:
        """What came so far stands between what was before the cursor and after it."""
        if (live := self.live) is None:
            return
        if live.committed:
            self._keep_draft("")
        before, after = self._around
        self._show(before + clean(live.texts.get(0, "")), after)
        if live.ended:
            self.live, self.area.read_only = None, False
            start_work(self, partial(self._ended, live), group="text", exclusive=True)

    async def _ended(self, live: LiveReply) -> None:
        await self._open()
        if live.answered is not None:
            self.thread = live.answered.thread
            if live.answered.reason == "repeats":
                self.bar.offer()
                self.bar.query(Button).first().focus()  # Tab writes in the text: it leads to no button

    # ---------------------------------------------------------------- what repeats itself

    def on_key(self, event: events.Key) -> None:
        """Letters typed on a button are meant for the text."""
        if event.is_printable and event.character and isinstance(self.focused, Button):
            event.stop()
            self.area.focus()
            self.area.insert(event.character)

    @telling
    async def on_repeat_bar_chosen(self, event: RepeatBar.Chosen) -> None:
        self.area.focus()
        if event.what == "stop":
            return
        if event.what == "raise":
            own = self.thread.sampling
            raised = {**own, **stronger(sampling_with(self.desk.params, own))}
            self.thread = await self.desk.session.chats.configure(self.thread.id, sampling=raised)
        repeating = event.what == "go_on"
        self._watch(self._follow(self.desk.session.chats.continue_reply(self.thread.id, repeating=repeating)))

    @telling
    async def _chosen(self, live: LiveReply, number: int | None) -> None:
        await self.desk.turns.stop(live.thread)
        answered = live.answered
        if answered is not None and number is not None and number < len(answered.alternatives):
            await self.desk.session.branches.switch(self.thread.id, answered.alternatives[number].id)
            await self._open()
        else:
            await self.action_take_back()

    @telling
    async def action_take_back(self) -> None:
        """What the model wrote last is taken back; what was typed before it stays."""
        if self.live is not None:
            return
        try:
            await self.desk.session.branches.undo(self.thread.id)
        except NothingToUndo:
            self.notify(say("app.writing.nothing_to_undo"), markup=False)
            return
        await self._open()
        if self._typed:
            self._show(*self._typed.pop())

    @telling
    async def action_exact_prompt(self) -> None:
        """Show the tokens that the model would go on from at the cursor."""
        if self.desk.session.models.speaker is None:
            self.notify(say("app.exact.waiting"), markup=False)
            return
        from rwkv_chat.tui.screens.exact import ExactScreen

        prompt = await self.desk.session.writings.exact_prompt(self.thread.id, self.parts()[0])
        await self.app.push_screen(ExactScreen(prompt))

    def action_stop(self) -> None:
        """Stop the model, or leave it stopped; with none writing, keep the text and leave."""
        if self.live is not None:
            self.live.stop()
        elif self.bar.display:
            self.bar.display = False
            self.area.focus()
        else:
            start_work(self, self._leave, group="text", exclusive=True)

    @telling
    async def _leave(self) -> None:
        before, after = self.parts()
        if (before, after) != self._kept and (before + after).strip():
            await self.desk.session.writings.write(self.thread.id, before, after)
        self._keep_draft("")
        self.dismiss(None)
