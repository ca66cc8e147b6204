"""What `rwkv-chat tune new` is told, as options; the other way round is `session.tune_command`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from engine.types.tuning import BASES, METHODS
from rwkv_chat.cli.numbers import Number, Whole
from rwkv_chat.importers.filters import Filters, Media
from rwkv_chat.importers.formats import FORMATS
from rwkv_chat.importers.redaction import SECRETS
from rwkv_chat.session.examples_types import AGREED, Branch, LogFile, Selection
from rwkv_chat.session.tune_command import CHANGES, MINUTE
from rwkv_chat.session.tune_presets import PRESETS
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rwkv_chat.session import Session

Command = TypeVar("Command", bound="Callable[..., Any]")
USUAL, USUAL_FILTERS = Selection(), Filters()
_BRANCH = re.compile(r"([0-9a-f]{32})/([0-9a-f]{32})")


def selection_options(command: Command) -> Command:
    """What is read, and how it is made ready."""
    for each in reversed(_SELECTION):
        command = each(command)
    return command


def run_options(command: Command) -> Command:
    """How it is tuned."""
    for each in reversed(_RUN):
        command = each(command)
    return command


def _option(name: str, **more: Any) -> Callable[[Command], Command]:
    return click.option(f"--{name}", help=say(f"tune.option.{name}"), **more)


_SELECTION = (
    click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path)),
    _option("chat", multiple=True, metavar="ID|TITLE"),
    _option("format", multiple=True, type=click.Choice(list(FORMATS))),
    _option("speaker", multiple=True, metavar="NAME"),
    _option("consent", is_flag=True),
    _option("template", default="", metavar="NAME"),
    _option("gap", type=Number(0.0), default=USUAL.gap / MINUTE, metavar="MINUTES"),
    _option("held", type=Number(0.0, 0.9), default=USUAL.held, metavar="SHARE"),
    _option("leave", multiple=True, type=click.Choice(SECRETS)),
    _option("names", is_flag=True),
    _option("fewest", type=Whole(1), default=USUAL_FILTERS.fewest, metavar="NUMBER"),
    _option("shortest", type=Whole(0), default=USUAL_FILTERS.shortest, metavar="NUMBER"),
    _option("longest", type=Whole(1), default=USUAL_FILTERS.longest, metavar="NUMBER"),
    _option("language", multiple=True, metavar="CODE"),
    _option("block", multiple=True, metavar="WORD"),
    _option("media", type=click.Choice(get_args(Media)), default=USUAL_FILTERS.media),
    _option("links", is_flag=True),
    _option("alike", type=Number(0.0, 1.0), default=USUAL_FILTERS.alike, metavar="SHARE"),
)
_KINDS: dict[str, Any] = {"learning_rate": float, "alpha": float, "base": click.Choice(BASES)}
_RUN = (
    _option("method", type=click.Choice(METHODS), default="state", show_default=True),
    _option("preset", type=click.Choice(list(PRESETS)), default="quick", show_default=True),
    _option("name", default="", metavar="NAME"),
    *(
        click.option(option, field, type=_KINDS.get(field, int), help=say(f"tune.option.{option[2:]}"))
        for field, option in CHANGES.items()
    ),
)


async def selection_of(session: Session, told: Mapping[str, Any]) -> Selection:
    """Raises: UsageError, ConversationUnknown, ConversationAmbiguous."""
    files: tuple[Path, ...] = told["files"]
    if not files and not told["chat"]:
        raise click.UsageError(say("tune.new.what"))
    forms, speakers = _each("format", told["format"], files), _each("speaker", told["speaker"], files)
    return Selection(
        files=tuple(map(LogFile, files, forms, speakers)),
        branches=tuple([await _branch(session, each) for each in told["chat"]]),
        gap=told["gap"] * MINUTE,
        filters=_filters(told),
        redact=tuple(each for each in SECRETS if each not in told["leave"]),
        aliases=not told["names"],
        held=told["held"],
        template=told["template"],
        consent=AGREED if told["consent"] else "",
    )


def changes_of(told: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `TuneConfig` that were asked for."""
    return {field: told[field] for field in CHANGES if told[field] is not None}


def _filters(told: Mapping[str, Any]) -> Filters:
    names = ("fewest", "shortest", "longest", "media", "links", "alike")
    values = {name: told[name] for name in names}
    return Filters(**values, languages=told["language"], blocklist=told["block"])


def _each(option: str, values: tuple[str, ...], files: tuple[Path, ...]) -> tuple[str, ...]:
    """One for each file: given once it is for all of them. Raises: UsageError."""
    if len(values) > 1 and len(values) != len(files):
        raise click.UsageError(say("tune.new.each", option=f"--{option}"))
    return values if len(values) == len(files) else (*values, "")[:1] * len(files)


async def _branch(session: Session, text: str) -> Branch:
    """A conversation by its id or title, or `ID/MESSAGE` for a branch of it."""
    if found := _BRANCH.fullmatch(text):
        thread = await session.convs.find(found[1])
        return Branch(thread.id, found[2])
    return Branch((await session.convs.find(text)).id)
