"""What is typed after a slash in the prompt, carried out."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rwkv_chat.texts import say
from rwkv_chat.tui.screens.answers import USUAL_ALTERNATIVES
from rwkv_chat.tui.screens.telling import telling
from rwkv_chat.tui.screens.tree import USUAL_TURNS, TreeScreen
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from rwkv_chat.tui.slash import SlashRow

MOST_ALTERNATIVES = 8


class CommandScreen(TreeScreen):
    """Base of the chat screen: `command` calls `do_<name>`, which gives whether it was carried out (or will
    be; None after an error): what was not stands in the prompt again.
    """

    def command(self, row: SlashRow, text: str) -> None:
        self.desk.drafts.leaving(self.thread_id, _line(row, text))
        start_work(self, partial(self._command, row, text), group="command")

    async def _command(self, row: SlashRow, text: str) -> None:
        line = _line(row, text)
        try:
            if not await getattr(self, f"do_{row.name}")(*((text,) if row.takes_text else ())):
                self.prompt.give_back(line)
        finally:
            if not self.desk.turns.asked_by(line):  # else at its end
                self.desk.drafts.gone_out(line)

    def _refuse(self, sentence: str) -> bool:
        self.notify(sentence, markup=False)
        return False

    async def do_help(self) -> bool:
        return await self.app.run_action("app.toggle_help")

    # ---------------------------------------------------------------- replies and branches

    async def do_aside(self, text: str) -> bool:
        return self.aside(text) if text else self._refuse(say("app.tree.no_words", command="/aside"))

    async def do_alt(self, number: str) -> bool:
        wanted = _number(number, USUAL_ALTERNATIVES)
        if not 2 <= wanted <= MOST_ALTERNATIVES:
            return self._refuse(say("app.tree.how_many", most=MOST_ALTERNATIVES))
        return self.alternatives(wanted)

    async def do_begin(self, words: str) -> bool:
        if not words:
            return self._refuse(say("app.tree.no_words", command="/begin"))
        if (thread := self.idle()) is None:
            return False
        again = partial(self.chats.regenerate, thread.id, begin=words)
        return self.follow(again, typed=f"/begin {words}") is not None

    async def do_continue(self) -> bool | None:
        return await self.go_on(typed="/continue")

    async def do_undo(self) -> bool | None:
        return await self.action_undo()

    async def do_redo(self) -> bool | None:
        return await self.action_redo()

    async def do_messages(self) -> bool | None:
        return await self.action_messages()

    # ---------------------------------------------------------------- memory

    async def do_refresh(self, turns: str) -> bool | None:
        if (wanted := _number(turns, USUAL_TURNS)) < 0:
            return self._refuse(say("app.tree.how_many_turns", usual=USUAL_TURNS))
        return await self.refresh_memory(wanted)

    async def do_last(self, tokens: str) -> bool | None:
        if (wanted := _number(tokens, 0)) < 1:
            return self._refuse(say("app.tree.how_many_tokens"))
        return await self.remember_last(wanted)

    # ---------------------------------------------------------------- texts

    @telling
    async def do_read(self, path: str) -> bool:
        """A text is read in the background; without a path, one is asked for."""
        from rwkv_chat.tui.screens.books import book_words
        from rwkv_chat.tui.screens.import_dialog import AskPath, typed_path

        found = typed_path(path)
        if found is not None:
            await self.desk.books.take_in(found)
            return True
        self.app.push_screen(
            AskPath(book_words()), lambda given: self.desk.books.add(given.path) if given else None
        )
        return True

    async def do_books(self) -> bool:
        from rwkv_chat.tui.screens.books import BooksScreen

        self.app.push_screen(BooksScreen(self.desk), self._begin_book)
        return True

    @telling
    async def _begin_book(self, thread_id: str | None) -> None:
        """A new chat that has read a text."""
        if thread_id is not None:
            thread = await self.desk.session.books.begin(thread_id)
            await self.refresh_list()
            await self.open_thread(thread)

    @telling
    async def do_quote(self, query: str) -> bool:
        """Passages of the text that this chat began from go into the prompt."""
        from rwkv_chat.session.quotes import quoted

        thread = self.thread
        found = await self.desk.session.books.find(thread.id, query) if thread is not None and query else ()
        if not found:
            return self._refuse(say("app.books.nothing_found"))
        self.prompt.give_back(quoted(found, ""))
        return True

    @telling
    async def do_text(self) -> bool:
        thread = await self.desk.session.writings.begin()
        await self.refresh_list()
        await self.open_thread(thread)
        return True

    # ---------------------------------------------------------------- the prompt

    async def do_edit(self) -> bool:
        return await self.app.run_action("edit_outside", self)

    async def do_copy(self) -> bool:
        return await self.app.run_action("copy_block", self)

    async def do_plain(self) -> bool:
        return await self.app.run_action("plain_view", self)

    # ---------------------------------------------------------------- tuning

    async def do_tune(self) -> bool:
        """A new run that learns from this conversation, as far as it stands."""
        from rwkv_chat.session.examples_types import Branch

        if self.thread is not None and self.nodes:
            self.desk.to_tune = (Branch(self.thread.id, self.nodes[-1].id),)
        self.app.switch_mode("tune")
        return True


def _line(row: SlashRow, text: str) -> str:
    """As it was typed."""
    return f"/{row.name} {text}".rstrip()


def _number(text: str, usual: int) -> int:
    return int(text) if text.isascii() and text.isdigit() else usual if not text else -1
