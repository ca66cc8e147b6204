"""What all commands of line mode work with: the open conversation, and a way to wait for replies."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from engine.types import Prefilled
from rwkv_chat.cli.ask import Printer
from rwkv_chat.cli.interrupts import on_interrupt
from rwkv_chat.cli.manner import Manner
from rwkv_chat.cli.options import given, sampling_of
from rwkv_chat.cli.output import note, result
from rwkv_chat.explain import not_saved_sentence, resumed_words
from rwkv_chat.plain_text import title
from rwkv_chat.session import ReplyEnded, ReplyGrew
from rwkv_chat.session.events import Resumed
from rwkv_chat.settings import sampling_with
from rwkv_chat.stronger import stronger
from rwkv_chat.texts import say

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine, Mapping

    from engine.types import NotSaved, SamplingParams
    from rwkv_chat.session import Answered, Session, Turn, TurnEvent
    from rwkv_chat.transcript import Node, Thread


class LineBase:
    """One conversation at a time.

    Attributes:
        thread: the open conversation; None until the first message makes one.
    """

    def __init__(self, session: Session, runner: asyncio.Runner, options: Mapping[str, Any]) -> None:
        self.session, self._runner, self._options = session, runner, options
        self.thread: str | None = None
        self.own: dict[str, Any] = {}  # sampling of the conversation that the first message makes
        self._asked = sys.stdin.isatty()
        self._manner = Manner.of(options)
        self._refused: set[str] = set()  # why states were not saved, as far as it was told

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work)

    def _sampled(self, base: SamplingParams) -> SamplingParams:
        return sampling_of(self._options, base)

    @property
    def _chosen(self) -> Any:
        """How to sample where a new seed is wanted; None as long as no option says anything."""
        return self._sampled if given(self._options) else None

    def _speak(self, begin: Any) -> None:
        """Print one reply, and what a person wants of one that repeats itself."""
        printer = self._wait(self._turn(begin))
        while (on := self._asked_on(printer)) is not None:
            printer = self._wait(self._turn(on))

    def _asked_on(self, printer: Printer) -> Any:
        """How a reply goes on that has paused; None where it does not."""
        end, thread = printer.end, self.thread
        if end is None or end.reason != "repeats":
            return None
        note(say("app.repeats.text"))
        if not self._asked or thread is None or end.node is None or not end.node.id:
            return None
        answer = self._answer_to(say("cli.chat.repeats"))
        if answer.startswith("r"):
            own = end.thread.sampling
            raised = stronger(self._sampled(sampling_with(self.session.sampling, own)))
            self._wait(self.session.chats.configure(thread, sampling={**own, **raised}))
        if not answer.startswith(("g", "r")):
            return None
        go_on = answer.startswith("g")
        return lambda: self.session.chats.continue_reply(thread, self._chosen, repeating=go_on)

    def _answer_to(self, question: str) -> str:
        """What a person types, in small letters; "" at the end of the input."""
        note(question, end="")
        try:
            return input().strip().lower()
        except EOFError:
            return ""

    async def _turn(self, begin: Any) -> Printer:
        """Print one reply; Ctrl-C stops it and keeps what was said."""
        turn: Turn = begin()
        self.thread = turn.thread or self.thread
        if self._asked:
            note(say("cli.chat.model", name=title(self.session.models.current.name)), end="")
        printer = LinePrinter(self.session.models.current, stream=True)
        with on_interrupt(turn.stop) as interrupt:
            await printer.follow(turn)
        if printer.end is not None:
            _tell_end(printer.end, printer.before, stopped=bool(interrupt.number))
        if printer.refused is not None:
            self._tell_not_saved(printer.refused)
        return printer

    def _tell_not_saved(self, event: NotSaved) -> None:
        """Once for each reason, since every further reply has the same."""
        if (kind := type(event.error).__name__) not in self._refused:
            self._refused.add(kind)
            note(not_saved_sentence(event))

    def _open_one(self) -> str | None:
        if self.thread is None:
            note(say("cli.chat.no_conversation"))
        return self.thread

    def _messages(self, thread: str) -> tuple[Node, ...]:
        """The messages of the open branch."""
        return self._wait(self.session.chats.open(thread)).nodes

    def _message(self, thread: str, number: str) -> Node | None:
        """The message of that number, as /messages counts; None is said."""
        nodes = self._messages(thread)
        if number.isascii() and number.isdigit() and 1 <= int(number) <= len(nodes):
            return nodes[int(number) - 1]
        note(say("cli.chat.no_such_message", number=number))
        return None


class LinePrinter(Printer):
    """Also says when a conversation is being read again; of several replies, each is shown whole."""

    before = 0  # tokens of the same reply that a crash left
    _told = False

    def show(self, event: TurnEvent) -> None:
        match event:
            case Resumed():
                self.before = event.tokens
                note(resumed_words(event.changed, "cli.chat"))
            case Prefilled(rebuilt=True) if not self._told:
                self._told = True
                note(say("cli.chat.rebuilding", total=event.total))
            case ReplyGrew(part="answer") if not self.stream:
                return
            case ReplyEnded(node=node) if node is not None:
                result(say("cli.chat.alternative", number=event.index + 1, text=node.message.text))
        super().show(event)


def _tell_end(end: Answered, before: int, *, stopped: bool) -> None:
    """Where a reply was cut; and how it goes on, if it was kept (an aside is not)."""
    kept = end.node is not None and bool(end.node.id)
    if stopped:
        note(say("cli.chat.stopped" if kept else "cli.chat.stopped_early"))
    elif end.reason == "length" and end.usage is not None:
        note(say("cli.chat.cut" if kept else "cli.ask.cut", tokens=before + end.usage.reply_tokens))


def name_of(thread: Thread) -> str:
    return title(thread.title) or say("cli.chat.untitled")
