"""`rwkv-chat ask`: one question, one answer on stdout."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from engine.types import NotSaved
from rwkv_chat.cli import prompt_rows
from rwkv_chat.cli.interrupts import on_interrupt
from rwkv_chat.cli.manner import Manner, manner_options, tell_mode, tell_oddities
from rwkv_chat.cli.opening import opened
from rwkv_chat.cli.options import (
    dtype_option,
    model_of,
    model_option,
    sampling_of,
    sampling_options,
    state_option,
)
from rwkv_chat.cli.output import note, result, thoughts
from rwkv_chat.explain import not_saved_sentence
from rwkv_chat.session import Answered, ReplyGrew, TurnFailed, WaitingForModel
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from pathlib import Path

    from rwkv_chat.session import ModelCard, Session, Turn, TurnEvent


@click.command("ask", help=say("cli.ask.help"))
@click.argument("question", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help=say("cli.ask.json"))
@click.option("--stream/--no-stream", default=True, help=say("cli.ask.stream"))
@click.option("--save", is_flag=True, help=say("cli.ask.save"))
@click.option("--show-prompt", is_flag=True, help=say("cli.ask.show_prompt"))
@manner_options
@model_option
@dtype_option
@state_option
@sampling_options
@click.pass_context
def command(context: click.Context, question: tuple[str, ...], **options: Any) -> int:
    """The exit code: 0, or 130 where the answer was interrupted."""
    text = whole_question(" ".join(question))
    model = model_of(context, options["model"])
    if options["show_prompt"]:
        return asyncio.run(_show_prompt(text, model, options))
    return asyncio.run(_ask(text, model, options))


def whole_question(question: str) -> str:
    """What was piped in, then the question. Raises: UsageError if both are empty."""
    piped = "" if sys.stdin.isatty() else sys.stdin.buffer.read().decode("utf-8", "replace").strip()
    text = "\n".join(each for each in (piped, question.strip()) if each)
    if not text:
        raise click.UsageError(say("cli.ask.empty"))
    return text


async def _ask(text: str, model: Path | None, options: dict[str, Any]) -> int:
    manner, as_json, save = Manner.of(options), options["as_json"], options["save"]
    async with opened(model, keep=save, tuned=options["state"], dtype=options["dtype"]) as session:
        tell_oddities(session, manner.template, text)
        thread = await manner.begun(session)
        turn = session.chats.send(thread, text, lambda base: sampling_of(options, base), system=manner.system)
        printer = Printer(session.models.current, stream=options["stream"] and not as_json)
        with on_interrupt(turn.stop) as interrupt:
            await printer.follow(turn)
        _finish(printer, session, turn, as_json=as_json, save=save)
        tell_mode(manner.mode, printer.end, session.models.current)
        return interrupt.code


async def _show_prompt(text: str, model: Path | None, options: dict[str, Any]) -> int:
    """The tokens that would be fed, and no answer."""
    manner = Manner.of(options)
    async with opened(model, keep=False, tuned=options["state"], dtype=options["dtype"]) as session:
        tell_oddities(session, manner.template, text)
        prompt = await session.chats.exact_prompt(await manner.begun(session), text, manner.system)
    if options["as_json"]:
        result(json.dumps(prompt_rows.record(prompt)))
        return 0
    note(prompt_rows.heading(prompt))
    for line in prompt_rows.lines(prompt):
        result(line)
    return 0


class Printer:
    """Prints a reply as it grows, or keeps it.

    The answer goes to stdout, thoughts go to stderr.

    Attributes:
        text, reasoning: the reply so far.  end: the event that ended it.
        refused: why the state after it was not saved, if so.
    """

    def __init__(self, card: ModelCard, *, stream: bool) -> None:
        self.card, self.stream = card, stream
        self.text = self.reasoning = ""
        self.end: Answered | None = None
        self.refused: NotSaved | None = None
        self._thought = False

    async def follow(self, turn: Turn) -> None:
        """Print until the turn ends; a reader who left stops it. Raises: whatever failed the turn."""
        try:
            async for event in turn:
                self.show(event)
        except BrokenPipeError:
            turn.stop()
            await turn.result()
            raise

    def show(self, event: TurnEvent) -> None:
        match event:
            case ReplyGrew(part="answer"):
                self._end_thoughts()
                self.text += event.text
                if self.stream:
                    result(event.text, end="")
            case ReplyGrew():
                self._think(event.text)
            case WaitingForModel() if not self.card.builtin:
                note(say("cli.loading", name=self.card.name))
            case NotSaved():
                self.refused = event
            case Answered():
                self._end_thoughts()
                self._end_line()
                self.end = event
            case TurnFailed():
                self._end_thoughts()
                if self.text:
                    self._end_line()
                raise event.error

    def _think(self, text: str) -> None:
        if self.stream:
            if not self.reasoning:
                thoughts(say("cli.thinking"))
            thoughts(text, end="")
        self.reasoning += text

    def _end_thoughts(self) -> None:
        """Before the first letter of the answer: a line's end, and once only."""
        if self.stream and self.reasoning and not self._thought:
            self._thought = True
            thoughts("" if self.reasoning.endswith("\n") else "\n", end="")

    def _end_line(self) -> None:
        if self.stream and not self.text.endswith("\n"):
            result("")


def _finish(printer: Printer, session: Session, turn: Turn, *, as_json: bool, save: bool) -> None:
    if as_json:
        result(json.dumps(_record(printer, session) | ({"conversation": turn.thread} if save else {})))
    elif not printer.stream:
        result(printer.text)
    end = printer.end
    if end is not None and end.reason == "length" and end.usage is not None:
        note(say("cli.ask.cut", tokens=end.usage.reply_tokens))
    elif end is not None and end.reason == "repeats":
        note(say("cli.ask.repeats"))
    elif end is not None and end.reason == "stop" and printer.reasoning and not printer.text:
        note(say("cli.ask.no_answer"))
    if printer.refused is not None:
        note(not_saved_sentence(printer.refused))


def _record(printer: Printer, session: Session) -> dict[str, Any]:
    """The one object of --json."""
    end = printer.end
    usage = end.usage if end is not None else None
    return {
        "answer": printer.text,
        "reasoning": printer.reasoning,
        "reason": end.reason if end is not None else "cancelled",
        "model": session.models.current.name,
        "seed": usage.seed if usage is not None else None,
        "prompt_tokens": usage.prompt_tokens if usage is not None else 0,
        "answer_tokens": usage.reply_tokens if usage is not None else 0,
        "prefill_seconds": round(usage.prefill_seconds, 6) if usage is not None else 0.0,
        "decode_seconds": round(usage.decode_seconds, 6) if usage is not None else 0.0,
    }
