"""What a tuning run is told, and what it tells: the fields of its `config.toml`, the lines of its log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from engine.errors import InvalidParameter, InvalidRequest
from engine.types.events import Evaluated, Failed, Step

if TYPE_CHECKING:
    from engine.types.basics import TokenIds

# (tokens, weights): weights[i] counts the loss of predicting tokens[i]; weights[0] is not used
Row = tuple[Sequence[int], Sequence[float]]

Method = Literal["state", "lora", "pissa", "miss", "full"]
Base = Literal["fp32", "bf16", "int8", "nf4"]
StopReason = Literal["finished", "asked", "early", "no-loss"]

METHODS: tuple[Method, ...] = ("state", "lora", "pissa", "miss", "full")
BASES: tuple[Base, ...] = ("fp32", "bf16", "int8", "nf4")
# method → the highest rate where none is said: a state's numbers are of order 1, so it wants a rate of that
# order (RWKV-LM's); those of the others are for large models
RATES: dict[str, float] = {"state": 1.0, "lora": 2e-4, "pissa": 1e-4, "miss": 1e-4, "full": 1e-5}


def _number(default: Any, low: float, high: float) -> Any:
    return field(default=default, metadata={"min": low, "max": high})


def _one_of(default: str, allowed: tuple[str, ...]) -> Any:
    return field(default=default, metadata={"allowed": allowed})


@dataclass(frozen=True, slots=True)
class TuneConfig:
    """How to tune. Numeric fields carry min and max in their metadata, words what is allowed.

    Attributes:
        model: the weights file or folder to begin from.
        method: a row of `engine.tune.methods.METHODS`.
        base: what frozen weights are kept in; what is trained is fp32 always. "full" takes fp32 and bf16.
        device: "auto", "cpu", "cuda" or "cuda:1".
        steps: optimiser steps.  batch_size: rows that one step learns from, however many fit at once.
        micro_batch: rows at once, 0 for as many as `context` tokens hold; never more than `batch_size`.
        context: tokens at once; a longer row goes on from the state that the tokens before left.
        learning_rate, final_rate: a cosine between them, after `warmup` steps of rising. 0: `RATES` of the
            method, and a tenth of it.
        rank: of an adapter.  alpha: LoRA's; its scale is alpha/rank.
        weight_decay: on the large matrices of "full" only.  clip: the largest gradient norm.
        evaluate_every, checkpoint_every: in steps; 0 for only at the end.
        patience: evaluations without a lower loss after which it stops; 0 for never.
        sample_tokens: the longest sample reply.
        recompute: activations are computed again for the gradient, block by block, instead of being kept.
        l2_wrap: the official pull on each largest logit.
        threads: of the CPU; 0 leaves the choice to PyTorch.

    Raises:
        InvalidParameter: a number out of its range.  InvalidRequest: a word that means nothing, or two
            fields that do not go together.
    """

    model: str
    method: str = _one_of("state", METHODS)
    base: str = _one_of("bf16", BASES)
    device: str = "auto"
    steps: int = _number(100, 1, 10_000_000)
    batch_size: int = _number(8, 1, 65536)
    micro_batch: int = _number(0, 0, 65536)
    context: int = _number(1024, 16, 1 << 20)
    learning_rate: float = _number(0.0, 0.0, 10.0)
    final_rate: float = _number(0.0, 0.0, 10.0)
    warmup: int = _number(10, 0, 1_000_000)
    rank: int = _number(32, 1, 4096)
    alpha: float = _number(64.0, 0.0, 1e6)
    weight_decay: float = _number(0.1, 0.0, 10.0)
    clip: float = _number(1.0, 1e-6, 1e6)
    evaluate_every: int = _number(0, 0, 10_000_000)
    checkpoint_every: int = _number(0, 0, 10_000_000)
    patience: int = _number(0, 0, 10_000)
    sample_tokens: int = _number(80, 0, 4096)
    seed: int = _number(0, 0, 2**63 - 1)
    recompute: bool = True
    l2_wrap: bool = False
    threads: int = _number(0, 0, 1024)

    def __post_init__(self) -> None:
        for each in fields(self):
            _check(each.name, getattr(self, each.name), each.default, each.metadata)
        if self.method == "full" and self.base not in {"fp32", "bf16"}:
            raise InvalidRequest(f"full training with a base in {self.base}: it takes fp32 and bf16")

    @property
    def rate(self) -> float:
        """The highest learning rate."""
        return self.learning_rate or RATES[self.method]

    @property
    def last_rate(self) -> float:
        return self.final_rate or self.rate / 10


def _check(name: str, value: Any, default: Any, limits: Any) -> None:
    """One field.  Raises InvalidParameter, InvalidRequest."""
    if "allowed" in limits:
        if value not in limits["allowed"]:
            raise InvalidRequest(f"{name} {value!r:.40}, not one of {', '.join(limits['allowed'])}")
    elif "min" in limits:
        right = (int, float) if isinstance(default, float) else (int,)
        if isinstance(value, bool) or not isinstance(value, right):
            raise InvalidParameter(name, f"{value!r:.40}", limits["min"], limits["max"])
        if not limits["min"] <= value <= limits["max"]:
            raise InvalidParameter(name, f"{value!r:.40}", limits["min"], limits["max"])
    elif not isinstance(value, bool if isinstance(default, bool) else str):
        raise InvalidRequest(f"{name} {value!r:.40}, not a value of its kind")


def tune_config(table: dict[str, Any]) -> TuneConfig:
    """From the table of a `config.toml`.

    Raises:
        InvalidRequest: a field that is not known, or no model.  And what `TuneConfig` raises.
    """
    known = {each.name for each in fields(TuneConfig)}
    if strange := sorted(str(name)[:40] for name in table if name not in known):
        raise InvalidRequest(f"config.toml has {', '.join(strange[:5])}, which is not known")
    if "model" not in table:
        raise InvalidRequest("config.toml does not say which model")
    return TuneConfig(**table)


def config_table(config: TuneConfig) -> dict[str, Any]:
    """The inverse, for a writer of TOML."""
    return asdict(config)


@dataclass(frozen=True, slots=True)
class Probe:
    """A fixed prompt, of which the reply is sampled greedily at every evaluation.

    Attributes:
        stops: ids of which any ends a reply.  texts: sequences of ids that end one, too.
    """

    prompt: TokenIds
    stops: TokenIds = (0,)
    texts: tuple[TokenIds, ...] = ()


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run will take, before it starts.

    Attributes:
        bytes_needed: peak on the device, by formula.  weights, activations, trained: its parts.
        tokens: that all steps feed, padding left out.
        tokens_per_second, minutes: None where no speed was measured.
    """

    bytes_needed: int
    weights: int
    activations: int
    trained: int
    tokens: int
    tokens_per_second: float | None = None
    minutes: float | None = None


