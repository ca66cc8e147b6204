"""What is typed after a slash in the prompt, carried out."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rwkv_chat.texts import say
from rwkv_chat.tui.screens.telling import telling
from rwkv_chat.tui.screens.tree import USUAL_ALTERNATIVES, USUAL_TURNS, TreeScreen

if TYPE_CHECKING:
    from rwkv_chat.tui.slash import SlashRow

MOST_ALTERNATIVES = 8


class CommandScreen(TreeScreen):
    """Base of the chat screen: `command` calls `do_<name>`."""

    def command(self, row: SlashRow, text: str) -> None:
        if row.takes_text:
            getattr(self, f"do_{row.name}")(text)
        else:
            getattr(self, f"do_{row.name}")()

    def do_help(self) -> None:
        self.call_later(self.app.run_action, "app.toggle_help")

    # ---------------------------------------------------------------- replies and branches

    def do_aside(self, text: str) -> None:
        if text:
            self.aside(text)
        else:
            self.notify(say("app.tree.no_words", command="/aside"), markup=False)

    def do_alt(self, number: str) -> None:
        wanted = _number(number, USUAL_ALTERNATIVES)
        if not 2 <= wanted <= MOST_ALTERNATIVES:
            self.notify(say("app.tree.how_many", most=MOST_ALTERNATIVES), markup=False)
        else:
            self.alternatives(wanted)

    def do_begin(self, words: str) -> None:
        thread = self.idle()
        if not words:
            self.notify(say("app.tree.no_words", command="/begin"), markup=False)
        elif thread is not None:
            self.follow(lambda: self.chats.regenerate(thread.id, begin=words))

    def do_continue(self) -> None:
        if (thread := self.idle()) is not None:
            self.follow(lambda: self.chats.continue_reply(thread.id))

    def do_undo(self) -> None:
        self.call_later(self.action_undo)

    def do_redo(self) -> None:
        self.call_later(self.action_redo)

    def do_messages(self) -> None:
        self.call_later(self.action_messages)

    # ---------------------------------------------------------------- memory

    def do_refresh(self, turns: str) -> None:
        if (wanted := _number(turns, USUAL_TURNS)) < 0:
            self.notify(say("app.tree.how_many_turns", usual=USUAL_TURNS), markup=False)
        else:
            self.call_later(self.refresh_memory, wanted)

    def do_last(self, tokens: str) -> None:
        wanted = _number(tokens, 0)
        if wanted < 1:
            self.notify(say("app.tree.how_many_tokens"), markup=False)
        else:
            self.call_later(self.remember_last, wanted)

    # ---------------------------------------------------------------- texts

    def do_read(self, path: str) -> None:
        """A text is read in the background; without a path, one is asked for."""
        from rwkv_chat.tui.screens.books import book_words
        from rwkv_chat.tui.screens.import_dialog import AskPath, typed_path

        found = typed_path(path)
        if found is not None:
            self.desk.books.add(found)
            return
        self.app.push_screen(
            AskPath(book_words()), lambda given: self.desk.books.add(given.path) if given else None
        )

    def do_books(self) -> None:
        from rwkv_chat.tui.screens.books import BooksScreen

        self.app.push_screen(BooksScreen(self.desk), self._begin_book)

    @telling
    async def _begin_book(self, thread_id: str | None) -> None:
        """A new chat that has read a text."""
        if thread_id is not None:
            thread = await self.desk.session.books.begin(thread_id)
            await self.refresh_list()
            await self.open_thread(thread)

    def do_quote(self, query: str) -> None:
        self.run_worker(partial(self._quote, query), group="quote", exclusive=True, exit_on_error=False)

    @telling
    async def _quote(self, query: str) -> None:
        """Passages of the text that this chat began from go into the prompt."""
        from rwkv_chat.session.quotes import quoted

        thread = self.thread
        found = await self.desk.session.books.find(thread.id, query) if thread is not None and query else ()
        if found:
            self.prompt.give_back(quoted(found, ""))
        else:
            self.notify(say("app.books.nothing_found"), markup=False)

    def do_text(self) -> None:
        self.run_worker(self._text, group="text", exclusive=True, exit_on_error=False)

    @telling
    async def _text(self) -> None:
        thread = await self.desk.session.writings.begin()
        await self.refresh_list()
        await self.open_thread(thread)


def _number(text: str, usual: int) -> int:
    return int(text) if text.isascii() and text.isdigit() else usual if not text else -1
