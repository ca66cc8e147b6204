"""What the engine tells: each job ends with one last event (of several alternatives, one for each)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from engine.errors import EngineError
    from engine.types.basics import FinishReason, StateSource, TierReason, TokenIds
    from engine.types.models import ModelInfo
    from engine.types.sampling import SamplingParams
    from engine.types.states import StateKey, StateProfile


@dataclass(frozen=True, slots=True)
class Usage:
    """What one reply cost.

    Attributes:
        prompt_tokens: new tokens fed.  history_tokens: tokens of the chain fed again (0 when resumed).
        reply_tokens: tokens accepted into the chain.
        prefill_seconds, decode_seconds: wall seconds.
        seed: the seed in force.  source: where the start state came from.
    """

    prompt_tokens: int = 0
    history_tokens: int = 0
    reply_tokens: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    seed: int = 0
    source: StateSource = "fresh"


@dataclass(frozen=True, slots=True)
class TopToken:
    """One candidate at a position, with its log-probability (natural logarithm) before truncation."""

    id: int
    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Prefilled:
    """Tokens fed before the first new one; `rebuilt` when history is being fed again."""

    done: int
    total: int
    rebuilt: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """Released text. `tokens` are those whose text is now released whole: their concatenation over all
    pieces of an index is always a prefix of `Finished.tokens`."""

    index: int
    text: str
    tokens: TokenIds


@dataclass(frozen=True, slots=True)
class Resampled:
    """Other params hold from the reply's token number `position` on (tokens of a cut reply that went on are
    counted too). The seed is the one in force; it does not change within a reply.
    """

    position: int
    params: SamplingParams


@dataclass(frozen=True, slots=True)
class TokenScore:
    """One token of a `ScoreRequest`: its log-probability (natural logarithm, before truncation), its rank
    (0 for the likeliest), and the likeliest tokens in its place.
    """

    id: int
    logprob: float
    rank: int
    top: tuple[TopToken, ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """The next tokens of a `ScoreRequest`, in order; the last one ends its job."""

    scores: tuple[TokenScore, ...]
    last: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of one alternative; each index gets exactly one, unless the job ends in `Failed`.

    Attributes:
        tokens: every token of the reply that is now part of the chain.
        text: the whole reply (equal to the joined pieces).
        prefix: prefix key of history + prompt + tokens.
        key: the key under which the state after the reply is kept; None if it could not be kept.
    """

    index: int
    reason: FinishReason
    tokens: TokenIds
    text: str
    usage: Usage
    prefix: str
    key: StateKey | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The job ended in an error; nothing follows."""

    error: EngineError


@dataclass(frozen=True, slots=True)
class Progress:
    """A long task's progress, in the task's own unit (bytes, tensors)."""

    task: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class NotKept:
    """No disk had room for the converted weights of a model: those that must be are converted at every load.

    Attributes:
        needed: bytes that would have been written, beyond those left to others.
    """

    path: str
    needed: int


@dataclass(frozen=True, slots=True)
class TierChosen:
    """A model is loaded in another form than the usual one, or in one to be warned of.

    Attributes:
        tier: as in `ModelInfo`.
        reason: "room" (nothing more exact fits the device), "no-bf16" (the card has none, so fp16 takes its
            place) or "lossy" (4 bits for a model that is too small for them).
    """

    path: str
    tier: str
    reason: TierReason


@dataclass(frozen=True, slots=True)
class NotFast:
    """A card is here, but it, or what makes it fast, is not used.

    Attributes:
        reason: an `engine.nvidia.Reason`.
        card: its name, "" where nobody knows it.  detail: a line for those who look into it.
    """

    reason: str
    card: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model is ready; ends a load job."""

    info: ModelInfo


@dataclass(frozen=True, slots=True)
class Identified:
    """The SHA-256 of a weights file (of a folder: of its sorted file hashes); ends an identify job."""

    path: str
    id: str


@dataclass(frozen=True, slots=True)
class Registered:
    """An initial state is ready under this id (of its values) until another model is loaded; ends its job."""

    path: str
    id: str


@dataclass(frozen=True, slots=True)
class Adapted:
    """The model speaks with the adapter that was asked for; ends an adapt job.

    Attributes:
        path: the request's.  info: the model as it is now, `info.adapter` the adapter's id (of its values).
    """

    path: str | None
    info: ModelInfo


@dataclass(frozen=True, slots=True)
class Unloaded:
    """No model is loaded any more; ends an unload job.

    Attributes:
        nbytes: of its weights; 0 where none was loaded.  device: where it was.
    """

    nbytes: int
    device: str = ""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file stands whole at `path`; ends a download job.

    Attributes:
        source: what its SHA-256 was compared with: "known" (the request's), "host" (the word of the hub that
            publishes it), "mirror" (at most the word of the mirror that served it: unverified).
    """

    path: str
    nbytes: int
    sha256: str
    source: Literal["known", "host", "mirror"]


@dataclass(frozen=True, slots=True)
class Fed:
    """Every token of a `FeedRequest` was read; ends its job. The fields are those of `Finished`."""

    prefix: str
    usage: Usage
    key: StateKey | None = None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A load, adapt, feed, identify or download job was cancelled; ends it. What a download has is kept."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A snapshot reached the disk. Emitted before the `Finished` of its reply."""

    key: StateKey
    nbytes: int


@dataclass(frozen=True, slots=True)
class NotSaved:
    """The state of a reply or a reading was not saved, and why; its chain will be read again."""

    error: EngineError


@dataclass(frozen=True, slots=True)
class Held:
    """A state is never given up from now on; ends a hold job."""

    key: StateKey
    nbytes: int


@dataclass(frozen=True, slots=True)
class Thinned:
    """So many states, of so many bytes together, were given up; ends a thin job."""

    states: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class StoreUse:
    """What saved states take up; ends a use job.

    Attributes:
        disk_bytes, disk_budget: all files, those that are held included.  held_bytes: of those.
        ram_bytes, ram_budget: of states kept in memory beside the disk.
        sources: how many requests of this run began from a state of each source.
    """

    disk_bytes: int
    disk_budget: int
    held_bytes: int
    ram_bytes: int
    ram_budget: int
    sources: tuple[tuple[StateSource, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Inspected:
    """What one or two state files are; ends an inspect job.

    Attributes:
        changes: of two, for each head ‖b − a‖ / ‖a‖, [L][H]; () of one, or where their layouts differ.
        difference: of two, the largest relative difference of any tensor, max |b − a| / max |a|.
    """

    profiles: tuple[StateProfile, ...]
    changes: tuple[tuple[float, ...], ...] = ()
    difference: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One optimiser step: loss in nats per trained token.

    Attributes:
        seconds_left: at the speed of the last steps; 0 at the end, and where nobody looked.
        gradient_norm: before it was cut to its limit.
    """

    step: int
    steps: int
    loss: float
    learning_rate: float
    tokens_per_second: float
    seconds_left: float = 0.0
    gradient_norm: float = 0.0


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A validation pass: loss in nats per token."""

    step: int
    loss: float


LoadNotice = NotKept | NotFast | TierChosen  # what people should know of a load, beside how far it is
Event = (
    Prefilled
    | Piece
    | Resampled
    | Scored
    | Finished
    | Failed
    | Progress
    | NotKept
    | TierChosen
    | NotFast
    | Loaded
    | Identified
    | Registered
    | Adapted
    | Unloaded
    | Downloaded
    | Fed
    | Cancelled
    | Saved
    | NotSaved
    | Held
    | Thinned
    | StoreUse
    | Inspected
    | Step
    | Evaluated
)
