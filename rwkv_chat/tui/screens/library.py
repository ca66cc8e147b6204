"""The library: every conversation, found by its words, marked, sorted, taken out, thrown away."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Input, Static

from rwkv_chat.library.search import MOST_RANKED
from rwkv_chat.texts import say
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.library_query import typed
from rwkv_chat.tui.library_rows import hit_row, thread_row
from rwkv_chat.tui.screens.library_work import LibraryWork
from rwkv_chat.tui.screens.telling import telling
from rwkv_chat.tui.widgets.key_footer import KeyFooter
from rwkv_chat.tui.widgets.library_list import LibraryList
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.timer import Timer

    from rwkv_chat.library.search import Hit
    from rwkv_chat.transcript import Thread
    from rwkv_chat.tui.desk import Desk
    from rwkv_chat.tui.screens.library_files import View

MOST_SHOWN = 500  # conversations; a search finds the others
MOST_HITS = 100
SMALL = 72  # cells; below, the number of conversations is left out
PAUSE = 0.15  # seconds after a letter
VIEWS: tuple[View, ...] = ("alive", "archived", "trash")


class LibraryScreen(LibraryWork):
    """The mode behind Ctrl+L."""

    CSS_PATH = ["lists.tcss", "library.tcss"]  # noqa: RUF012  declared by Textual
    BINDINGS = textual_bindings("library")
    AUTO_FOCUS = "#conversations"

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.threads: dict[str, Thread] = {}
        self.hits: dict[str, Hit] = {}
        self._number = ""  # of the messages found
        self._due: Timer | None = None

    def compose(self) -> ComposeResult:
        with Horizontal(id="library-top"):
            yield Static(say("app.library.title"), classes="title", id="library-title", markup=False)
            yield Input(placeholder=say("app.library.search"), id="query", compact=True)
            yield Static(id="count", markup=False)
        yield LibraryList(id="conversations")
        yield Static(id="empty-library", classes="nothing", markup=False)
        yield Static(id="said", classes="outcome", markup=False)
        yield KeyFooter()

    @property
    def rows(self) -> LibraryList:
        return self.query_one(LibraryList)

    @property
    def box(self) -> Input:
        return self.query_one("#query", Input)

    def on_resize(self) -> None:
        """Where there is no room for all of the first line, the search has it."""
        self.set_class(self.size.width < SMALL, "-small")

    def on_mount(self) -> None:
        self.say_outcome("")

    def on_screen_resume(self) -> None:
        self.reload()

    # ---------------------------------------------------------------- what is shown

    def reload(self, select: str | None = None) -> None:
        start_work(self, partial(self._reload, select), group="library", exclusive=True)

    @telling
    async def _reload(self, select: str | None) -> None:
        query = typed(self.box.value)
        if query.wrong:
            self.say_outcome(say("app.library.wrong", filter=query.wrong), wrong=True)
        if query.searches:
            await self._search(select)
        else:
            await self._list(select)
        if self.query_one("#said").has_class("-hint"):
            self.say_outcome("")  # other keys do something with what is shown now
        self._tell_count()

    async def _list(self, select: str | None) -> None:
        """Conversations; the filters choose among them as far as they can."""
        wanted = typed(self.box.value).wanted
        if self.view == "trash" or wanted.deleted:
            found = await self.convs.listed(MOST_SHOWN, deleted=True)
        else:
            archived = self.view == "archived" or bool(wanted.archived)
            found = await self.convs.listed(MOST_SHOWN, tag=wanted.tag, archived=archived)
        ids = [each.id for each in found]
        tags, unverified = await self.convs.tags_of(ids), await self.capsules.unverified(ids)
        self.threads, self.hits = {each.id: each for each in found}, {}
        rows = [thread_row(each, tags[each.id], unverified=each.id in unverified) for each in found]
        self.rows.show(rows, select)
        self._show_empty(say(f"app.library.none.{self.view}"), empty=not found)

    async def _search(self, select: str | None) -> None:
        """Messages, newest first: of the trash or the archive where these are shown, else of all outside the
        trash.
        """
        wanted = typed(self.box.value).wanted
        gone = self.view == "trash" or bool(wanted.deleted)
        archived = True if self.view == "archived" else wanted.archived
        hits = await self.convs.search(replace(wanted, deleted=gone, archived=archived, limit=MOST_HITS))
        self.threads, self.hits = {}, {each.node.id: each for each in hits.hits}
        here = "trash" if gone else "archived" if archived else ""
        self.rows.show([hit_row(each, here) for each in hits.hits], select)
        self._show_empty(say("app.library.nothing_found"), empty=not hits.hits)
        more = hits.number > MOST_RANKED
        number = f"{min(hits.number, MOST_RANKED):,}"
        self._number = say("app.library.more_hits", most=number) if more else number

    def _show_empty(self, text: str, *, empty: bool) -> None:
        self.set_class(empty, "-nothing")
        if not empty and self.focused is None:  # it could not have the focus while there was nothing in it
            self.call_after_refresh(self.rows.focus)
        self.query_one("#empty-library", Static).update(Content(text))

    def _tell_count(self) -> None:
        """How many there are, and how many are marked."""
        if self.hits:
            text = say("app.library.hits", number=self._number)
        else:
            text = say(f"app.library.count.{self.view}", number=f"{len(self.threads):,}")
        if self.rows.marked:
            text += say("app.library.marked", number=len(self.rows.marked))
        self.query_one("#count", Static).update(Content(text))

    def say_outcome(self, text: str, *, wrong: bool = False) -> None:
        """What was done; "" for the keys that the footer has no room for."""
        said = self.query_one("#said", Static)
        said.set_class(wrong, "-wrong")
        said.set_class(not text, "-hint")
        said.update(Content(text or self._hint()))

    def _hint(self) -> str:
        if self.hits:
            return say("app.library.hint_hits")
        return say("app.library.hint_trash" if self.view == "trash" else "app.library.hint")

    # ---------------------------------------------------------------- what is chosen

    def chosen(self) -> list[Thread]:
        """The marked conversations, or the highlighted one; none, and a word, where messages were found."""
        if self.hits:
            self.say_outcome(say("app.library.of_messages"), wrong=True)
        keys = self.rows.marked or ({self.rows.current} if self.rows.current else set())
        return [self.threads[each] for each in self.threads if each in keys]

    def on_keyed_list_looked(self) -> None:
        self._tell_count()

    def on_keyed_list_chosen(self, event: LibraryList.Chosen) -> None:
        start_work(self, partial(self._open, event.key))

    @telling
    async def _open(self, key: str) -> None:
        """Go to a conversation, or to a message that was found; out of the trash it comes back."""
        hit = self.hits.get(key)
        thread, node = (hit.thread, key) if hit is not None else (key, "")
        if hit.deleted if hit is not None else self.threads[key].deleted is not None:
            await self.chats.restore(thread)
        self.say_outcome("")
        self.app.switch_mode("chat")
        await self.desk.go(thread, node)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.say_outcome("")
        if self._due is not None:
            self._due.stop()
        self._due = self.set_timer(PAUSE, self.reload)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.rows.focus()

    # ---------------------------------------------------------------- keys

    def key_down(self) -> None:
        """From the search into what it found."""
        if self.box.has_focus:
            self.rows.focus()

    def action_open(self) -> None:
        if self.rows.current is not None:
            self.rows.post_message(LibraryList.Chosen(self.rows.current))

    def action_mark(self) -> None:
        if not self.hits:
            self.rows.toggle()

    def action_mark_all(self) -> None:
        if not self.hits:
            self.rows.mark_all()

    def action_search(self) -> None:
        self.box.focus()

    def action_view(self) -> None:
        """Conversations, those in the archive, those in the trash, and again."""
        self.view = VIEWS[(VIEWS.index(self.view) + 1) % len(VIEWS)]
        self.say_outcome("")
        self.query_one("#library-title", Static).update(Content(say(f"app.library.view.{self.view}")))
        self.reload()

    def action_back(self) -> None:
        """Out of the search first, then out of the marks, then to the chat."""
        if self.box.has_focus or self.box.value:
            self.box.value = ""
            self.rows.focus()
        elif self.rows.marked:
            self.rows.marked = set()
            self.reload()
        else:
            self.say_outcome("")
            self.app.switch_mode("chat")
