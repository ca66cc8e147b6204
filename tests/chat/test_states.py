"""The library of states: personas saved, begun from, rebuilt for another model; what states take up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.types import Prefilled
from rwkv_chat.session.state_types import Persona
from tests.chat.real import GREEDY, ask, model_folder, open_real, told

if TYPE_CHECKING:
    from pathlib import Path

    from rwkv_chat.session import Session


async def save(session: Session, thread: str, name: str = "Scribe", **named: object) -> Persona:
    events = [each async for each in session.states.save(thread, name, **named)]  # pyright: ignore
    assert isinstance(events[-1], Persona)
    assert all(isinstance(each, Prefilled) for each in events[:-1])
    return events[-1]


async def test_a_persona_is_where_a_new_conversation_begins(tmp_path: Path, opened: list[Session]) -> None:
    session = await open_real(tmp_path / "home", model_folder(tmp_path / "model"))
    opened.append(session)
    first = await ask(session, None, "I am a scribe.")
    saved = await save(session, first.thread.id, description="writes", tags=("role",))
    assert (saved.name, saved.kind, saved.tags, saved.messages) == ("Scribe", "lived", ("role",), 2)
    assert saved.states[0].nbytes > 0
    assert saved.states[0].tokens == len((await told(session, first.thread.id)).tokens)

    begun = await session.states.begin(saved.id)
    both = [await ask(session, each, "And now?", GREEDY) for each in (first.thread.id, begun.id)]
    texts = [(await told(session, each.thread.id)).tokens for each in both]
    assert texts[0] == texts[1], "the persona knows what the conversation knew"
    assert both[1].usage is not None
    assert both[1].usage.history_tokens == 0, "nothing was read again"
