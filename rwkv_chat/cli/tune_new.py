"""`rwkv-chat tune new`: what would be tuned, and after a yes the beginning of it."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from rwkv_chat.amounts import duration
from rwkv_chat.cli.convs_shared import json_option, print_json
from rwkv_chat.cli.opening import opened
from rwkv_chat.cli.options import model_option
from rwkv_chat.cli.output import note, result
from rwkv_chat.cli.progress import ProgressLine
from rwkv_chat.cli.tune_options import changes_of, run_options, selection_of, selection_options
from rwkv_chat.cli.tune_shared import follow, line, record
from rwkv_chat.explain import INTERRUPTED, OK, size
from rwkv_chat.phrases import listed
from rwkv_chat.plain_text import clean, title
from rwkv_chat.texts import lookup, say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rwkv_chat.session import Session
    from rwkv_chat.session.examples_types import Found, Looked
    from rwkv_chat.session.tune_types import Cost, Plan

MINUTE = 60
SHOWN_REDACTIONS = 5


@click.command("new", help=say("tune.new.help"))
@selection_options
@run_options
@click.option("--dry-run", is_flag=True, help=say("tune.new.dry_run"))
@click.option("--follow", "follows", is_flag=True, help=say("tune.new.follow"))
@click.option("--yes", is_flag=True, help=say("tune.new.yes"))
@model_option
@json_option
def command(model: Path | None, dry_run: bool, follows: bool, yes: bool, as_json: bool, **told: Any) -> int:
    """The exit code: 130 where the person said no."""
    from rwkv_chat.cli.found import found

    return asyncio.run(_new(found(model), told, dry_run=dry_run, follows=follows, yes=yes, as_json=as_json))


async def _new(
    model: Path | None, told: dict[str, Any], *, dry_run: bool, follows: bool, yes: bool, as_json: bool
) -> int:
    async with opened(model, keep=True) as session:
        plan = await _planned(session, told)
        if dry_run and as_json:
            print_json(plan_record(plan))
            return OK
        show_plan(plan)
        if dry_run:
            return OK
        if not yes and not _agreed():
            return INTERRUPTED
        with ProgressLine(title(plan.name)) as shown:
            tune = await session.tunes.start(plan, _shower(shown))
        if as_json:
            print_json(record(tune))
        else:
            result(line(tune))
        if not follows:
            note(say("tune.new.begun", id=tune.id))
            return OK
        return await follow(session, tune)


async def _planned(session: Session, told: dict[str, Any]) -> Plan:
    selection = await selection_of(session, told)
    with ProgressLine(say("tune.new.reading")) as shown:
        return await session.tunes.plan(
            selection,
            told["method"],
            told["preset"],
            name=told["name"],
            look=_shower(shown),
            **changes_of(told),
        )


def _shower(shown: ProgressLine) -> Any:
    def look(at: Looked) -> None:
        shown.show("import", at.done, at.total)

    return look


def _agreed() -> bool:
    """Raises: UsageError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise click.UsageError(say("tune.new.needs_yes"))
    return click.confirm(say("tune.new.ask"), err=True)


# ------------------------------------------------------------------------------------------------ the plan


def show_plan(plan: Plan) -> None:
    """All that a person should know before the start."""
    if plan.practice:
        note(say("tune.plan.practice"))
    for text in (*_found(plan.found), *_warnings(plan.found)):
        note(text)
    for number, example in enumerate(plan.found.examples, 1):
        note(say("tune.plan.example", number=number, tokens=example.tokens, learned=example.learned))
        note("".join(f"[{each.text}]" if each.learned else each.text for each in example.pieces))
    for text in _costs(plan):
        note(text)
    note(say("tune.plan.command", command=clean(plan.command)))


def _found(found: Found) -> Iterator[str]:
    reasons = listed(
        say("logs.reason", number=number, word=lookup(f"logs.skipped.{reason}") or reason)
        for reason, number in found.skipped.items()
    )
    yield say(
        "tune.plan.found",
        conversations=found.conversations,
        turns=found.turns,
        skipped=sum(found.skipped.values()),
        why=say("logs.why", reasons=reasons) if reasons else "",
    )
    if found.people:
        yield say("tune.plan.people", names=title(listed(found.people), 300))
    if found.redacted:
        number = sum(found.redacted.values())
        yield say("tune.plan.redacted", number=number)
        for text, kind in [*dict.fromkeys(found.redactions)][:SHOWN_REDACTIONS]:
            yield say("tune.plan.redaction", text=title(text), kind=kind)
    yield say(
        "tune.plan.tokens",
        train=f"{found.train.tokens:,}",
        learned=f"{found.train.learned:,}",
        held=found.validation.examples,
    )


def _warnings(found: Found) -> Iterator[str]:
    for each in found.warnings:
        yield say(f"tune.caution.{each.kind}", number=each.number, word=title(each.word))


def _costs(plan: Plan) -> Iterator[str]:
    for each in plan.costs:
        chosen = "chosen" if each.preset == plan.preset else "other"
        yield say(f"tune.plan.preset.{chosen}", preset=each.preset, steps=each.steps, time=_time(each))
    free = "?" if plan.free is None else size(plan.free)
    yield say("tune.plan.memory", needed=size(plan.estimate.bytes_needed), free=free, device=plan.device)
    if plan.leaves:
        yield say("tune.plan.leaves")


def _time(cost: Cost) -> str:
    if cost.minutes is None:
        return say("tune.plan.time_unknown")
    return say("tune.plan.time", time=duration(cost.minutes * MINUTE))


def plan_record(plan: Plan) -> dict[str, Any]:
    found = plan.found
    told: dict[str, Any] = {name: getattr(found, name) for name in ("conversations", "turns", "skipped")}
    told |= {"train": asdict(found.train), "validation": asdict(found.validation)}
    return {
        "name": plan.name,
        "found": told | {"warnings": [asdict(each) for each in found.warnings]},
        "config": asdict(plan.config),
        "estimate": asdict(plan.estimate),
        "presets": [asdict(each) for each in plan.costs],
        "device": plan.device,
        "fits": plan.fits,
        "practice": plan.practice,
        "command": plan.command,
    }
