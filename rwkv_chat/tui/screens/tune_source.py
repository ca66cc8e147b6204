"""First step of a new run: chat logs of other programs, and conversations of the library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Static

from rwkv_chat.plain_text import title
from rwkv_chat.session.examples_types import Branch, LogFile
from rwkv_chat.texts import say
from rwkv_chat.tui.library_rows import thread_row
from rwkv_chat.tui.screens.log_dialog import AskLog, LogWords
from rwkv_chat.tui.screens.telling import telling
from rwkv_chat.tui.widgets.library_list import LibraryList
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from rwkv_chat.tui.desk import Desk
    from rwkv_chat.tui.screens.log_dialog import Log

MOST_SHOWN = 500  # conversations


class SourcePane(Vertical):
    """Files that were added, and conversations of which some are marked.

    Attributes:
        files: the chat logs that were chosen.
    """

    def __init__(self, desk: Desk, branches: Sequence[Branch], *, id: str) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self.files: tuple[LogFile, ...] = ()
        self._desk, self._given = desk, {each.thread: each for each in branches}

    def compose(self) -> ComposeResult:
        with Horizontal(id="log-files-row"):
            yield Static(say("tune_screen.source.no_files"), id="log-files", markup=False)
            yield Button(say("tune_screen.source.add"), id="add-log", compact=True)
            yield Button(say("tune_screen.source.clear"), id="clear-logs", compact=True)
        yield Static(say("tune_screen.source.chats"), classes="heading", markup=False)
        yield LibraryList(id="tune-chats")

    def on_mount(self) -> None:
        start_work(self, self._load, group="tune chats", exclusive=True)
        self._show_files()

    @property
    def chats(self) -> LibraryList:
        return self.query_one(LibraryList)

    @property
    def branches(self) -> tuple[Branch, ...]:
        """The marked conversations, each where it stands, or at the branch that was given."""
        return tuple(self._given.get(each, Branch(each)) for each in sorted(self.chats.marked))

    def take_focus(self) -> None:
        (self.chats if self._given else self.query_one("#add-log", Button)).focus()

    @telling
    async def _load(self) -> None:
        convs = self._desk.session.convs
        found = await convs.listed(MOST_SHOWN)
        tags = await convs.tags_of(each.id for each in found)
        self.chats.show([thread_row(each, tags[each.id]) for each in found])
        self.chats.marked = {each.id for each in found if each.id in self._given}
        self.chats.show([thread_row(each, tags[each.id]) for each in found])

    # ---------------------------------------------------------------- files

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "add-log":
            event.stop()
            words = LogWords(
                say("tune_screen.source.ask"), say("tune_screen.source.who"), say("tune_screen.source.take")
            )
            self.app.push_screen(AskLog(words), self._added)
        elif event.button.id == "clear-logs":
            event.stop()
            self.files = ()
            self._show_files()

    def _added(self, log: Log | None) -> None:
        if log is not None:
            known = tuple(each for each in self.files if each.path != log.path)
            self.files = (*known, LogFile(log.path, log.form, log.who))
            self._show_files()

    def _show_files(self) -> None:
        lines = [_file(each) for each in self.files] or [say("tune_screen.source.no_files")]
        self.query_one("#log-files", Static).update(Content("\n".join(lines)))
        self.query_one("#clear-logs", Button).display = bool(self.files)

    # ---------------------------------------------------------------- conversations

    def on_keyed_list_chosen(self, event: LibraryList.Chosen) -> None:
        event.stop()
        self.chats.toggle()


def _file(file: LogFile) -> str:
    name = title(str(file.path), 300)
    return say("tune_screen.source.file", path=name, who=title(file.speaker)) if file.speaker else name
