"""What one check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rwkv_chat.explain import explain
from rwkv_chat.texts import lookup, say

Status = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line.

    Attributes:
        name: what was looked at.  value: what it is.
        status: "note" is worth knowing; a "problem" keeps something from working.
        advice: what can be done; "" where nothing needs to be.
    """

    name: str
    value: str
    status: Status = "ok"
    advice: str = ""

    @classmethod
    def of(
        cls, name: str, value: object, status: Status = "ok", advice: str = "", **values: object
    ) -> Finding:
        """Words from the catalogue: the name under `doctor.name`, the advice under `doctor.advice`."""
        text = say(f"doctor.advice.{advice}", **values) if advice else ""
        return cls(_name(name), str(value), status, text)

    @classmethod
    def unless(cls, fine: bool, name: str, value: object, advice: str) -> Finding:
        """In order if `fine`, else a note with this advice."""
        return cls.of(name, value) if fine else cls.of(name, value, "note", advice)

    @classmethod
    def failed(cls, name: str, error: BaseException, status: Status = "problem") -> Finding:
        """A check that ended in an error."""
        found = explain(error)
        return cls(_name(name), found.what, status, found.advice)


def _name(name: str) -> str:
    return lookup(f"doctor.name.{name}") or say(f"doctor.{name}.title")
