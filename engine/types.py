"""Values that cross the engine's border: frozen, picklable, free of torch.

Shape letters used all over the engine: B batch, T time, C width, H heads, K/V key/value channel of a head,
L layers, F ffn width, O vocabulary.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from engine.errors import EngineError, InvalidParameter

TokenIds = tuple[int, ...]
FinishReason = Literal["stop", "length", "cancelled"]
StateSource = Literal["fresh", "device", "ram", "disk", "rebuilt"]
TierReason = Literal["room", "no-bf16", "lossy"]


# ------------------------------------------------------------------------------------------------ models


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What the weight shapes say about a model; never typed in by hand.

    Attributes:
        arch: the architecture's name, a key of `engine.models.ARCHITECTURES`: "rwkv4", "rwkv5.0", "rwkv5.1",
            "rwkv5.2", "rwkv6" or "rwkv7".
        n_layer, n_embd, head_size, n_ffn, vocab_size: L, C, N, F, O. RWKV-4 has a head for each
            channel: N = 1.
        ranks: low-rank sizes by the official letter, as sorted pairs (("a", 64), ("g", 128), …); RWKV-6's
            are "d" (decay) and "m" (mixtures).
        log_bonus: an RWKV-5 whose files keep the bonus as its logarithm, `time_first`.
    """

    arch: str
    n_layer: int
    n_embd: int
    head_size: int
    n_ffn: int
    vocab_size: int
    ranks: tuple[tuple[str, int], ...] = ()
    log_bonus: bool = False

    @property
    def n_head(self) -> int:
        return self.n_embd // self.head_size

    def rank(self, letter: str) -> int:
        return dict(self.ranks)[letter]


@dataclass(frozen=True, slots=True)
class TokenizerRef:
    """Which tokenizer: the World vocabulary, or a Hugging Face `tokenizer.json` at `path`."""

    kind: Literal["world", "json"] = "world"
    path: str | None = None


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """A weights file to load.

    Attributes:
        path: an official `.pth` or a `.safetensors` with official names.
        device: "auto", "cpu", "cuda" or "cuda:1".
        dtype: "auto", "fp32", "bf16", "fp16", "int8" or "int4" (weights; what is computed is bf16, or fp16 on
            cards without bf16; `engine.weights.choice` says where). The wkv state is fp32 always.
    """

    path: str
    tokenizer: TokenizerRef = TokenizerRef()
    device: str = "auto"
    dtype: str = "auto"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A loaded model.

    Attributes:
        id: SHA-256 of the weights, hex; "" until `Engine.identify` has told it.
        tier: numeric tier, e.g. "fp32", "int8"; part of every state's key.
        nbytes: bytes of weights in memory.
        state_nbytes: bytes of one sequence's state.
        adapter: id of the adapter that is in the weights, "" for none; part of every state's key.
    """

    id: str
    path: str
    spec: ModelSpec
    tier: str
    device: str
    tokenizer: TokenizerRef
    nbytes: int
    state_nbytes: int
    adapter: str = ""


# ------------------------------------------------------------------------------------------------ sampling


def _param(default: Any, low: float, high: float, step: float) -> Any:
    return field(default=default, metadata={"min": low, "max": high, "step": step})


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How the next token is chosen (the official package's semantics, plus min-p and bans).

    Each numeric field carries min, max and step in its metadata; its label and help stand in the app's text
    catalogue under `sampling.<name>`. Panel rows, CLI options and validation are made from both.

    Attributes:
        temperature: 0 means greedy.
        max_tokens: the longest reply, in tokens.
        seed: None draws a fresh one, reported in `Usage.seed`; the same seed gives the same text.
        bans: token ids never sampled.  biases: (token id, added logit) pairs.

    Raises:
        InvalidParameter: a value is out of its range or not a number.
    """

    temperature: float = _param(1.0, 0.0, 5.0, 0.05)
    top_p: float = _param(0.5, 0.0, 1.0, 0.05)
    top_k: int = _param(0, 0, 65536, 1)
    min_p: float = _param(0.0, 0.0, 1.0, 0.01)
    presence_penalty: float = _param(0.0, -5.0, 5.0, 0.1)
    frequency_penalty: float = _param(0.0, -5.0, 5.0, 0.1)
    penalty_decay: float = _param(0.996, 0.0, 1.0, 0.001)
    max_tokens: int = _param(1024, 1, 1_000_000, 64)
    seed: int | None = _param(None, 0, 2**63 - 1, 1)
    bans: TokenIds = ()
    biases: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not each.metadata or value is None:
                continue
            low, high = each.metadata["min"], each.metadata["max"]
            wrong_type = isinstance(value, bool) or not isinstance(value, int | float)
            if not wrong_type and isinstance(each.default, int) and not isinstance(value, int):
                wrong_type = True
            if wrong_type or not low <= value <= high:
                raise InvalidParameter(each.name, repr(value), low, high)


@dataclass(frozen=True, slots=True)
class StopRule:
    """What ends a reply; neither the ids nor the texts belong to it."""

    ids: TokenIds = (0,)
    texts: tuple[str, ...] = ()


# ------------------------------------------------------------------------------------------------ states


@dataclass(frozen=True, slots=True)
class StateKey:
    """Names one recurrent state: what it depends on, and nothing else.

    Attributes:
        model: SHA-256 of the weights, hex.
        tier: numeric tier of the weights ("fp32", "bf16", "int8" …).
        adapter: id of the adapter, "" for none.
        initial: id of the initial (tuned) state, "" for zeros.
        prefix: chained key of every token of the chain (`engine.prefix`), pending tokens included.
    """

    model: str
    tier: str
    adapter: str
    initial: str
    prefix: str

    def digest(self) -> str:
        """64 hex digits, safe as a file name."""
        joined = "\0".join((self.model, self.tier, self.adapter, self.initial, self.prefix))
        return hashlib.blake2b(joined.encode(), digest_size=32).hexdigest()


