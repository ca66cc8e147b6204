"""Chat templates: how messages become text for a model, one turn at a time.

A template is a file in `prompts/templates/`. It renders deltas only: the text of one new turn, to be encoded
and appended to the chain as it stands; nothing that was fed is ever rendered again for the same tokenizer.
"""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from engine.types import StopRule
from rwkv_chat.paths import resource

if TYPE_CHECKING:
    from pathlib import Path

    from engine.types import TokenIds
    from rwkv_chat.transcript import Role

FOLDER = "prompts/templates"
SLOT = "{text}"
_BLANK_LINES = re.compile(r"\n{2,}")
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(eq=False)
class TemplateInvalid(Exception):
    """A template file that cannot be used: what is wrong, and in which field."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Template:
    """One file of `prompts/templates/`.

    Attributes:
        first_ids: token ids before the first turn of a chain.
        joiner: text between a turn and the next one.
        system, user, assistant: a turn's text, "{text}" standing for the message.
        think_open, think_close: marks around a model's thinking at the start of a reply ("" for none).
        blank_lines: what becomes of blank lines inside a message: "drop" or "keep".
    """

    name: str
    user: str
    assistant: str
    joiner: str
    system: str = ""
    first_ids: TokenIds = (0,)
    stop: StopRule = field(default_factory=StopRule)
    think_open: str = ""
    think_close: str = ""
    blank_lines: Literal["drop", "keep"] = "drop"

    def clean(self, text: str) -> str:
        """A message as it is fed: LF line ends, no blank lines where they separate turns, stripped."""
        text = scrub(text)
        if self.blank_lines == "drop":
            text = _BLANK_LINES.sub("\n", text)
        return text.strip()

    def render(self, role: Role, text: str, *, first: bool) -> str:
        """The text to encode for one message; a first turn has no joiner in front (and `first_ids` before
        it).

        An assistant's turn is only rendered for a tokenizer that never saw it: it follows its user turn
        directly.
        """
        slot = {"system": self.system, "user": self.user, "assistant": self.assistant}[role]
        turn = slot.replace(SLOT, self.clean(text))
        return turn if first or role == "assistant" else self.joiner + turn


def scrub(text: str) -> str:
    """LF line ends, and U+FFFD for lone surrogates (bytes that were no UTF-8): the rest stays as typed."""
    return _SURROGATES.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


# ------------------------------------------------------------------------------------------------ files


@functools.cache
def template(name: str) -> Template:
    """The template called `name`.

    Raises:
        TemplateInvalid: there is no such file, or it is not a template.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise TemplateInvalid(name, "name")
    return read(resource(FOLDER) / f"{name}.toml")


def names() -> tuple[str, ...]:
    """Names of the templates that come with the program."""
    return tuple(sorted(each.stem for each in resource(FOLDER).glob("*.toml")))


def read(path: Path) -> Template:
    """A template file, checked. Raises: TemplateInvalid."""
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TemplateInvalid(str(path), str(error)) from error
    try:
        return _parse(fields)
    except (KeyError, TypeError, ValueError) as error:
        raise TemplateInvalid(str(path), f"{type(error).__name__}: {error}") from error


def _parse(fields: dict[str, Any]) -> Template:
    think, clean = fields.get("think", {}), fields.get("clean", {})
    return Template(
        name=_text(fields["name"]),
        user=_turn(fields["user"]),
        assistant=_turn(fields["assistant"]),
        system=_turn(fields["system"]) if "system" in fields else "",
        joiner=_text(fields["joiner"]),
        first_ids=_ids(fields.get("first_ids", [])),
        stop=StopRule(_ids(fields.get("stop_ids", [0])), tuple(map(_text, fields.get("stop_texts", [])))),
        think_open=_text(think.get("open", "")),
        think_close=_text(think.get("close", "")),
        blank_lines=_choice(clean.get("blank_lines", "drop")),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _turn(value: object) -> str:
    if _text(value).count(SLOT) != 1:
        raise ValueError(f"{value!r} must hold {SLOT} once")
    return _text(value)


def _ids(value: object) -> TokenIds:
    if not isinstance(value, list) or not all(type(each) is int and 0 <= each < 2**32 for each in value):
        raise TypeError(f"{value!r} is no list of token ids")
    return tuple(value)


def _choice(value: object) -> Literal["drop", "keep"]:
    if value == "drop":
        return "drop"
    if value == "keep":
        return "keep"
    raise ValueError(f"blank_lines is {value!r}")
