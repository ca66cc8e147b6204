"""The session's own errors: data, not sentences.

SessionError
├── ThreadBusy(thread)           a reply is being written in this conversation
├── EmptyMessage()               nothing but space was sent
├── NothingToRegenerate(thread)  no reply yet
├── BuiltInStays()               the built-in model cannot be taken off the shelf
├── NotHereYet(name)             a model that can be downloaded, and was not
├── NotOurs(path)                a file in our folder of models that we did not put there
├── ConversationUnknown(name)    no conversation is called so
├── ConversationAmbiguous(name, names)  several are
├── ConversationsInvalid(path, where, hint)  not a file of conversations that can be taken in
└── SessionClosed()              the program is leaving
"""

from __future__ import annotations

from dataclasses import dataclass


class SessionError(Exception):
    """The family."""


@dataclass(eq=False)
class ThreadBusy(SessionError):
    thread: str


@dataclass(eq=False)
class EmptyMessage(SessionError):
    pass


@dataclass(eq=False)
class NothingToRegenerate(SessionError):
    thread: str


@dataclass(eq=False)
class BuiltInStays(SessionError):
    pass


@dataclass(eq=False)
class NotHereYet(SessionError):
    name: str


@dataclass(eq=False)
class NotOurs(SessionError):
    path: str


@dataclass(eq=False)
class SessionClosed(SessionError):
    pass


@dataclass(eq=False)
class ConversationUnknown(SessionError):
    name: str


@dataclass(eq=False)
class ConversationAmbiguous(SessionError):
    name: str
    names: str


@dataclass(eq=False)
class ConversationsInvalid(SessionError):
    """`where`: the place in the file; `hint`: what is wrong there, a word of the catalogue."""

    path: str
    where: str
    hint: str
