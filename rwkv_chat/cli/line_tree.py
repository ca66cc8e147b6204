"""Line mode's commands on the tree of a conversation. Messages are called by their number in /messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rwkv_chat.cli.interrupts import on_interrupt
from rwkv_chat.cli.line_base import LineBase, LinePrinter, name_of
from rwkv_chat.cli.output import note, result
from rwkv_chat.session import Reading, TurnFailed
from rwkv_chat.session.wish import MOST_ALTERNATIVES
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from rwkv_chat.transcript import Node

SHOWN = 70  # characters of a message in a list
USUAL_ALTERNATIVES, USUAL_TURNS = 3, 4


class TreeCommands(LineBase):
    """Other replies, other branches, undo, memory."""

    # ---------------------------------------------------------------- replies

    def do_regen(self) -> None:
        if (thread := self._open_one()) is not None:
            self._speak(lambda: self.session.chats.regenerate(thread, self._chosen))

    def do_begin(self, words: str) -> None:
        """The last message is answered again, with a reply that begins so."""
        if (thread := self._open_one()) is not None:
            chats = self.session.chats
            self._speak(lambda: chats.regenerate(thread, self._chosen, begin=words))

    def do_continue(self) -> None:
        if (thread := self._open_one()) is not None:
            self._speak(lambda: self.session.chats.continue_reply(thread, self._chosen))

    def do_aside(self, text: str) -> None:
        here = self.thread
        self._speak(lambda: self.session.chats.aside(here, text, self._sampled))
        self.thread = here

    def do_alt(self, number: str) -> None:
        """Several replies, one after the other; /choose takes one."""
        wanted = _number(number, USUAL_ALTERNATIVES)
        if not 2 <= wanted <= MOST_ALTERNATIVES:
            note(say("cli.chat.how_many_alternatives", most=MOST_ALTERNATIVES))
        elif (thread := self._open_one()) is not None:
            self._wait(self._alternatives(thread, wanted))

    async def _alternatives(self, thread: str, wanted: int) -> None:
        printer = LinePrinter(self.session.models.current, stream=False)
        await printer.follow(self.session.chats.alternatives(thread, wanted, self._chosen))
        note(say("cli.chat.choose"))

    def do_choose(self, number: str) -> None:
        """Another of the replies to the last message."""
        if (thread := self._open_one()) is None:
            return
        others = self._siblings(thread, len(self._messages(thread)))
        if not number.isdigit() or not 1 <= int(number) <= len(others):
            note(say("cli.chat.no_such_reply", number=number, most=len(others)))
            return
        self._wait(self.session.branches.switch(thread, others[int(number) - 1].id))
        note(say("cli.chat.chosen", number=number))

    # ---------------------------------------------------------------- branches

    def do_messages(self) -> None:
        if (thread := self._open_one()) is None:
            return
        for number, node in enumerate(self._messages(thread), 1):
            result(
                say(
                    "cli.chat.message_row", number=number, text=_line(node), marks=self._marks(thread, number)
                )
            )

    def _marks(self, thread: str, number: int) -> str:
        """Which of how many alternatives a message is, its bookmark and pin, and where memory begins."""
        node, others = self._messages(thread)[number - 1], self._siblings(thread, number)
        told: list[str] = []
        if len(others) > 1:
            place = [each.id for each in others].index(node.id) + 1
            told.append(say("cli.chat.mark_branch", number=place, total=len(others)))
        if node.bookmark is not None:
            told.append(say("cli.chat.mark_bookmark", name=node.bookmark))
        told += [say("cli.chat.mark_pin")] * node.pinned + [say("cli.chat.mark_fresh")] * node.fresh
        return " ".join(told)

    def _siblings(self, thread: str, number: int) -> tuple[Node, ...]:
        nodes = self._messages(thread)
        return self._wait(self.session.branches.siblings(nodes[number - 1].id)) if nodes else ()

    def do_edit(self, rest: str) -> None:
        self._edit(rest, keep=False)

    def do_replace(self, rest: str) -> None:
        self._edit(rest, keep=True)

    def _edit(self, rest: str, *, keep: bool) -> None:
        number, _, text = rest.partition(" ")
        if (thread := self._open_one()) is None or (node := self._message(thread, number)) is None:
            return
        work = self.session.branches.edit(thread, node.id, text, keep_following=keep, params=self._sampled)
        begun = self._wait(work)
        if isinstance(begun, Reading):
            self._wait(read(begun))
        else:
            self._speak(lambda: begun)

    def do_go(self, number: str) -> None:
        if (thread := self._open_one()) is not None and (node := self._message(thread, number)) is not None:
            self._wait(self.session.branches.go(thread, node.id))
            note(say("cli.chat.went", number=number))

    def do_switch(self, number: str) -> None:
        """The next alternative of a message."""
        if (thread := self._open_one()) is None or (node := self._message(thread, number)) is None:
            return
        others = [each.id for each in self._siblings(thread, int(number))]
        place = (others.index(node.id) + 1) % len(others)
        self._wait(self.session.branches.switch(thread, others[place]))
        note(say("cli.chat.switched", number=place + 1, total=len(others)))

    def do_branch(self, number: str) -> None:
        if (thread := self._open_one()) is not None and (node := self._message(thread, number)) is not None:
            branch = self._wait(self.session.branches.branch(thread, node.id))
            self.thread = branch.id
            note(say("cli.chat.branched", title=name_of(branch)))

    def do_prune(self, number: str) -> None:
        """Delete a message and what follows it."""
        if (thread := self._open_one()) is not None and (node := self._message(thread, number)) is not None:
            gone = self._wait(self.session.branches.delete_branch(thread, node.id))
            note(say("cli.chat.pruned", messages=gone.messages))
            if gone.kept:
                note(say("cli.chat.pruned_kept", messages=gone.kept))

    def take_back(self) -> None:
        """The last step is taken back; what was said is shown, to be said otherwise."""
        if (thread := self._open_one()) is not None:
            undone = self._wait(self.session.branches.undo(thread))
            note(say("cli.chat.undone", text=undone.text) if undone.text else say("cli.chat.taken_back"))

    def do_redo(self) -> None:
        if (thread := self._open_one()) is not None:
            self._wait(self.session.branches.redo(thread))
            note(say("cli.chat.redone"))

    def do_bookmark(self, rest: str) -> None:
        """Without a number: list them."""
        if (thread := self._open_one()) is None:
            return
        number, _, name = rest.partition(" ")
        if not number:
            for each in self._wait(self.session.branches.bookmarks(thread)):
                result(say("cli.chat.bookmark_row", name=each.bookmark or "", text=_line(each)))
        elif (node := self._message(thread, number)) is not None:
            taken = None if node.bookmark is not None and not name else name
            self._wait(self.session.branches.bookmark(node.id, taken))
            note(
                say("cli.chat.bookmarked" if taken is not None else "cli.chat.not_bookmarked", number=number)
            )

    # ---------------------------------------------------------------- memory

    def do_pin(self, number: str) -> None:
        if (thread := self._open_one()) is not None and (node := self._message(thread, number)) is not None:
            self._wait(self.session.branches.pin(node.id, not node.pinned))
            note(say("cli.chat.not_pinned" if node.pinned else "cli.chat.pinned", number=number))

    def do_refresh(self, turns: str) -> None:
        if (thread := self._open_one()) is not None:
            self._wait(self._refresh(thread, _number(turns, USUAL_TURNS)))

    async def _refresh(self, thread: str, turns: int) -> None:
        await read(self.session.branches.refresh(thread, turns))

    def do_memory(self) -> None:
        if (thread := self._open_one()) is None:
            return
        gauge = self._wait(self.session.branches.absorbed(thread))
        known = gauge.trained_context is not None
        trained = f"{gauge.trained_context:,}" if known else ""
        key = "cli.chat.absorbed" if known else "cli.chat.absorbed_only"
        result(say(key, tokens=f"{gauge.tokens:,}", trained=trained))
        if gauge.partial:
            result(say("cli.chat.partial", messages=gauge.forgotten))

    def do_last(self, tokens: str) -> None:
        """Memory begins with the last messages."""
        wanted = _number(tokens, 0)
        if wanted < 1:
            note(say("cli.chat.how_many_tokens"))
        elif (thread := self._open_one()) is not None:
            self._wait(read(self._wait(self.session.branches.remember_last(thread, wanted))))


async def read(reading: Reading) -> bool:
    """Wait for a reading, Ctrl-C stops it; whether all was read. Raises: whatever failed it."""
    with on_interrupt(reading.stop) as interrupt:
        end: Any = await reading.result()
    if isinstance(end, TurnFailed):
        raise end.error
    if interrupt.number:
        note(say("cli.chat.paused"))
    elif end.usage is not None:
        note(say("cli.chat.has_read", tokens=f"{end.usage.prompt_tokens + end.usage.history_tokens:,}"))
    return not interrupt.number


def _number(text: str, usual: int) -> int:
    """0 for what is no number."""
    if not text:
        return usual
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _line(node: Node) -> str:
    """A message in one line, cut."""
    who = say(f"cli.chat.said_by_{node.message.role}")
    text = " ".join(node.message.text.split())
    return f"{who} {text if len(text) <= SHOWN else text[: SHOWN - 1] + '…'}"
