"""The session's own errors: data, not sentences.

SessionError
├── ThreadBusy(thread)           a reply is being written in this conversation
├── ThreadElsewhere(thread)      another window is speaking in this conversation
├── EmptyMessage()               nothing but space was sent
├── NothingToRegenerate(thread)  no reply yet
├── NothingToContinue(thread)    no reply that could go on
│   └── ReplyWhole(thread)       the model itself has ended it
├── NothingToUndo(thread)        nothing was done that can be taken back
├── NothingToRedo(thread)        nothing was taken back that can be done again
├── NothingToRefresh(thread)     nothing was said that could be remembered
├── NotReadable(path, hint)      a file that is no text
├── BuiltInStays()               the built-in model cannot be taken off the shelf
├── NotHereYet(name)             a model that can be downloaded, and was not
├── NotOurs(path)                a file in our folder of models that we did not put there
├── ConversationUnknown(name)    no conversation is called so
├── ConversationAmbiguous(name, names)  several are
├── ConversationsInvalid(path, where, hint)  not a file of conversations that can be taken in
├── SpeakersUnknown(path, names)  a chat between people: nobody said who of them is who
├── NothingToTrain(hint)         nothing was left of what was chosen to be trained on
├── ConsentMissing(names)        other people's messages would be trained on, and nobody said that they agree
├── PersonaUnknown(name)         no persona is called so
├── PersonaAmbiguous(name, names)  several are
├── NothingToSave(thread)        a conversation without a message
├── PersonaOfOtherModel(name, models, model)  no state of it is of the model in use
├── NotForSpeaking(name)         a persona that is neither an adapter nor a tuned state
├── CapsuleInvalid(path, where, hint)  not a capsule that can be taken in; `where`: the part that is wrong
├── StateFileInvalid(path, hint)  not a file of a persona or a tuned state that can be taken in
├── NothingToConfirm(name)       a persona that did not come from outside, or is of another model
├── InitialGone(id)              the state that a conversation begins from is not in the library any more
├── AdapterGone(id)              the adapter that a conversation speaks with is not in the library any more
├── NotIdentified(path)          a model whose file could not be read to its end: its states have no name
├── TuneUnknown(name)            no run is called so
├── TuneAmbiguous(name, names)   several are
├── TuneRuns(name)               a run goes on: it cannot be begun, resumed, tried or removed now
├── TuneOver(name)               a run has come to its end: there is nothing to go on with, or to stop
├── TuneNotDone(name)            a run has no result yet
├── TuneIsModel(name)            what a run has made is a whole model: it is exported and imported
├── TuneDamaged(path, where)     a run's folder, or what is in it, cannot be read; `where`: the part
├── TuneNotStarted(name, reason) the process could not be begun
├── TuneTooLarge(name, needed, free)  it does not fit the device
├── TuneOfOtherModel(name, model)  a run's result is for another model than the one in use
├── NoMoments(name)              nothing was held out that could be judged
├── NotInPrivate()               tuning writes down what was said, so it does not begin in a private chat
├── DeviceTaken(device, name)    another run has the device
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
class ThreadElsewhere(SessionError):
    thread: str


@dataclass(eq=False)
class EmptyMessage(SessionError):
    pass


@dataclass(eq=False)
class NothingToRegenerate(SessionError):
    thread: str


@dataclass(eq=False)
class NothingToContinue(SessionError):
    thread: str


@dataclass(eq=False)
class ReplyWhole(NothingToContinue):
    pass


@dataclass(eq=False)
class NothingToUndo(SessionError):
    thread: str


@dataclass(eq=False)
class NothingToRedo(SessionError):
    thread: str


@dataclass(eq=False)
class NothingToRefresh(SessionError):
    thread: str


@dataclass(eq=False)
class NotReadable(SessionError):
    """`hint`: why, a word of the catalogue: "file", "empty", "binary" or "large"."""

    path: str
    hint: str


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
    names: tuple[str, ...]


@dataclass(eq=False)
class ConversationsInvalid(SessionError):
    """`where`: the place in the file; `hint`: what is wrong there, a word of the catalogue."""

    path: str
    where: str
    hint: str


@dataclass(eq=False)
class SpeakersUnknown(SessionError):
    """`names`: who is there."""

    path: str
    names: tuple[str, ...]


@dataclass(eq=False)
class NothingToTrain(SessionError):
    """`hint`: why most of it was left out, a word of the catalogue; "" where there was nothing."""

    hint: str


@dataclass(eq=False)
class ConsentMissing(SessionError):
    """`names`: some of those who speak."""

    names: tuple[str, ...]


@dataclass(eq=False)
class PersonaUnknown(SessionError):
    name: str


@dataclass(eq=False)
class PersonaAmbiguous(SessionError):
    name: str
    names: tuple[str, ...]


@dataclass(eq=False)
class NothingToSave(SessionError):
    thread: str


@dataclass(eq=False)
class PersonaOfOtherModel(SessionError):
    """`models`: names of those that read it; `model`: the one in use."""

    name: str
    models: tuple[str, ...]
    model: str


@dataclass(eq=False)
class NotForSpeaking(SessionError):
    name: str


@dataclass(eq=False)
class CapsuleInvalid(SessionError):
    """`hint`: "other" where it is no capsule at all, "part" where something in it is wrong."""

    path: str
    where: str
    hint: str = "part"


@dataclass(eq=False)
class StateFileInvalid(SessionError):
    """`hint`: "unknown", "damaged", "capsule" or "folder"."""

    path: str
    hint: str


@dataclass(eq=False)
class NothingToConfirm(SessionError):
    name: str


@dataclass(eq=False)
class InitialGone(SessionError):
    id: str


@dataclass(eq=False)
class AdapterGone(SessionError):
    id: str


@dataclass(eq=False)
class NotIdentified(SessionError):
    path: str


@dataclass(eq=False)
class TuneUnknown(SessionError):
    name: str


@dataclass(eq=False)
class TuneAmbiguous(SessionError):
    name: str
    names: tuple[str, ...]


@dataclass(eq=False)
class TuneRuns(SessionError):
    name: str


@dataclass(eq=False)
class TuneOver(SessionError):
    name: str


@dataclass(eq=False)
class TuneNotDone(SessionError):
    name: str


@dataclass(eq=False)
class TuneIsModel(SessionError):
    name: str


@dataclass(eq=False)
class TuneDamaged(SessionError):
    path: str
    where: str


@dataclass(eq=False)
class TuneNotStarted(SessionError):
    name: str
    reason: str


@dataclass(eq=False)
class TuneTooLarge(SessionError):
    """`needed`, `free`: bytes on the device."""

    name: str
    needed: int
    free: int


@dataclass(eq=False)
class TuneOfOtherModel(SessionError):
    """`model`: the name of the one that it is for."""

    name: str
    model: str


@dataclass(eq=False)
class NoMoments(SessionError):
    name: str


@dataclass(eq=False)
class NotInPrivate(SessionError):
    pass


@dataclass(eq=False)
class DeviceTaken(SessionError):
    """`name`: of the run that has it, "" where that is not known."""

    device: str
    name: str
