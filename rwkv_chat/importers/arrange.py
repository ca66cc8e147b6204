"""From a log to a conversation of the library: who is the model, who is you, and bursts as one message."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rwkv_chat.importers.forms import Turn
from rwkv_chat.templates import scrub
from rwkv_chat.texts import say
from rwkv_chat.transcript import ChatMessage, Node, Thread, Tree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rwkv_chat.importers.forms import Attachment, Conversation
    from rwkv_chat.transcript import Role

LONGEST_BURST = 20_000  # characters of messages that are joined


@dataclass(frozen=True, slots=True)
class Cast:
    """Who is who in a messenger's chats, by name in any case; one of the two is enough.

    Attributes:
        me: whose messages are the person's own; all others are the model's.
        assistant: whose messages are the model's; all others are the person's.
    """

    me: str = ""
    assistant: str = ""

    def known(self, conversation: Conversation) -> Cast | None:
        """With what the log itself says; None where it must be asked."""
        if self.me or self.assistant or not conversation.participants:
            return self
        return Cast(me=conversation.owner) if conversation.owner else None

    def mark(self, conversation: Conversation) -> str:
        """The same chat with other parts for its people is another conversation."""
        return f"{self.me}:{self.assistant}".casefold() if conversation.participants else ""

    def role(self, author: str) -> Role:
        if self.assistant:
            return "assistant" if _same(author, self.assistant) else "user"
        return "user" if _same(author, self.me) else "assistant"


def _same(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


def tree(conversation: Conversation, cast: Cast) -> Tree:
    """As the library keeps it; ids are those of the log, and only good inside of it."""
    turns, tip = _joined(_spoken(conversation, cast), conversation.tip)
    nodes = tuple(_node(each, conversation) for each in turns)
    times = [each.time for each in turns if each.time is not None]
    title = conversation.title.strip() or (turns[0].text if turns else "")
    if conversation.part:
        title = say("logs.part", title=title, number=conversation.part + 1)
    thread = Thread(
        id=f"{conversation.form}:{conversation.id}:{conversation.part}:{cast.mark(conversation)}",
        title=scrub(title),
        tip=tip or None,
        created=conversation.created or min(times, default=0.0),
        updated=max(times, default=conversation.created or 0.0),
    )
    return Tree(thread, nodes)


def messages(
    conversation: Conversation, cast: Cast, people: Iterable[str]
) -> tuple[tuple[ChatMessage, bool], ...]:
    """The chosen branch as it is trained on; of each message whether it may be learnt. `people`: of the whole
    chat, of which this may be a part.
    """
    turns, _ = _joined(_spoken(conversation, cast, people), conversation.tip)
    return tuple((_message(each), each.learned) for each in turns)


def _spoken(conversation: Conversation, cast: Cast, people: Iterable[str] = ()) -> tuple[Turn, ...]:
    """With roles for all; where several speak for one side, each says who."""
    sides: dict[Role, set[str]] = {"user": set(), "assistant": set(), "system": set()}
    for name in people or conversation.participants:
        sides[cast.role(name)].add(name)
    return tuple(_cast(each, cast, sides) for each in conversation.turns if each.role != "tool")


def _cast(turn: Turn, cast: Cast, sides: dict[Role, set[str]]) -> Turn:
    text = "\n".join(filter(None, (turn.text, *map(shown, turn.attachments))))
    if turn.role != "other":
        return replace(turn, text=text)
    role = cast.role(turn.author)
    text = f"{turn.author}: {text}" if len(sides[role]) > 1 else text
    said = ("\0", role, text, turn.time, turn.parent, turn.reasoning)  # 0: the mark of one that may be joined
    # `replace` takes thrice as long
    return Turn(turn.id, *said, turn.attachments, turn.edited, turn.learned)


def shown(attachment: Attachment) -> str:
    """A word in the place of what is not text."""
    kind = say(f"logs.kind.{attachment.kind}")
    return f"[{kind}: {attachment.name}]" if attachment.name else f"[{kind}]"


def _joined(turns: tuple[Turn, ...], tip: str) -> tuple[tuple[Turn, ...], str]:
    """What one side of a messenger says in one go is one message, a line for each; and where the tip went."""
    kept: list[Turn] = []
    place: dict[str, str] = {}
    for turn in turns:
        last = kept[-1] if kept else None
        parent = place.get(turn.parent or "")
        burst = last is not None and turn.author == last.author == "\0" and turn.role == last.role
        if last is not None and burst and len(last.text) + len(turn.text) < LONGEST_BURST:
            kept[-1] = replace(last, text=f"{last.text}\n{turn.text}")
            place[turn.id] = last.id
        else:
            kept.append(replace(turn, parent=parent))
            place[turn.id] = turn.id
    return tuple(kept), place.get(tip, kept[-1].id if kept else "")


def _message(turn: Turn) -> ChatMessage:
    role: Role = turn.role if turn.role in ("user", "assistant", "system") else "user"
    return ChatMessage(role, scrub(turn.text), scrub(turn.reasoning))


def _node(turn: Turn, conversation: Conversation) -> Node:
    return Node(
        id=turn.id,
        parent=turn.parent,
        message=_message(turn),
        created=turn.time if turn.time is not None else conversation.created or 0.0,
    )
