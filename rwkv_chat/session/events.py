"""What happens in one turn, in order: Committed, WaitingForModel (perhaps), Resumed (of a reply that a crash
cut), Prefilled …, ReplyGrew …, and at the end exactly one of Answered and TurnFailed. Of several replies at
once, each has a ReplyEnded before that.
A reading: Committed (where it begins with a change), Prefilled …, then HasRead or TurnFailed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.types import NotSaved, Prefilled

if TYPE_CHECKING:
    from engine.errors import EngineError
    from engine.types import FinishReason, Usage
    from rwkv_chat.library.errors import LibraryError
    from rwkv_chat.session.errors import SessionError
    from rwkv_chat.session.reply import Part
    from rwkv_chat.templates import TemplateInvalid
    from rwkv_chat.transcript import Node, Thread


@dataclass(frozen=True, slots=True)
class Committed:
    """The message is on the disk: `node` is the person's message that now gets a reply, the cut reply that
    goes on, or the message that was changed.
    """

    thread: Thread
    node: Node


@dataclass(frozen=True, slots=True)
class WaitingForModel:
    """The model is still loading; the reply begins when it is ready."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """A reply that a crash cut goes on as it was sampled, with the same random numbers.

    Attributes:
        changed: what of its sampling is not as it was, since a person has changed it: names of
            `SamplingParams`.
        tokens: how many of its limit it has used up.
    """

    changed: tuple[str, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class ReplyGrew:
    """New characters of the reply.

    Attributes:
        text: the new characters only. Joined per part they equal the stored text and reasoning.
        total: characters of this part so far, these included.
        tokens: tokens of the reply so far, thinking included.
        tokens_per_second: decode speed over the reply so far (0 before it is known).
        part: "answer" or "reasoning".
        index: which of several replies.
    """

    text: str
    total: int
    tokens: int = 0
    tokens_per_second: float = 0.0
    part: Part = "answer"
    index: int = 0


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    """One of several replies is on the disk; `node` is None where it was stopped before its first word."""

    index: int
    node: Node | None
    usage: Usage
    reason: FinishReason


@dataclass(frozen=True, slots=True)
class Answered:
    """The reply is on the disk, whole or as far as it was when stopped.

    Attributes:
        node: the reply; None where it was stopped before its first character (the message then waits,
            see `Chats.answer_pending`). Of an aside: what was said, without an id, since it is not kept.
        usage: what it cost; None where nothing was computed.
        alternatives: all replies, where several were asked for; the thread stands at `node`, one of them.
    """

    thread: Thread
    node: Node | None
    usage: Usage | None
    reason: FinishReason
    alternatives: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class TurnFailed:
    """The turn ended in an error. What was shown of the reply is kept; the message stays and can be answered
    later.
    """

    error: EngineError | LibraryError | SessionError | TemplateInvalid


@dataclass(frozen=True, slots=True)
class HasRead:
    """A reading in the background has ended.

    Attributes:
        thread: id of the conversation.
        usage: what it cost; None where it was stopped (how far it came is kept) or there was nothing to read.
    """

    thread: str
    usage: Usage | None


TurnEvent = (
    Committed
    | WaitingForModel
    | Resumed
    | Prefilled
    | ReplyGrew
    | ReplyEnded
    | NotSaved
    | Answered
    | HasRead
    | TurnFailed
)
