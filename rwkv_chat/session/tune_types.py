"""What tuning is for front ends: plans, runs, comparisons; values only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003  a field's type, read by those who pickle
from typing import TYPE_CHECKING, Literal

from engine.types import Estimate, TuneConfig  # noqa: TC001  the same

if TYPE_CHECKING:
    from engine.types import TokenIds
    from rwkv_chat.session.examples_types import Found, Selection
    from rwkv_chat.session.state_types import Persona
    from rwkv_chat.session.tune_planning import Drawn
    from rwkv_chat.transcript import Thread

PresetName = Literal["quick", "good", "long"]
Status = Literal["ready", "running", "stopped", "killed", "finished", "failed", "damaged"]
Side = Literal["real", "base", "tuned"]

GOES_ON: tuple[Status, ...] = ("ready", "stopped", "killed", "failed")  # `Tunes.resume` takes them up


@dataclass(frozen=True, slots=True)
class Cost:
    """What a preset takes: optimiser steps, and minutes where the speed is known."""

    preset: PresetName
    steps: int
    minutes: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done, before anything is.

    Attributes:
        name: of the run and of what is kept of it.
        model: the weights to begin from.  practice: they are the built-in model's, which is only there to
            try this out.
        minutes: how long it will take, None where no speed was measured.
        device: where it will run.  free: bytes free there now, None where nobody knows.
        leaves: the chat model leaves the device first, since both do not fit.
        fits: it fits the device, the chat model gone if need be.
        command: the command line that does the same.
        threads: conversations of the library that are read.
        costs: of the three presets; `Tunes.with_preset` gives the plan of another one.
        basis: what that is made of.
    """

    name: str
    selection: Selection
    found: Found
    model: Path
    model_name: str
    model_id: str
    config: TuneConfig
    preset: PresetName
    estimate: Estimate
    device: str
    free: int | None
    command: str
    practice: bool = False
    leaves: bool = False
    fits: bool = True
    threads: tuple[str, ...] = ()
    costs: tuple[Cost, ...] = ()
    basis: Drawn | None = None

    @property
    def minutes(self) -> float | None:
        return self.estimate.minutes


@dataclass(frozen=True, slots=True)
class Tune:
    """A run as it stands.

    Attributes:
        folder: where all of it lies.
        status: "ready": never begun; "stopped": asked to, and can go on; "killed": its process ended without
            a word; "damaged": its folder cannot be read.
        step, steps: done, and in all.
        loss: of the last step.  first, best: validation losses, of the model alone and the lowest.
        tokens_per_second, seconds_left: of the last step; None while nobody knows.
        error: a sentence of why it failed, or what is wrong with its folder.
        threads: conversations that it has read.
        kept: id of the persona that its result was kept as, "" for none.
        expected, peak: bytes that were estimated, and that were taken at most; None until it has ended.
    """

    id: str
    name: str
    folder: Path
    status: Status
    model: Path | None = None
    model_name: str = ""
    model_id: str = ""
    method: str = ""
    preset: str = ""
    created: float = 0.0
    step: int = 0
    steps: int = 0
    loss: float | None = None
    first: float | None = None
    best: float | None = None
    tokens_per_second: float | None = None
    seconds_left: float | None = None
    error: str = ""
    command: str = ""
    threads: tuple[str, ...] = ()
    kept: str = ""
    practice: bool = False
    expected: int | None = None
    peak: int | None = None

    @property
    def running(self) -> bool:
        return self.status == "running"

    @property
    def done(self) -> bool:
        """There is a result that can be tried and kept."""
        return self.status in ("finished", "stopped") and self.step > 0


@dataclass(frozen=True, slots=True)
class Kept:
    """What a run's result became: a persona of the library, and where asked for a conversation on it."""

    persona: Persona
    thread: Thread | None = None


@dataclass(frozen=True, slots=True)
class Voice:
    """A tuned state or an adapter of the library, that a conversation may speak with.

    Attributes:
        id: of the persona.  adapter, initial: the engine's ids, "" for none.
    """

    id: str
    name: str
    adapter: str = ""
    initial: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """A part of a reply in a comparison; `index` counts the moments of a blind one."""

    side: Side
    text: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class Losses:
    """On conversations that were held out: perplexity is e to the loss per token.

    Attributes:
        base, tuned: nats per token; None without a validation part.
    """

    base: float | None
    tuned: float | None


@dataclass(frozen=True, slots=True)
class Moment:
    """A place in a held-out conversation where the person answered.

    Attributes:
        before: what was said up to there, as text (its end).
        answers: three, in an order that tells nothing.
        chosen: what was chosen of them, None while nobody has.
    """

    index: int
    before: str
    answers: tuple[str, str, str]
    chosen: Side | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """How often each was taken for the person's own words, of how many that were judged."""

    real: int
    base: int
    tuned: int
    moments: int

    @property
    def judged(self) -> int:
        return self.real + self.base + self.tuned


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A moment as it is stored: the tokens before the answer, and the answer's."""

    prompt: TokenIds
    answer: TokenIds
