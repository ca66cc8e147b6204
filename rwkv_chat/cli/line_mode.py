"""Line mode: one line, one message. For pipes, screen readers and small terminals.

Replies go to stdout; prompts and remarks go to stderr. Reading a line blocks the main thread (so that the
terminal's own line editing and Ctrl-C work), and the event loop runs only between lines: nothing of ours
needs it while a person types.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rwkv_chat import templates
from rwkv_chat.cli.line_base import name_of
from rwkv_chat.cli.line_personas import PersonaCommands
from rwkv_chat.cli.line_sampling import SamplingCommands
from rwkv_chat.cli.line_texts import TextCommands, with_line
from rwkv_chat.cli.line_tree import TreeCommands
from rwkv_chat.cli.manner import tell_oddities
from rwkv_chat.cli.opening import opened
from rwkv_chat.cli.output import note, result
from rwkv_chat.cli.prompt_rows import heading, lines
from rwkv_chat.cli.slash import SLASH_COMMANDS, UnknownCommand, parse
from rwkv_chat.explain import INTERRUPTED, sentence
from rwkv_chat.phrases import listed
from rwkv_chat.session import quoted
from rwkv_chat.settings import THINK_MODES
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rwkv_chat.session import ExactPrompt, Session


def run(model: Path | None, options: Mapping[str, Any], *, private: bool = False) -> int:
    """Talk until the input ends; the exit code: 0, or 130 after Ctrl-C at the prompt."""
    with asyncio.Runner() as runner:
        opening = opened(model, keep=not private, dtype=options["dtype"])
        session = runner.run(opening.__aenter__())
        try:
            runner.run(asyncio.sleep(0))  # the model begins to load
            return LineMode(session, runner, options).talk()
        except KeyboardInterrupt:
            note("")
            return INTERRUPTED
        finally:
            runner.run(opening.__aexit__(None, None, None))


class LineMode(TreeCommands, TextCommands, PersonaCommands, SamplingCommands):
    """The conversation, and the table of commands."""

    def __init__(self, session: Session, runner: asyncio.Runner, options: Mapping[str, Any]) -> None:
        super().__init__(session, runner, options)
        self._deleted: str | None = None

    def talk(self) -> int:
        """Read and answer lines until the input or the person ends it."""
        if self._asked:
            with suppress(ImportError):
                import readline  # noqa: F401  line editing and history in input()
            note(say("cli.chat.welcome", name=self.session.models.current.name))
        if self.session.private:
            note(say("cli.chat.private"))
        if not self.session.windows.alone:
            note(say("app.other_window"))
        while (line := self._line()) is not None:
            if not line.strip():
                continue
            try:
                if self._obey(line):
                    break
            except BrokenPipeError:
                raise
            except Exception as error:  # whatever one line causes, the next one can be typed
                if not _expected(error):
                    raise
                note(sentence(error))
        return 0

    # ---------------------------------------------------------------- lines

    def _line(self) -> str | None:
        """The next line without its end; None at the end of input."""
        if not self._asked:
            line = sys.stdin.buffer.readline().decode("utf-8", "replace")
            return line.rstrip("\r\n") if line else None
        you = say("cli.chat.you_private" if self.session.private else "cli.chat.you")
        try:
            if sys.stdout.isatty():
                return input(you)
            note(you, end="")
            return input()
        except EOFError:
            note("")
            return None

    def _obey(self, line: str) -> bool:
        """Carry out one line; whether it was the last one."""
        try:
            row, rest = parse(line)
        except UnknownCommand as unknown:
            note(say("cli.chat.no_such_command", word=unknown))
            return False
        if row is None:
            self._say(rest)
            return False
        getattr(self, f"do_{row.name}")(*((rest,) if row.takes_text else ()))
        return row.name == "quit"

    # ---------------------------------------------------------------- replies

    def _say(self, text: str) -> None:
        if self.thread is not None and self.is_text(self.thread):
            self.write(self.thread, text)
            return
        new = self.thread is None
        if new:
            self.thread = self._wait(self._begun())
        tell_oddities(self.session, self._template(), text)
        system, whole = self._manner.system if new else "", self.with_enclosures(text)
        self._speak(lambda: self.session.chats.send(self.thread, whole, self._sampled, system=system))

    async def _begun(self) -> str | None:
        """A new conversation, where something was chosen for it; the first message makes any other."""
        thread = await self._manner.begun(self.session)
        if own := self.own:
            thread, self.own = thread or (await self.session.chats.create()).id, {}
            await self.session.chats.configure(thread, sampling=own)
        return thread

    def _template(self) -> str:
        """The one chosen for the open conversation, "" for the model's own."""
        if self.thread is None:
            return self._manner.template
        return self._wait(self.session.chats.open(self.thread)).thread.chosen_template

    # ---------------------------------------------------------------- commands

    def do_help(self) -> None:
        for row in SLASH_COMMANDS:
            usage, what = say(f"cli.slash.{row.name}.usage"), say(f"cli.slash.{row.name}.help")
            note(say("cli.slash.row", usage=usage, help=what))

    def do_new(self) -> None:
        self.thread, self._deleted = None, None
        note(say("cli.chat.begun"))

    def do_list(self) -> None:
        threads = self._wait(self.session.chats.threads())
        for number, each in enumerate(threads, 1):
            result(say("cli.chat.row", number=number, title=name_of(each)))
        if not threads:
            note(say("cli.chat.no_conversations"))

    def do_open(self, number: str) -> None:
        threads = self._wait(self.session.chats.threads())
        if not (number.isascii() and number.isdigit() and 1 <= int(number) <= len(threads)):
            note(say("cli.chat.no_such_number", number=number))
            return
        chosen = threads[int(number) - 1]
        self.thread = chosen.id
        note(say("cli.chat.opened", title=name_of(chosen)))
        self._show_conversation(chosen.id)
        self._answer_pending(chosen.id)

    def _show_conversation(self, thread: str) -> None:
        for node in self._messages(thread):
            who = say(f"cli.chat.said_by_{node.message.role}")
            result(say("cli.chat.message", who=who, text=node.message.text))

    def _answer_pending(self, thread: str) -> None:
        """A message that was kept without a reply gets its reply now; one that a crash cut goes on."""
        for begin, said in (
            (self.session.chats.answer_pending, "pending"),
            (self.session.chats.resume, "resumed"),
        ):
            if (turn := self._wait(begin(thread))) is not None:
                note(say(f"cli.chat.{said}"))
                self._speak(lambda turn=turn: turn)

    def do_think(self, mode: str) -> None:
        """In the open conversation, and in those begun from now on."""
        if mode not in THINK_MODES:
            note(say("cli.chat.modes", modes=listed(THINK_MODES)))
            return
        self._manner = replace(self._manner, mode=mode)
        if self.thread is not None:
            self._wait(self.session.chats.configure(self.thread, mode=mode))
        note(say("cli.chat.mode", mode=mode))

    def do_template(self, name: str) -> None:
        """In the open conversation, and in those begun from now on."""
        if name not in templates.names():
            note(say("cli.chat.templates", names=listed(templates.names())))
            return
        self._manner = replace(self._manner, template=name)
        if self.thread is not None:
            self._wait(self.session.chats.configure(self.thread, template=name))
        note(say("cli.chat.template", name=name))

    def do_prompt(self, text: str) -> None:
        """What stands in the conversation, and would be fed with `text` said now."""
        prompt = self._wait(self._exact(text))
        note(heading(prompt))
        for line in lines(prompt):
            result(line)

    async def _exact(self, text: str) -> ExactPrompt:
        """A line goes into a text as `write` has it, into a chat with what was quoted for it."""
        chats, thread = self.session.chats, self.thread
        if thread is not None and text and (await chats.open(thread)).thread.kind == "text":
            before = with_line(await self.session.writings.open(thread), text)
            return await self.session.writings.exact_prompt(thread, before)
        whole = quoted(self._quotes, text) if text and self._quotes else text
        system = self._manner.system if thread is None else ""
        return await chats.exact_prompt(thread, whole, system, chosen=self._manner.chosen())

    def do_rename(self, text: str) -> None:
        if (thread := self._open_one()) is not None:
            renamed = self._wait(self.session.chats.rename(thread, text))
            note(say("cli.chat.renamed", title=name_of(renamed)))

    def do_delete(self) -> None:
        if (thread := self._open_one()) is not None:
            deleted = self._wait(self.session.chats.delete(thread))
            self._deleted, self.thread = thread, None
            note(say("cli.chat.deleted", title=name_of(deleted)))

    def do_undo(self) -> None:
        """A conversation that was just deleted comes back; else the last turn is taken back."""
        if self._deleted is None:
            self.take_back()
            return
        restored = self._wait(self.session.chats.restore(self._deleted))
        self.thread, self._deleted = self._deleted, None
        note(say("cli.chat.restored", title=name_of(restored)))

    def do_quit(self) -> None:
        """`_obey` ends the loop."""


def _expected(error: Exception) -> bool:
    """Errors of the four families and of the system are told; anything else is a bug and ends the program."""
    from engine.errors import EngineError
    from rwkv_chat.library.errors import LibraryError
    from rwkv_chat.session.errors import SessionError
    from rwkv_chat.templates import TemplateInvalid

    return isinstance(error, EngineError | LibraryError | SessionError | TemplateInvalid | OSError)
