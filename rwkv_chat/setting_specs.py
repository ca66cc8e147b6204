"""What one setting may be, as a value: for checking a file, reading a command line, and drawing the screen.

SPECS["dtype"].allowed -> "auto | fp32 | bf16 | fp16 | int8 | int4"
SPECS["threads"].read("4") -> 4
"""

from __future__ import annotations

import re
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from rwkv_chat.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from dataclasses import Field

Kind = Literal["choice", "switch", "whole", "number", "text", "table"]

_KINDS: dict[str, Kind] = {
    "str": "text",
    "int": "whole",
    "float": "number",
    "bool": "switch",
    "Mapping[str, Any]": "table",
    "Mapping[str, str]": "table",
}
_TYPES: dict[Kind, tuple[type, ...]] = {
    "choice": (str,),
    "text": (str,),
    "whole": (int,),
    "number": (int, float),
    "switch": (bool,),
    "table": (dict,),
}
SWITCH = {
    "true": True,
    "on": True,
    "yes": True,
    "1": True,
    "false": False,
    "off": False,
    "no": False,
    "0": False,
}
GROUPS = ("look", "chat", "model", "room")  # as they are shown
EMPTY = '""'
OR = " | "


@dataclass(eq=False)
class SettingUnknown(ValueError):
    """There is no setting of this name; `near` is the nearest one."""

    name: str
    near: str


@dataclass(eq=False)
class SettingRefused(ValueError):
    """A setting cannot be this; `allowed` says what it can be."""

    name: str
    value: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.name} = {self.value}"


@dataclass(frozen=True, slots=True)
class Spec:
    """One setting.

    Attributes:
        group: where it is shown; "" for those that have a place of their own.
        low, high, step: of a number.
        pattern, forms: what a text must match ("" for any), and how that is told.
        start: it holds from the next start on.  loads: the model is loaded again.
        strings: of a table, whether its values are texts.
    """

    name: str
    kind: Kind
    default: Any
    group: str = ""
    choices: tuple[str, ...] = ()
    low: float = 0
    high: float = 0
    step: float = 1
    pattern: str = ""
    forms: str = ""
    start: bool = False
    loads: bool = False
    strings: bool = False

    @property
    def allowed(self) -> str:
        """What it may be, in a notation that needs no language."""
        if self.kind == "choice":
            return OR.join(each or EMPTY for each in self.choices)
        if self.kind == "switch":
            return "true | false"
        if self.kind in ("whole", "number"):
            return f"{self.low:,g} … {self.high:,.15g}"
        return self.forms or ('"…"' if self.kind == "text" else "[…]")

    def fits(self, value: object) -> bool:
        """Whether a file may say so."""
        if not isinstance(value, _TYPES[self.kind]) or (isinstance(value, bool) and self.kind != "switch"):
            return False
        if self.kind == "choice":
            return value in self.choices
        if isinstance(value, int | float) and self.kind != "switch":
            return self.low <= value <= self.high
        if isinstance(value, str):
            return not self.pattern or re.fullmatch(self.pattern, value) is not None
        return not self.strings or not isinstance(value, dict) or all(map(_is_text, value.values()))

    def read(self, text: str) -> Any:
        """The value that a person typed. Raises: SettingRefused."""
        value = self._read(text.strip())
        if self.kind == "table" or not self.fits(value):
            raise SettingRefused(self.name, text, self.allowed)
        return value

    def _read(self, text: str) -> object:
        text = "" if text == EMPTY else text
        if self.kind == "switch":
            return SWITCH.get(text.lower())
        if self.kind in ("whole", "number"):
            return _number(text.replace(",", "."), whole=self.kind == "whole")
        return text

    def written(self, value: object) -> str:
        """As a person types it: `read` gives the value back."""
        if isinstance(value, bool):
            return "true" if value else "false"
        return f"{value:.15g}" if isinstance(value, float) else str(value)

    def stepped(self, value: float, by: int) -> float:
        """A number one step up or down, within its range."""
        moved = min(self.high, max(self.low, round(value + by * self.step, 6)))
        return int(moved) if self.kind == "whole" else moved


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _number(text: str, *, whole: bool) -> float | None:
    try:
        return int(text) if whole else float(text)
    except ValueError:
        return None


def _spec(each: Field[Any]) -> Spec:
    about, kind = each.metadata, _KINDS[str(each.type)]
    choices: Any = about.get("choices", ())
    return Spec(
        each.name,
        "choice" if choices else kind,
        {} if each.default is MISSING else each.default,
        about.get("group", ""),
        choices if isinstance(choices, tuple) else choices(),
        about.get("min", 0),
        about.get("max", 0),
        about.get("step", 1),
        about.get("pattern", ""),
        about.get("forms", ""),
        about.get("start", False),
        about.get("loads", False),
        str(each.type) == "Mapping[str, str]",
    )


SPECS: dict[str, Spec] = {each.name: _spec(each) for each in fields(Settings)}


def spec_of(name: str) -> Spec:
    """Raises: SettingUnknown."""
    if name not in SPECS:
        raise SettingUnknown(name, nearest(name, SPECS) or "–")
    return SPECS[name]


def nearest(name: str, known: Iterable[str]) -> str:
    """The name that was probably meant, "" where none is near."""
    import difflib

    return next(iter(difflib.get_close_matches(name, list(known), 1)), "")
