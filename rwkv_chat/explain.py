"""What went wrong, for people: from an error's type to a title, what happened, and what can be done.

The words stand in the catalogue under `errors.<type>`, found by the type's name or its bases' names; so
nothing that raises errors is imported here. Both front ends use this, and nothing else words an error.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from rwkv_chat.phrases import clauses, listed, sentences
from rwkv_chat.plain_text import clean
from rwkv_chat.texts import lookup, say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.types import LoadNotice, NotFast, NotKept, NotSaved, TierChosen
    from rwkv_chat.settings_file import SettingsWarning, Wrong

OK, FAILURE, USAGE, NOT_FOUND, NO_MEMORY, INTERRUPTED = 0, 1, 2, 3, 4, 130

# Exit codes by type name, where not FAILURE.
EXIT_CODES = {
    "InvalidParameter": USAGE,
    "InvalidRequest": USAGE,
    "EmptyMessage": USAGE,
    "NothingToRegenerate": USAGE,
    "NothingToContinue": USAGE,
    "NothingToUndo": USAGE,
    "NothingToRedo": USAGE,
    "NothingToRefresh": USAGE,
    "NotReadable": USAGE,
    "BuiltInStays": USAGE,
    "NotOurs": USAGE,
    "NotHereYet": NOT_FOUND,
    "ModelAmbiguous": USAGE,
    "ConversationAmbiguous": USAGE,
    "ConversationUnknown": NOT_FOUND,
    "SpeakersUnknown": USAGE,
    "NothingToTrain": USAGE,
    "ConsentMissing": USAGE,
    "PersonaAmbiguous": USAGE,
    "PersonaUnknown": NOT_FOUND,
    "PersonaMissing": NOT_FOUND,
    "NothingToSave": USAGE,
    "PersonaOfOtherModel": USAGE,
    "TuneUnknown": NOT_FOUND,
    "TuneAmbiguous": USAGE,
    "TuneRuns": USAGE,
    "TuneOver": USAGE,
    "TuneNotDone": USAGE,
    "TuneIsModel": USAGE,
    "TuneOfOtherModel": USAGE,
    "TuneTooLarge": NO_MEMORY,
    "NoMoments": USAGE,
    "NotInPrivate": USAGE,
    "AdapterGone": NOT_FOUND,
    "ModelNotFound": NOT_FOUND,
    "TokenizerMissing": NOT_FOUND,
    "ModelUnknown": NOT_FOUND,
    "FileGone": NOT_FOUND,
    "StateMissing": NOT_FOUND,
    "ModelGone": NOT_FOUND,
    "NotAtSource": NOT_FOUND,
    "ThreadMissing": NOT_FOUND,
    "NodeMissing": NOT_FOUND,
    "FileNotFoundError": NOT_FOUND,
    "OutOfMemory": NO_MEMORY,
    "MemoryError": NO_MEMORY,
    "KeyboardInterrupt": INTERRUPTED,
    "SettingUnknown": USAGE,
    "SettingRefused": USAGE,
}

# Fields counted in bytes.
SIZES = {"needed", "free", "budget", "held", "done", "total"}
UNITS = ("bytes", "kB", "MB", "GB", "TB")
LONGEST_VALUE = 300
UNKNOWN = "?"  # in place of a path that an error does not tell
MOST_LINES = 5  # of a settings file, told at once


@dataclass(frozen=True, slots=True)
class Explanation:
    """One error in words.

    Attributes:
        title: a few words, no full stop.  what: what happened.  advice: what can be done now.
        code: the exit code of a command that ends with it.
    """

    title: str
    what: str
    advice: str
    code: int = FAILURE


def explain(error: BaseException) -> Explanation:
    """The words for `error`; those for `Exception` where its type has none."""
    names = [each.__name__ for each in type(error).__mro__]
    name = next((each for each in names if lookup(f"errors.{each}.title")), "Exception")
    code = next((EXIT_CODES[each] for each in names if each in EXIT_CODES), FAILURE)
    values = _values(error)
    if (words := lookup(f"errors.{name}.hint.{values.get('hint')}")) is not None:
        values["hint"] = words
    whole = "what" if values["path"] != UNKNOWN or lookup(f"errors.{name}.nameless") is None else "nameless"
    title, what, advice = (say(f"errors.{name}.{part}", **values) for part in ("title", whole, "advice"))
    advice = lookup(f"errors.{name}.advice_for.{getattr(error, 'hint', '')}") or advice
    return Explanation(title, what, advice, code)


def sentence(error: BaseException) -> str:
    """What happened and what can be done, in one line."""
    found = explain(error)
    return sentences(found.what, found.advice)


def settings_sentence(warning: SettingsWarning) -> str:
    """Why a setting is not in force, and what can be done, in one line."""
    path = _shown("path", warning.path)
    if warning.kind == "damaged":
        return say("settings.damaged", path=path, reason=_shown("reason", warning.reason))
    lines = clauses(_wrong_line(each) for each in warning.wrong[:MOST_LINES])
    more = len(warning.wrong) - MOST_LINES
    told = say("settings.invalid", path=path, lines=lines)
    return sentences(told, say("settings.more", number=more)) if more > 0 else told


def _wrong_line(wrong: Wrong) -> str:
    """One line of the settings file that has no effect."""
    name = _shown("name", wrong.name)
    if wrong.allowed:
        return say("settings.wrong.value", name=name, allowed=wrong.allowed)
    if wrong.near:
        return say("settings.wrong.near", name=name, near=wrong.near)
    return say("settings.wrong.unknown", name=name)


def not_kept_sentence(event: NotKept) -> str:
    """Why a model takes long to load each time, and what can be done, in one line."""
    return say("models.not_kept", needed=size(event.needed))


def not_saved_sentence(event: NotSaved) -> str:
    """What follows when a reply's state could not be saved, why, and what can be done."""
    return sentences(say("models.not_saved"), sentence(event.error))