@dataclass(frozen=True, slots=True)
class Ladder:
    """The places of one conversation at which states may be saved: what the store must know of it to give up
    the least useful first.

    Attributes:
        name: stands for the conversation; a ladder told again replaces the one of the same name.
        rungs: prefix keys, each after the one that it follows.
        parents: for each rung the place in `rungs` of the one before it, −1 for none.
        tips: keys of the rungs where somebody stands.
        pinned: keys of those that are never given up.
    """

    name: str
    rungs: tuple[str, ...] = ()
    parents: tuple[int, ...] = ()
    tips: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StateProfile:
    """What can be said of a saved state by looking at it.

    Attributes:
        length: tokens of its chain.
        norms: Frobenius norm of each head's wkv state, [L][H] (RWKV-4: of each layer's, [L][1]).
        shifts: by name, the norm of each layer's token-shift vector, [L].
    """

    path: str
    arch: str
    model: str
    tier: str
    length: int
    nbytes: int
    norms: tuple[tuple[float, ...], ...]
    shifts: tuple[tuple[str, tuple[float, ...]], ...]


# ------------------------------------------------------------------------------------------------ requests


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """One reply (or n alternatives) after a chain of tokens.

    Attributes:
        prompt: new token ids to feed after the chain; may be empty (regenerate, continue).
        history: every token id of the chain before `prompt`, oldest first; fed only if no saved state fits.
        start: prefix key of `history`; None lets the engine compute it.
        continues: how many tokens at the chain's end belong to a cut reply that now goes on (0: none): its
            penalty counts, sampler position and unfinished character are taken up again.
        fork: where what will be remembered parts from this chain: after so many of its tokens. The state
            there is saved, not the one at the prompt's end, nor the one after the reply. None: these are.
        n: parallel alternatives, 0…n−1.
        top: how many alternatives to report for each token (0 for none).
        initial: id of a registered initial state ("" for zeros).
    """

    prompt: TokenIds
    history: TokenIds = ()
    start: str | None = None
    params: SamplingParams = SamplingParams()
    stop: StopRule = StopRule()
    n: int = 1
    top: int = 0
    continues: int = 0
    initial: str = ""
    fork: int | None = None


@dataclass(frozen=True, slots=True)
class FeedRequest:
    """Tokens to be read without an answer: a conversation for another model, an answer without its thinking.

    The state after the last token is saved under the chain's key. Cancelled, it keeps how far it came, and
    the next request goes on from there. The fields are those of `GenerateRequest`.

    Attributes:
        background: replies go first, and a load that is asked for ends it.
    """

    prompt: TokenIds
    history: TokenIds = ()
    start: str | None = None
    initial: str = ""
    background: bool = True


@dataclass(frozen=True, slots=True)
class InitialRequest:
    """A state from outside to begin from, for the model that is loaded when the request's turn comes.

    Attributes:
        path: a tuned state, in one of `engine.weights.tuned.TUNED_FORMATS` or merged into a model; or with
            the form "snapshot" the state after a chain of tokens, as another machine saved it.
        form: a key of those formats, where the file does not tell.
        id: what it is called; "" for a digest of its values. Of a snapshot it must be given: nothing says
            that it is what its chain makes, so chains that begin with it are kept apart by this id.
    """

    path: str
    form: str | None = None
    id: str = ""


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """A saved state that is never given up from now on: it has a name."""

    key: StateKey


@dataclass(frozen=True, slots=True)
class ThinRequest:
    """Gives up, whatever the budget, what the ladders can do without: of what lies further back than a
    conversation's last eight states only every 2nd, 4th and 8th stays, and nothing that no ladder knows.
    """


@dataclass(frozen=True, slots=True)
class UseRequest:
    """Asks what saved states take up, and how often they were of use."""


@dataclass(frozen=True, slots=True)
class InspectRequest:
    """Looks at one state file, or at two and what differs between them. Needs no model."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AdaptRequest:
    """An adapter for the model that is loaded when the request's turn comes, in place of the one before.

    Attributes:
        path: a peft folder or a file that `engine.weights.adapters` reads; None: the model without any.
        alpha: LoRA's, where the file does not say it or another is wanted.
    """

    path: str | None
    alpha: float | None = None


@dataclass(frozen=True, slots=True)
class DownloadRequest:
    """One file to fetch.

    Attributes:
        url: https (http only to this machine).
        path: where the finished file will stand; it appears there whole and verified, or not at all.
        size, sha256: what is known of it from a source other than the server; None where nothing is.
        mirrors: addresses of the same file elsewhere, tried in order where the first has it no more.
        token: a Hugging Face token, sent to the first address's host alone; None (the default) sends none.
    """

    url: str
    path: str
    size: int | None = None
    sha256: str | None = None
    mirrors: tuple[str, ...] = ()
    token: str | None = None


# ------------------------------------------------------------------------------------------------ events


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
    top: tuple[tuple[TopToken, ...], ...] = ()


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
    """One optimiser step: loss in nats per trained token."""

    step: int
    steps: int
    loss: float
    learning_rate: float
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A validation pass: loss in nats per token."""

    step: int
    loss: float


LoadNotice = NotKept | NotFast | TierChosen  # what people should know of a load, beside how far it is
Event = (
    Prefilled
    | Piece
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
