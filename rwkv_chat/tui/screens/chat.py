"""The chat: conversations at the left, transcript and prompt, sampling at the right, a status line."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from textual.containers import Center, Horizontal, Vertical
from textual.widgets import Static, TextArea

from rwkv_chat.texts import say
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.screens.sampling import SamplingScreen
from rwkv_chat.tui.widgets.chat_list import ChatList
from rwkv_chat.tui.widgets.lint_line import LintLine
from rwkv_chat.tui.widgets.prompt import PromptBox
from rwkv_chat.tui.widgets.status_line import StatusLine
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual import events
    from textual.app import ComposeResult

    from rwkv_chat.tui.desk import Desk
    from rwkv_chat.tui.widgets.problem_line import ProblemLine

BEGUN = Path(__file__).with_name("begun.tcss")
NARROW = 90  # cells; below, the list hides by itself


class ChatScreen(SamplingScreen):
    """One conversation at a time; replies in others go on."""

    CSS_PATH = "chat.tcss"
    BINDINGS = textual_bindings("chat")
    AUTO_FOCUS = "#prompt"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (NARROW, "-wide")]  # noqa: RUF012  declared by Textual

    def __init__(self, desk: Desk) -> None:
        self._changing = False
        super().__init__(desk)
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

    def on_mount(self) -> None:
        """One that comes later, in another language, begins by itself."""
        if self.desk.prepared:
            start_work(self, self.begin)

    async def begin(self) -> None:
        """The first frame stands, and the desk is prepared: the conversations, and all else around them."""
        with self.app.batch_update(), self._styled_once():
            await self._mount_rest()
            self.desk.turns.listener = self.turn_event
            self.desk.watchers.append(self.model_changed)
            self.desk.go = self.go
            self.desk.take_sampling = self.take_values
            self.desk.books.tell = self.told
            self.desk.books.watchers.append(self.show_status)
            self.desk.pulls.watchers.append(self.show_status)
            await self.refresh_list()
            await self.open_thread(self.desk.open_thread or next(iter(self.threads), None))
        self.begun = True
        await self.begin_drafting()
        self.desk.books.go_on()
        self.send_early()

    @contextmanager
    def _styled_once(self) -> Iterator[None]:
        """Each class that changes would have all that stands on the screen styled anew."""
        self._changing = True
        try:
            yield
        finally:
            self._changing = False
            self.update_node_styles()

    def update_node_styles(self, animate: bool = True) -> None:
        if not self._changing:
            super().update_node_styles(animate)

    async def _mount_rest(self) -> None:
        self.app.stylesheet.read(BEGUN)
        from rwkv_chat.tui.widgets.completions import Completions
        from rwkv_chat.tui.widgets.continue_bar import ContinueBar
        from rwkv_chat.tui.widgets.key_footer import KeyFooter
        from rwkv_chat.tui.widgets.problem_line import ProblemLine
        from rwkv_chat.tui.widgets.repeat_bar import RepeatBar
        from rwkv_chat.tui.widgets.suggestions import Suggestions
        from rwkv_chat.tui.widgets.transcript import Transcript
        from rwkv_chat.tui.widgets.waiting_line import WaitingLine

        conversation = self.query_one("#conversation")
        empty = Vertical(Static(id="greeting"), Suggestions(id="suggestions"), id="empty")
        above = (
            ContinueBar(id="continue"),
            ProblemLine(id="problem"),
            RepeatBar(id="repeats"),
            WaitingLine(id="waiting"),
            Completions(id="completions"),
        )
        await conversation.mount(Transcript(id="transcript"), empty, *above, before="#typing")
        await conversation.mount(LintLine(id="lint"))
        await self.mount(KeyFooter())
        self.remove_class("-first")
        self.refresh_bindings()  # a footer that comes later waits for them
        if not self.has_class("-sampling-hidden"):
            await self.made_panel()

    def model_changed(self) -> None:
        """The model got further, or another was chosen."""
        if self.card is not self.desk.session.models.current:
            self.show_empty(empty=self.has_class("-empty"))
            self.show_sampling()
        self.show_status()
        if self.desk.model.ready:
            self.show_asides()
        if self.live is not None:
            self.transcript.hint(self.meter.hint(self.live))
        self._show_problem()
        while self.desk.notices:
            self.notify(self.desk.notices.pop(0), severity="warning", timeout=15, markup=False)

    def _show_problem(self) -> None:
        """Why there is no model, with what can be done about it."""
        from rwkv_chat.explain import sentence
        from rwkv_chat.tui.problems import actions_for
        from rwkv_chat.tui.widgets.problem_line import ProblemLine

        error = self.desk.model.error
        text, actions = (sentence(error), actions_for(error)) if error is not None else ("", ())
        self.query_one(ProblemLine).show(text, actions)

    async def on_problem_line_asked(self, event: ProblemLine.Asked) -> None:
        self.prompt.focus()  # the button that was pressed goes with the problem
        await self.app.run_action(f"app.problem({event.action!r})")

    async def take_settings(self) -> None:
        """Settings were changed, perhaps elsewhere: the list and the panel are there, or not."""
        settings = self.desk.session.settings
        self.set_class(not settings.show_list, "-list-hidden")
        if settings.show_sampling == self.has_class("-sampling-hidden"):
            self.set_class(not settings.show_sampling, "-sampling-hidden")
            if settings.show_sampling:
                await self.made_panel()
        self.show_sampling()

    # ---------------------------------------------------------------- keys

    def on_key(self, event: events.Key) -> None:
        """Letters typed on the list, the suggestions or a button are meant for the prompt."""
        from textual.widgets import Input

        if event.is_printable and event.character and not isinstance(self.focused, Input | TextArea):
            event.stop()
            self.prompt.focus()
            self.prompt.insert(event.character)

    def on_paste(self, event: events.Paste) -> None:
        """So is what is pasted there."""
        from textual.widgets import Input

        if not isinstance(self.focused, Input | TextArea):
            event.stop()
            self.prompt.focus()
            self.prompt.take_paste(event.text)

    def action_scroll_transcript(self, pages: int) -> None:
        self.transcript.scroll_pages(pages)

    def action_first(self) -> None:
        self.transcript.to_start()

    def action_last(self) -> None:
        self.transcript.to_end()

    def action_unfold(self) -> None:
        self.prompt.action_unfold()

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
            panel = await self.made_panel()
            self.show_sampling()
            panel.take_focus()
        await self.desk.change(show_sampling=not hidden)