def resumed_words(changed: Sequence[str], part: str = "app.status") -> str:
    """How a reply goes on that a crash cut: as it was sampled, or what of that was `changed` since (names of
    `SamplingParams`). `part`: the place in the catalogue that has the words.
    """
    if not changed:
        return say(f"{part}.resumed_same")
    return say(f"{part}.resumed_changed", names=listed(_label(each) for each in changed))


def _label(name: str) -> str:
    return say("app.sampling.ban_texts.label" if name in ("bans", "biases") else f"sampling.{name}.label")


def tier_sentence(event: TierChosen) -> str:
    """Why the weights are kept in another form than the usual one, or why that one was no good choice."""
    return say(f"models.tier_chosen.{event.reason}", tier=event.tier.partition("-")[0])


def not_fast_sentence(event: NotFast) -> str:
    """Why a card, or what makes it fast, is not used, and what mends it, in one line."""
    card = clean(event.card) or say("models.not_fast.some_card")
    return say(f"models.not_fast.{event.reason}", card=card, detail=clean(event.detail))


# An event's type name → its sentence.
_NOTICES: dict[str, Callable[[Any], str]] = {
    "NotKept": not_kept_sentence,
    "NotFast": not_fast_sentence,
    "TierChosen": tier_sentence,
}


def notice_sentence(event: LoadNotice) -> str:
    """What people should know of a load, in one line."""
    return _NOTICES[type(event).__name__](event)


def size(nbytes: float) -> str:
    """A number of bytes for people: "3.1 GB", decimal units."""
    value, unit = float(nbytes), UNITS[0]
    for unit in UNITS:
        if abs(value) < 999.5 or unit == UNITS[-1]:
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == UNITS[0] or abs(value) >= 99.95 else f"{value:.1f} {unit}"


def _values(error: BaseException) -> dict[str, object]:
    """What the texts may speak of; a value from a file or a model is made safe to show."""
    given: dict[str, object] = {"kind": type(error).__name__, "path": UNKNOWN, "reason": str(error)}
    if isinstance(error, OSError):
        given |= {"path": error.filename or UNKNOWN, "reason": error.strerror or str(error)}
    if is_dataclass(error):
        given |= {each.name: getattr(error, each.name) for each in fields(error)}
    return {name: _shown(name, value) for name, value in given.items()}


def _shown(name: str, value: object) -> str:
    if name in SIZES and isinstance(value, int | float):
        return size(value)
    words = listed(map(str, value)) if isinstance(value, tuple) else str(value)
    text = " ".join(clean(words).split())
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
