"""What the commands of `rwkv-chat states` share: lines of text, values for --json, progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from engine.types import Prefilled
from rwkv_chat.cli.output import note
from rwkv_chat.cli.progress import ProgressLine
from rwkv_chat.explain import size
from rwkv_chat.plain_text import title
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rwkv_chat.session import Confirmed, Persona, PersonaState, Shared

End = TypeVar("End")
SHORT_ID = 12


def name_of(persona: Persona) -> str:
    return title(persona.name)


def line(persona: Persona) -> str:
    """Id, kind, size and name of a persona, in one line."""
    state = persona.states[0] if persona.states else None
    tokens = f"{state.tokens:,}" if state else "–"
    kind = say(f"states.kind.{persona.kind}")
    return say("states.row", id=persona.id[:SHORT_ID], kind=kind, tokens=tokens, name=name_of(persona))


def state_line(state: PersonaState) -> str:
    """What one model made of a persona."""
    trust = "trusted" if state.trusted else "unverified"
    held = size(state.nbytes) if state.nbytes else say("states.not_here")
    words = say(f"states.trust.{trust}")
    return say("states.state", model=title(state.model_name), tier=state.tier, tokens=f"{state.tokens:,}",
               size=held, trust=words)  # fmt: skip


def record(persona: Persona) -> dict[str, Any]:
    names = ("id", "name", "kind", "description", "tags", "text", "messages", "template", "mode", "created")
    told: dict[str, Any] = {name: getattr(persona, name) for name in names}
    states = ("model", "model_name", "tier", "tokens", "nbytes", "trusted")
    made = [{name: getattr(each, name) for name in states} for each in persona.states]
    return told | {"sampling": dict(persona.sampling), "states": made}


def shared_record(shared: Shared) -> dict[str, Any]:
    return {name: getattr(shared, name) for name in ("path", "nbytes", "messages", "states")}


def confirmed_record(found: Confirmed) -> dict[str, Any]:
    return {"agrees": found.agrees, "difference": found.difference}


def tell_shared(shared: Shared) -> None:
    """Where it is, and that a state may tell what it has read."""
    note(say("states.export.done", path=title(shared.path, 300), size=size(shared.nbytes)))
    if shared.reveals:
        note(say("states.export.reveals"))


def tell_confirmed(found: Confirmed) -> None:
    what = "agrees" if found.agrees else "differs"
    note(say(f"states.confirm.{what}", difference=f"{found.difference:.2g}"))


async def last(events: AsyncIterator[Prefilled | End], name: str) -> End:
    """Follows a reading on the terminal; what it ends with."""
    end: Any = None
    with ProgressLine(title(name)) as shown:
        async for event in events:
            if isinstance(event, Prefilled):
                shown.show("tokens", event.done, event.total)
            else:
                end = event
    return end
