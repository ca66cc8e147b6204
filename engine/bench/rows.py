"""What is measured, and the rows that come of it. Nothing here loads torch."""

from __future__ import annotations

from dataclasses import dataclass

K = 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure on one model.

    Attributes:
        path: weights, a file or a folder.  device, dtype: as for loading.
        threads: on the CPU; None: physical cores.
        tables: which of `TABLES`, in this order.
        contexts: tokens before the token that is timed.  prompts: tokens read at once.  batches: rows.
        seconds: about how long each row is timed.
        feeding_seconds: how long contexts are fed in all; longer ones take the state reached by then.
        tiers: to be loaded one after the other; those that the device has not are left out.
        cache: where conversions, machine code and choices are kept, as at any start; None: a folder that is
            gone at the end.
    """

    path: str
    device: str = "auto"
    dtype: str = "auto"
    threads: int | None = None
    tables: tuple[str, ...] = ()
    contexts: tuple[int, ...] = (512, 2 * K, 8 * K, 32 * K, 128 * K)
    prompts: tuple[int, ...] = (16, 64, 256, 1024)
    batches: tuple[int, ...] = (1, 4, 16, 64)
    seconds: float = 0.5
    feeding_seconds: float = 6.0
    tiers: tuple[str, ...] = ("fp32", "bf16", "int8", "int4")
    cache: str | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it ran. `load`: processes that waited for a core in the last minute, None where nobody tells."""

    processor: str
    cores: int
    threads: int
    device: str
    system: str
    python: str
    torch: str
    load: float | None


@dataclass(frozen=True, slots=True)
class Subject:
    """What ran: sizes as in `ModelSpec`, bytes of the weights on the device and of one state."""

    path: str
    arch: str
    layers: int
    width: int
    vocabulary: int
    tier: str
    weights_bytes: int
    state_bytes: int


@dataclass(frozen=True, slots=True)
class ContextRow:
    """One token after a context of `context` tokens, batch 1.

    Attributes:
        fed: tokens that were really fed before; where it is less, the state reached then stood for the rest
            (a state has the same size and costs the same at any length).
        step_seconds: one token's median, from the token to its logits on the device.
        memory_bytes: CUDA: most that was allocated on the card; CPU: resident memory of the process.
    """

    context: int
    fed: int
    step_seconds: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class ReplyRow:
    """Tokens of a whole reply: fed, drawn with the usual sampling, turned into text, one after the other."""

    tokens: int
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class StreamRow:
    """What a token reads, beside what memory gives to a plain sum or product (medians of turns).

    Attributes:
        token_bytes: of weights and, read and written, of the state. Rows of units that are zero are left out.
        zeros: share of those units for the token that was fed.
        share: of the stream's rate.
    """

    token_bytes: int
    zeros: float
    bytes_per_second: float
    stream_bytes_per_second: float
    share: float


@dataclass(frozen=True, slots=True)
class BatchRow:
    """`batch` sequences, a token each: the median of a step, and tokens of all of them in a second."""

    batch: int
    step_seconds: float
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class PrefillRow:
    """Tokens of one sequence read at once."""

    tokens: int
    seconds: float
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class StartRow:
    """A process of its own, page cache warm, seconds from its start.

    Attributes:
        torch_seconds: until torch is imported.  loaded_seconds: until the model is loaded.
        token_seconds: until the first token's logits are there.
        memory_bytes: peak resident memory beyond that after the import of torch; None where nobody tells.
    """

    torch_seconds: float
    loaded_seconds: float
    token_seconds: float
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class ResumeRow:
    """A conversation's saved state taken up again (median), beside the least that it can cost: reading the
    file, its checksum, the copy to the device (median of turns with it).
    """

    nbytes: int
    seconds: float
    floor_seconds: float
    ratio: float


@dataclass(frozen=True, slots=True)
class TierRow:
    """The same model in another numeric form: bytes of its weights, one token's median, 256 read at once."""

    tier: str
    weights_bytes: int
    step_seconds: float
    prefill_tokens_per_second: float


@dataclass(frozen=True, slots=True)
class PeerRow:
    """Another program on the same weights and threads, in turn with ours: medians, and how many times better
    ours is (the median of the rounds' ratios).

    Attributes:
        form: its numeric form.  tier: ours beside it.
        what: "decode" and "prefill", tokens in a second; "load", seconds from a process that has imported
            torch to its first token; "memory", bytes that this took at most.
    """

    peer: str
    version: str
    form: str
    tier: str
    what: str
    ours: float
    theirs: float
    ratio: float


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that could not be measured, and why: an error's type name, or a word."""

    table: str
    case: str
    reason: str


Row = (
    Machine
    | Subject
    | ContextRow
    | ReplyRow
    | StreamRow
    | BatchRow
    | PrefillRow
    | StartRow
    | ResumeRow
    | TierRow
    | PeerRow
    | LeftOut
)
