"""What the Tune screen says of a run, of what was found, of a plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from textual.content import Content

from engine.types import Evaluated, Step
from engine.types.tuning import METHODS, Memory, Sampled, Shrunk, Started
from rwkv_chat import example_words
from rwkv_chat.amounts import duration
from rwkv_chat.explain import size
from rwkv_chat.plain_text import clean, title
from rwkv_chat.texts import say
from rwkv_chat.tui.widgets.library_list import LibraryRow

if TYPE_CHECKING:
    from engine.types import TuneEvent
    from rwkv_chat.session.examples_types import Example, Found
    from rwkv_chat.session.tune_types import Plan, Tune
    from rwkv_chat.tui.loss_plot import Point

OPEN, SHUT = "⟦", "⟧"  # around what is learnt: the colour alone must not tell
MINUTE = 60


@dataclass(slots=True)
class Live:
    """What a run's log has told so far.

    Attributes:
        samples: the newest reply to each probe, as text.
        memory: bytes that were estimated, and that were taken at most.
    """

    steps: int = 1
    train: list[Point] = field(default_factory=list)
    held: list[Point] = field(default_factory=list)
    last: Step | None = None
    samples: dict[int, str] = field(default_factory=dict)
    memory: Memory | None = None
    shrunk: int = 0

    def take(self, event: TuneEvent, text: str = "") -> None:
        """`text`: of the sample that the event brings."""
        match event:
            case Started(step=step, steps=steps):  # what was told of later steps is void
                self.steps = steps
                self.train = [each for each in self.train if each[0] <= step]
                self.held = [each for each in self.held if each[0] <= step]
            case Step(step=step, loss=loss):
                self.last = event
                self.train.append((step, loss))
            case Evaluated(step=step, loss=loss):
                self.held.append((step, loss))
            case Sampled(index=index):
                self.samples[index] = text
            case Memory():
                self.memory = event
            case Shrunk(micro_batch=rows):
                self.shrunk = rows
            case _:
                pass


# ---------------------------------------------------------------------- runs


def run_row(tune: Tune) -> LibraryRow:
    return LibraryRow(tune.id, tune.name, who=standing(tune))


def standing(tune: Tune) -> str:
    """How a run stands, in a word or two."""
    if tune.running and tune.steps:
        return say("tune_screen.running", share=f"{tune.step / tune.steps:.0%}")
    return say(f"tune_screen.status.{tune.status}")


def run_facts(tune: Tune, live: Live) -> Content:
    """How it stands, and how fast it goes."""
    how = say("tune_screen.how", method=method_name(tune.method), model=title(tune.model_name))
    lines = [Content.styled(title(tune.name), "bold"), _fact("status", standing(tune))]
    if tune.error:
        lines.append(Content.styled(clean(tune.error), "$text-error"))
    if tune.model_name:
        lines[1] += Content(f" · {how}")
    lines.append(Content("   ").join([_fact("steps", f"{tune.step:,} / {tune.steps:,}"), *_pace(tune, live)]))
    return Content("\n").join(lines)


def run_outcome(tune: Tune, live: Live) -> Content:
    """What came of it so far, a line each."""
    lines: list[Content] = []
    if tune.first is not None and tune.best is not None:
        lines.append(
            _fact("held", say("tune_screen.lowered", first=f"{tune.first:.3f}", best=f"{tune.best:.3f}"))
        )
    if live.memory is not None:
        memory = say("tune_screen.memory", peak=size(live.memory.peak), estimated=size(live.memory.estimated))
        lines.append(_fact("memory", memory))
    if live.shrunk:
        lines.append(Content.styled(say("tune_screen.shrunk", rows=live.shrunk), "$text-warning"))
    if tune.kept:
        lines.append(Content.styled(say("tune_screen.kept"), "$text-success"))
    return Content("\n").join(lines)


def _pace(tune: Tune, live: Live) -> list[Content]:
    if live.last is None:
        return []
    lines = [
        _fact("rate", f"{live.last.learning_rate:.2g}"),
        _fact("speed", say("tune_screen.speed", tokens=f"{live.last.tokens_per_second:,.0f}")),
    ]
    if tune.running and live.last.seconds_left > 0:
        lines.append(_fact("left", duration(live.last.seconds_left)))
    return lines


def sample_lines(live: Live) -> Content:
    """The newest replies to the fixed prompts; "" before there are any."""
    if not live.samples:
        return Content("")
    told = [Content.styled(say("tune_screen.samples"), "bold $primary")]
    told += [
        Content.styled(f"{index + 1} ", "$muted") + Content(clean(text))
        for index, text in live.samples.items()
    ]
    return Content("\n").join(told)


def command_line(command: str) -> Content:
    """The same, as it is typed into a shell."""
    return Content.styled("$ ", "$muted") + Content(clean(command)) if command else Content("")


# ---------------------------------------------------------------------- what was found


def found_lines(found: Found) -> Content:
    """What was found, and what stands out."""
    lines = [Content(each) for each in example_words.told(found)]
    lines += [_warning(example_words.caution(each)) for each in found.warnings]
    return Content("\n").join(lines)


def redaction_lines(found: Found, most: int) -> Content:
    """What is taken out, and as what: the first of it, each once."""
    lines = [
        Content.styled(f"[{kind}] ", "$accent") + Content(title(text))
        for text, kind in [*dict.fromkeys(found.redactions)][:most]
    ]
    return Content("\n").join(lines)


def example_text(example: Example) -> Content:
    """One example: what is learnt stands between marks, bold and underlined."""
    told = Content("")
    for piece in example.pieces:
        text = clean(piece.text)
        if piece.learned:
            told += Content.styled(OPEN, "$success") + Content.styled(text, "bold underline $text-success")
            told += Content.styled(SHUT, "$success")
        else:
            told += Content.styled(text, "$muted")
    return told + Content.styled("…", "$muted") if example.cut else told


def example_heading(example: Example, number: int, total: int) -> str:
    learned = f"{example.learned:,}"
    return say(
        "tune_screen.example", number=number, total=total, tokens=f"{example.tokens:,}", learned=learned
    )


# ---------------------------------------------------------------------- plans


def plan_lines(plan: Plan) -> Content:
    """What a plan takes, and what should be known before it starts."""
    steps = say("tune_screen.steps", steps=f"{plan.config.steps:,}", tokens=f"{plan.estimate.tokens:,}")
    time = _fact("minutes", minutes(plan.minutes))
    lines = [Content("   ").join([_fact("steps", steps), time]), _fact("memory", _memory(plan))]
    lines += [_warning(each) for each in plan_warnings(plan)]
    return Content("\n").join(lines)


def plan_warnings(plan: Plan) -> list[str]:
    warned = []
    if plan.practice:
        warned.append(say("tune_screen.warn.practice"))
    if not plan.fits:
        warned.append(say("tune_screen.warn.fits"))
    elif plan.leaves:
        warned.append(say("tune_screen.warn.leaves"))
    return warned


def minutes(number: float | None) -> str:
    return duration(number * MINUTE) if number is not None else say("tune_screen.no_minutes")


def _memory(plan: Plan) -> str:
    needed = size(plan.estimate.bytes_needed)
    if plan.free is None:
        return say("tune_screen.needs", needed=needed, device=title(plan.device))
    return say("tune_screen.needs_of", needed=needed, device=title(plan.device), free=size(plan.free))


def method_name(method: str) -> str:
    return say(f"tune.method.{method}") if method in METHODS else title(method)


def _warning(text: str) -> Content:
    return Content.styled(f"! {text}", "$text-warning")


def _fact(name: str, value: str) -> Content:
    return Content.styled(say(f"tune_screen.fact.{name}") + "  ", "$muted") + Content(value)
