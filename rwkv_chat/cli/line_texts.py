"""Line mode's commands on texts: those that are written, and those that are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rwkv_chat.attachments import LARGEST, NotAttached, attach
from rwkv_chat.cli.line_base import LineBase, name_of
from rwkv_chat.cli.line_tree import read
from rwkv_chat.cli.output import note, result
from rwkv_chat.explain import size
from rwkv_chat.paths import expanded
from rwkv_chat.session import quoted
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from rwkv_chat.attachments import Attachment
    from rwkv_chat.library.readings import Book
    from rwkv_chat.library.writings import Writing
    from rwkv_chat.session import Quote

QUOTED = 3  # passages that go with one message


class TextCommands(LineBase):
    """Raw completion, background reading, quotations, files."""

    _quotes: tuple[Quote, ...] = ()
    _files: tuple[Attachment, ...] = ()

    # ---------------------------------------------------------------- written

    def do_text(self) -> None:
        """Begin a text: every line is added to it, and the model goes on."""
        self.thread = self._wait(self.session.writings.begin()).id
        note(say("cli.chat.text_begun"))

    def is_text(self, thread: str) -> bool:
        return self._wait(self.session.chats.open(thread)).thread.kind == "text"

    def write(self, thread: str, line: str) -> None:
        """Add a line to a text and have the model go on."""
        text = self._wait(self.session.writings.open(thread))
        before, after = with_line(text, line), text.after
        self._speak(lambda: self.session.writings.complete(thread, before, after, self._sampled))

    # ---------------------------------------------------------------- read

    def do_read(self, what: str) -> None:
        """Take a file in and read it, or go on reading one of /books."""
        book = (
            self._wait(self.session.books.add(Path(what).expanduser()))
            if not what.isdigit()
            else self._book(what)
        )
        if book is None:
            return
        note(say("cli.chat.reading", title=name_of(book.thread), passages=book.passages))
        if self._wait(self._read(book)):
            chat = self._wait(self.session.books.begin(book.thread.id))
            self.thread = chat.id
            note(say("cli.chat.begun_from", title=name_of(chat)))

    async def _read(self, book: Book) -> bool:
        """Ctrl-C pauses; whether all was read."""
        whole = await read(await self.session.books.read(book.thread.id))
        if not whole:
            await self.session.books.pause(book.thread.id)
        return whole

    def do_books(self) -> None:
        books = self._wait(self.session.books.listed())
        for number, each in enumerate(books, 1):
            result(
                say("cli.chat.book_row", number=number, title=name_of(each.thread), how_far=_how_far(each))
            )
        if not books:
            note(say("cli.chat.no_books"))

    def _book(self, number: str) -> Book | None:
        books = self._wait(self.session.books.listed())
        if 1 <= int(number) <= len(books):
            return books[int(number) - 1]
        note(say("cli.chat.no_such_book", number=number))
        return None

    def do_quote(self, words: str) -> None:
        """Passages of the text that the conversation began from: they go with the next message."""
        if (thread := self._open_one()) is None:
            return
        self._quotes = self._wait(self.session.books.find(thread, words, QUOTED))
        for each in self._quotes:
            result(say("cli.chat.quote", title=each.title, text=each.text))
        note(say("cli.chat.quoted") if self._quotes else say("cli.chat.nothing_quoted"))

    # ---------------------------------------------------------------- in a message

    def do_attach(self, path: str) -> None:
        """The text of a file goes with the next message."""
        try:
            found = attach(expanded(Path(path)), Path.cwd(), Path.home())
        except NotAttached as error:
            words = {"name": error.name, "reason": error.reason, "most": size(LARGEST)}
            note(say(f"prompt.attach.{error.kind}", **words))
            return
        self._files = (*self._files, found)
        note(say("cli.chat.attached", name=found.name))

    def with_enclosures(self, text: str) -> str:
        """A message with the passages that were found for it, and the files."""
        quotes, self._quotes = self._quotes, ()
        files, self._files = self._files, ()
        whole = quoted(quotes, text) if quotes else text
        return "\n".join((*(each.said() for each in files), whole))


def with_line(text: Writing, line: str) -> str:
    """What stands before the cursor once the line was added there."""
    return text.before + ("\n" if text.before else "") + line


def _how_far(book: Book) -> str:
    if book.finished is not None:
        return say("cli.chat.book_read", tokens=f"{book.tokens:,}")
    key = "cli.chat.book_paused" if book.paused else "cli.chat.book_begun"
    return say(key, done=f"{book.done:,}", tokens=f"{book.tokens:,}")
