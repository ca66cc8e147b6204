"""The texts that were read, or are: how far, and chats that begin from them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from rwkv_chat.plain_text import title
from rwkv_chat.texts import say
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.screens.telling import telling
from rwkv_chat.tui.screens.threads import quoted
from rwkv_chat.tui.widgets.key_footer import KeyFooter
from rwkv_chat.tui.widgets.library_list import LibraryList, LibraryRow
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from rwkv_chat.library.readings import Book
    from rwkv_chat.tui.desk import Desk
    from rwkv_chat.tui.screens.import_dialog import PathWords


class BooksScreen(ModalScreen[str | None]):
    """Gives the id of the text that a chat is to begin from; None when left."""

    CSS_PATH = ["lists.tcss", "books.tcss"]  # noqa: RUF012  declared by Textual
    BINDINGS = textual_bindings("books")
    AUTO_FOCUS = "#book-list"

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.books: dict[str, Book] = {}

    def compose(self) -> ComposeResult:
        with Vertical(id="books-panel"):
            yield Static(say("app.books.title"), classes="title", markup=False)
            yield LibraryList(id="book-list")
            yield Static(say("app.books.none"), id="no-books", classes="nothing", markup=False)
            yield KeyFooter()

    def on_mount(self) -> None:
        self.desk.books.watchers.append(self.reload)
        self.reload()

    def on_unmount(self) -> None:
        if self.reload in self.desk.books.watchers:
            self.desk.books.watchers.remove(self.reload)

    def reload(self) -> None:
        start_work(self, self._reload, group="books", exclusive=True)

    @telling
    async def _reload(self) -> None:
        self.books = {each.thread.id: each for each in await self.desk.session.books.listed()}
        rows = [self._row(each) for each in self.books.values()]
        self.query_one(LibraryList).show(rows)
        self.set_class(not rows, "-nothing")

    def _row(self, book: Book) -> LibraryRow:
        share = self.desk.books.shares.get(book.thread.id)
        if share is not None:
            state = f"{share:.0%}"
        elif book.finished is not None:
            state = say("app.books.read")
        else:
            done = book.done / book.tokens if book.tokens else 0.0
            state = say("app.books.paused", share=f"{done:.0%}")
        return LibraryRow(book.thread.id, title(book.thread.title), state)

    @property
    def book(self) -> Book | None:
        return self.books.get(self.query_one(LibraryList).current or "")

    def on_keyed_list_chosen(self, event: LibraryList.Chosen) -> None:
        self.dismiss(event.key)

    def action_begin(self) -> None:
        if self.book is not None:
            self.dismiss(self.book.thread.id)

    def action_pause(self) -> None:
        """Pause the reading of a text, or go on with it."""
        if (book := self.book) is None:
            return
        if book.thread.id in self.desk.books.shares:
            self.desk.books.pause(book.thread.id)
        elif book.finished is None:
            self.desk.books.read(book.thread.id)

    def action_add(self) -> None:
        from rwkv_chat.tui.screens.import_dialog import AskPath

        self.app.push_screen(
            AskPath(book_words()), lambda given: self.desk.books.add(given.path) if given else None
        )

    def action_remove(self) -> None:
        """Into the trash, as a conversation."""
        if (book := self.book) is not None:
            start_work(self, partial(self._remove, book), group="remove")

    @telling
    async def _remove(self, book: Book) -> None:
        if book.thread.id in self.desk.books.shares:
            await self.desk.session.books.pause(book.thread.id)
        await self.desk.session.chats.delete(book.thread.id)
        await self.desk.thrown_away()
        self.notify(say("app.delete.done", name=quoted(book.thread)), markup=False)
        self.reload()

    def action_leave(self) -> None:
        self.dismiss(None)


def book_words() -> PathWords:
    """What the question for a text says."""
    from rwkv_chat.tui.screens.import_dialog import PathWords

    return PathWords(
        say("app.books.ask"),
        say("app.books.placeholder"),
        say("app.books.ask_hint"),
        say("app.books.take"),
    )
