"""What the commands of `rwkv-chat tune` share: lines of text, values for --json, the log live."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

from engine.types import Evaluated, Failed, Step
from engine.types.tuning import Memory, Sampled, Shrunk, Skipped, Stopped
from rwkv_chat.amounts import duration
from rwkv_chat.cli.output import note
from rwkv_chat.cli.progress import StatusLine
from rwkv_chat.explain import FAILURE, OK, sentence, size
from rwkv_chat.paths import Paths
from rwkv_chat.plain_text import clean, title
from rwkv_chat.session.tune_runs import Runs
from rwkv_chat.texts import lookup, say

if TYPE_CHECKING:
    from engine.types import TuneEvent
    from rwkv_chat.session import Session
    from rwkv_chat.session.tune_types import Tune

LONGEST_SAMPLE = 300  # letters
NUMBERS = (
    *("step", "steps", "loss", "first", "best", "tokens_per_second", "seconds_left", "created"),
    *("expected", "peak"),
)
WORDS = ("id", "name", "status", "model_name", "model_id", "method", "preset", "error", "command", "kept")


async def found(name: str) -> Tune:
    """The run that is meant, before a session is open. Raises: TuneUnknown, TuneAmbiguous."""
    return await asyncio.to_thread(Runs(Paths.find().tunes).find, name)


def name_of(tune: Tune) -> str:
    return title(tune.name)


def line(tune: Tune) -> str:
    """Id, how it stands, method, steps and name of a run, in one line."""
    return say(
        "tune.row",
        id=tune.id,
        status=say(f"tune.status.{tune.status}"),
        method=method_of(tune),
        step=tune.step,
        steps=tune.steps,
        name=name_of(tune),
    )


def method_of(tune: Tune) -> str:
    return lookup(f"tune.method.{tune.method}") or tune.method or "–"


def record(tune: Tune) -> dict[str, Any]:
    told = {name: getattr(tune, name) for name in (*WORDS, *NUMBERS)}
    return told | {"folder": str(tune.folder), "model": str(tune.model or ""), "threads": list(tune.threads)}


def perplexity(loss: float | None) -> str:
    """e to the loss per token; a dash where there is none."""
    return "–" if loss is None else f"{math.exp(min(loss, 50.0)):.2f}"


async def follow(session: Session, tune: Tune) -> int:
    """Show a run's log until its process ends; the exit code."""
    code = OK
    with StatusLine() as shown:
        async for event in session.tunes.events(tune.id):
            if isinstance(event, Step):
                shown.draw(_step(event))
                continue
            if isinstance(event, Failed):
                code = FAILURE
            if words := await _told(session, tune, event):
                shown.clear()
                note(words)
    return code


def _step(event: Step) -> str:
    left = duration(max(0.0, event.seconds_left))
    return say(
        "tune.step",
        step=event.step,
        steps=event.steps,
        loss=f"{event.loss:.3f}",
        rate=f"{event.learning_rate:.2g}",
        speed=f"{event.tokens_per_second:.0f}",
        left=left,
    )


async def _told(session: Session, tune: Tune, event: TuneEvent) -> str:
    match event:
        case Evaluated():
            return say("tune.evaluated", step=event.step, perplexity=perplexity(event.loss))
        case Sampled():
            text = await session.tunes.words(tune.id, event.tokens)
            return say("tune.sampled", text=title(text, LONGEST_SAMPLE))
        case Shrunk():
            return say("tune.shrunk", rows=event.micro_batch)
        case Skipped():
            return say("tune.skipped", step=event.step)
        case Memory():
            return taken(event.peak, event.estimated)
        case Stopped():
            return say(f"tune.ended.{event.reason}", step=event.step)
        case Failed():
            return sentence(event.error)
        case _:
            return ""


def taken(peak: int, expected: int) -> str:
    """Bytes that a run took at most, and that were estimated before."""
    return say("tune.memory", peak=size(peak), expected=size(expected))


def command_line(tune: Tune) -> str:
    return clean(tune.command)
