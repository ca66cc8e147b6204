"""What is trained on, and what was found in it: values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003  a field's type, read by those who pickle
from typing import TYPE_CHECKING, Literal

from rwkv_chat.importers.filters import Filters
from rwkv_chat.importers.redaction import SECRETS, Secret
from rwkv_chat.importers.sessions import GAP, VALIDATION

if TYPE_CHECKING:
    from engine.types import TokenIds
    from rwkv_chat.importers.forms import Reason
    from rwkv_chat.session.border import TokenizerLike
    from rwkv_chat.templates import Template

AGREED = "agreed"  # the word of who answers for other people's messages

# (tokens, weights): weights[i] counts the loss of predicting tokens[i]
Row = tuple["TokenIds", tuple[float, ...]]
Part = Literal["train", "validation"]
Left = Literal[
    "media",  # nothing but pictures and the like
    "links",  # nothing but addresses
    "blocked",  # holds a word of the list
    "too-long",
    "too-short",
    "few-messages",  # a conversation of too few messages
    "one-sided",  # a conversation without an answer
    "language",
    "double",  # said before, word by word
    "alike",  # said before, nearly
    "no-tokens",  # an id that the model does not have
]
Warned = Literal["few", "template", "doubles", "one-sided", "role-words", "no-validation"]


@dataclass(frozen=True, slots=True)
class LogFile:
    """A chat log of another program.

    Attributes:
        form: a key of `importers.formats.FORMATS`; "" for the guess.
        speaker: in a chat between people, whose messages are learnt; "" for who exported it.
    """

    path: Path
    form: str = ""
    speaker: str = ""


@dataclass(frozen=True, slots=True)
class Branch:
    """A conversation of the library. `tip`: the message where a branch ends, "" for where it stands."""

    thread: str
    tip: str = ""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is trained on, and how it is made ready.

    Attributes:
        gap: seconds of silence that end a conversation between people.
        redact: what is taken out of every message.
        aliases: people are called Person A, Person B …
        held: the share of conversations that is kept for validation.
        template: its name; "" for the model's own.
        consent: `AGREED`, where other people's messages are in it.
    """

    files: tuple[LogFile, ...] = ()
    branches: tuple[Branch, ...] = ()
    gap: float = GAP
    filters: Filters = field(default_factory=Filters)
    redact: tuple[Secret, ...] = SECRETS
    aliases: bool = True
    held: float = VALIDATION
    template: str = ""
    consent: str = ""


@dataclass(frozen=True, slots=True)
class Voice:
    """For whom examples are rendered.

    Attributes:
        rows: ids that the model has.
        usual: the name of the template that the model was trained with.
        coding: under what token ids of this tokenizer and template are kept in the library.
    """

    template: Template
    tokenizer: TokenizerLike
    rows: int
    usual: str = ""
    coding: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens of an example that follow one another, as text. `learned`: the loss falls on them."""

    text: str
    learned: bool


@dataclass(frozen=True, slots=True)
class Example:
    """One conversation as it is trained on; `cut`: only its beginning is shown."""

    pieces: tuple[Piece, ...]
    tokens: int
    learned: int
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Amount:
    """`tokens`: of all that is fed; `learned`: those that the loss falls on."""

    examples: int = 0
    tokens: int = 0
    learned: int = 0


@dataclass(frozen=True, slots=True)
class Looked:
    """Bytes read of file number `file`, of how many."""

    file: int
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Caution:
    """`number`: how many it concerns; `word`: which."""

    kind: Warned
    number: int = 0
    word: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What is in a selection.

    Attributes:
        conversations, turns: that are trained on or held out.
        skipped: how many records, messages and conversations were left out, by reason.
        examples: three of them, as they are rendered.
        longest: tokens of the longest one.
        redacted: how many things were taken out, by kind; `redactions`: the first of them, and as what.
        people: who speaks in chats between people, the first to speak first.
        speakers: those of them whose messages are learnt.
        held_from: the first conversation that is held out, by (when it began, its number); None for none.
        template: its name.
    """

    conversations: int
    turns: int
    skipped: dict[Reason | Left, int]
    warnings: tuple[Caution, ...]
    examples: tuple[Example, ...]
    train: Amount
    validation: Amount
    longest: int
    redacted: dict[Secret, int]
    redactions: tuple[tuple[str, Secret], ...]
    people: tuple[str, ...]
    speakers: tuple[str, ...]
    held_from: tuple[float, int] | None
    template: str

    @property
    def needs_consent(self) -> bool:
        """Whether other people's messages are in it."""
        return bool(self.people)