# -------------------------------------------------- what a run tells, beside Step, Evaluated, Failed


@dataclass(frozen=True, slots=True)
class Started:
    """A process took the run up.

    Attributes:
        step: steps that are done already; what was told of later ones before is void and comes again.
        rows, tokens: to learn from; `skipped` rows have nothing to learn.
        trained: numbers that are trained.
    """

    step: int
    steps: int
    rows: int
    tokens: int
    skipped: int
    trained: int
    device: str
    processes: int = 1


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that were estimated, and that were taken at most.

    Attributes:
        peak: of the device's allocator (on a CPU of the process).  device_total: taken on the device by
            everybody, 0 where nobody knows.
    """

    step: int
    estimated: int
    peak: int
    device_total: int = 0


@dataclass(frozen=True, slots=True)
class Sampled:
    """The greedy reply to a probe; `stopped`: it ended by itself."""

    step: int
    index: int
    tokens: TokenIds
    stopped: bool


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    """`which` is "last" or "best"."""

    step: int
    which: str
    nbytes: int


@dataclass(frozen=True, slots=True)
class Shrunk:
    """Memory was short: from now on so many rows at once. A step learns from as many as before."""

    step: int
    micro_batch: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """A step whose loss or gradient was no finite number: nothing was learnt from it."""

    step: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """The run ended, `result` (relative to its folder) can be used. With "asked" it can go on.

    Attributes:
        reason: "finished" (all steps), "asked" (`stop`), "early" (the validation loss fell no more) or
            "no-loss" (the loss is zero: nothing is left to learn, or nothing was there to learn from).
        best: the lowest validation loss, None without evaluations.
    """

    step: int
    reason: StopReason
    result: str
    best: float | None = None


TuneEvent = (
    Started | Step | Evaluated | Sampled | Memory | CheckpointSaved | Shrunk | Skipped | Stopped | Failed
)
ENDINGS = (Stopped, Failed)  # nothing follows in this process
