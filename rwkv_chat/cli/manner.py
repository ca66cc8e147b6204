"""Options on how a model is spoken to (template, think mode, system message), and what they come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rwkv_chat import templates
from rwkv_chat.cli.output import note
from rwkv_chat.lint import lint, sentence
from rwkv_chat.phrases import listed
from rwkv_chat.plain_text import title
from rwkv_chat.settings import THINK_MODES
from rwkv_chat.texts import say
from rwkv_chat.transcript import unbegun

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rwkv_chat.session import Answered, ModelCard, Session
    from rwkv_chat.transcript import Thread

Command = TypeVar("Command", bound="Callable[..., Any]")


def manner_options(command: Command) -> Command:
    """`--think`, `--template`, `--keep-thinking` and `--system`."""
    for option in (
        click.option("--system", default="", metavar="TEXT", help=say("cli.option.system")),
        click.option("--keep-thinking", is_flag=True, help=say("cli.option.keep_thinking")),
        click.option("--template", type=click.Choice(templates.names()), help=say("cli.option.template")),
        click.option("--think", type=click.Choice(THINK_MODES), help=say("cli.option.think")),
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Manner:
    """How new conversations of this run are spoken ("" and False: the model's own way)."""

    mode: str = ""
    template: str = ""
    keep_reasoning: bool = False
    system: str = ""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Manner:
        """What was given."""
        return cls(
            options.get("think") or "",
            options.get("template") or "",
            bool(options.get("keep_thinking")),
            options.get("system") or "",
        )

    def chosen(self) -> Thread:
        """A new conversation that is spoken so, before it is there."""
        return unbegun(self.template, self.mode, keep_reasoning=self.keep_reasoning)

    async def begun(self, session: Session) -> str | None:
        """The id of a new conversation that is spoken so; None where nothing was chosen."""
        if not (self.mode or self.template or self.keep_reasoning):
            return None
        thread = await session.chats.create()
        await session.chats.configure(
            thread.id, template=self.template, mode=self.mode, keep_reasoning=self.keep_reasoning
        )
        return thread.id


def tell_oddities(session: Session, template: str, text: str) -> None:
    """What is odd about a message, on stderr."""
    for each in lint(templates.template(template or session.models.current.template), text):
        note(say("cli.odd", text=sentence(each)))


def tell_mode(wanted: str, end: Answered | None, card: ModelCard) -> None:
    """That a think mode was asked for which the template does not have, or the model does not know."""
    node = end.node if end is not None else None
    if not wanted or node is None:
        return
    if node.mode != wanted:
        note(say("cli.other_mode", wanted=wanted, mode=node.mode, template=node.template))
    elif node.template == card.template and wanted not in card.family.modes:
        known = listed(card.family.modes)
        note(say("cli.strange_mode", name=title(card.name), wanted=wanted, known=known))
