"""What the engine is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.types.sampling import SamplingParams, StopRule

if TYPE_CHECKING:
    from engine.types.basics import TokenIds
    from engine.types.states import StateKey


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
            Of a cut reply, no later than its first token.
        n: parallel alternatives, 0…n−1.
        initial: id of a registered initial state ("" for zeros).
        earlier: of a cut reply that goes on, other params that its tokens were drawn with: (how many of its
            tokens there were when those ended, the params), in order; `params` were in force after them.
        repeats: a reply that says the same again and again ends with the reason "repeats" (see
            `engine.repeats`). It can go on.
    """

    prompt: TokenIds
    history: TokenIds = ()
    start: str | None = None
    params: SamplingParams = SamplingParams()  # noqa: RUF009  frozen
    stop: StopRule = StopRule()  # noqa: RUF009  frozen
    n: int = 1
    continues: int = 0
    initial: str = ""
    fork: int | None = None
    earlier: tuple[tuple[int, SamplingParams], ...] = ()
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """How likely each token of `prompt` was where it stands, and what else could have stood there.

    Read from the nearest saved state; nothing of it is saved. The other fields are those of
    `GenerateRequest`.

    Attributes:
        prompt: at least one token.  history: at least one token.
        top: how many alternatives to report for each token.
    """

    prompt: TokenIds
    history: TokenIds
    start: str | None = None
    top: int = 8
    initial: str = ""


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
class UnloadRequest:
    """Gives the loaded model back, with all memory that it took on its device."""


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
