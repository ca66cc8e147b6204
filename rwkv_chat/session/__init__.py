"""Use cases, one each, for every front end: chats, models and the shelf that they lie on, settings. Nothing
here knows Textual or click, or loads torch.

session = await open_session()
session.models.start()
async for event in session.chats.send(None, "Hello"):
    …
await session.close()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rwkv_chat.session.books import Books
    from rwkv_chat.session.branches import Absorbed, Branches
    from rwkv_chat.session.chats import Chats
    from rwkv_chat.session.errors import EmptyMessage, NothingToRegenerate, SessionError, ThreadBusy
    from rwkv_chat.session.events import (
        Answered,
        Committed,
        HasRead,
        ReplyEnded,
        ReplyGrew,
        TurnEvent,
        TurnFailed,
        WaitingForModel,
    )
    from rwkv_chat.session.exact import ExactPrompt
    from rwkv_chat.session.models import ModelCard, Models
    from rwkv_chat.session.quotes import Quote, quoted
    from rwkv_chat.session.reading import ToRead
    from rwkv_chat.session.session import Session, open_session
    from rwkv_chat.session.shelf import Shelf
    from rwkv_chat.session.shelf_convert import Conversion
    from rwkv_chat.session.shelf_fetch import Sources
    from rwkv_chat.session.shelf_pull import Pull
    from rwkv_chat.session.shelf_types import Converted, Found, Golden, Info, Offer, ShelfEntry, Verified
    from rwkv_chat.session.state_types import (
        Changes,
        ChatUse,
        Confirmed,
        Persona,
        PersonaState,
        Shared,
        StatesUse,
    )
    from rwkv_chat.session.states import States
    from rwkv_chat.session.turn import Reading, Turn
    from rwkv_chat.session.writings import Writings

# module of this package → names; imported when asked for, since a first frame needs few of them
_HOMES = {
    "books": ("Books",),
    "branches": (
        "Absorbed",
        "Branches",
    ),
    "chats": ("Chats",),
    "errors": (
        "EmptyMessage",
        "NothingToRegenerate",
        "SessionError",
        "ThreadBusy",
    ),
    "events": (
        "Answered",
        "Committed",
        "HasRead",
        "ReplyEnded",
        "ReplyGrew",
        "TurnEvent",
        "TurnFailed",
        "WaitingForModel",
    ),
    "exact": ("ExactPrompt",),
    "models": (
        "ModelCard",
        "Models",
    ),
    "quotes": (
        "Quote",
        "quoted",
    ),
    "reading": ("ToRead",),
    "session": (
        "Session",
        "open_session",
    ),
    "shelf": ("Shelf",),
    "shelf_convert": ("Conversion",),
    "shelf_fetch": ("Sources",),
    "shelf_pull": ("Pull",),
    "shelf_types": (
        "Converted",
        "Found",
        "Golden",
        "Info",
        "Offer",
        "ShelfEntry",
        "Verified",
    ),
    "state_types": (
        "Changes",
        "ChatUse",
        "Confirmed",
        "Persona",
        "PersonaState",
        "Shared",
        "StatesUse",
    ),
    "states": ("States",),
    "turn": (
        "Reading",
        "Turn",
    ),
    "writings": ("Writings",),
}

__all__ = [
    "Absorbed",
    "Answered",
    "Books",
    "Branches",
    "Changes",
    "ChatUse",
    "Chats",
    "Committed",
    "Confirmed",
    "Conversion",
    "Converted",
    "EmptyMessage",
    "ExactPrompt",
    "Found",
    "Golden",
    "HasRead",
    "Info",
    "ModelCard",
    "Models",
    "NothingToRegenerate",
    "Offer",
    "Persona",
    "PersonaState",
    "Pull",
    "Quote",
    "Reading",
    "ReplyEnded",
    "ReplyGrew",
    "Session",
    "SessionError",
    "Shared",
    "Shelf",
    "ShelfEntry",
    "Sources",
    "States",
    "StatesUse",
    "ThreadBusy",
    "ToRead",
    "Turn",
    "TurnEvent",
    "TurnFailed",
    "Verified",
    "WaitingForModel",
    "Writings",
    "open_session",
    "quoted",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"rwkv_chat.session.{module}"), name)
    raise AttributeError(f"module 'rwkv_chat.session' has no attribute {name!r}")
