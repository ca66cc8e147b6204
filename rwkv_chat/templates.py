"""Chat templates: how messages become text for a model, one turn at a time.

A template is a file in `prompts/templates/`. It renders deltas only: the text of one new turn, to be encoded
and appended to the chain as it stands; nothing that was fed is ever rendered again for the same tokenizer.
How a model is asked to think (`ThinkMode`) belongs to one reply, never to the chain.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from engine.types import StopRule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.types import TokenIds
    from rwkv_chat.transcript import Role

SLOT, INPUT = "{text}", "{input}"
_BLANK_LINES = re.compile(r"\n{2,}")
_LINE_ENDS = re.compile(r"[ \t]+$", re.MULTILINE)
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(eq=False)
class TemplateInvalid(Exception):
    """A template file that cannot be used: what is wrong, and in which field."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class ThinkMode:
    """How a model is asked to think before it answers.

    Attributes:
        name: "none", "fast" (thinking is opened and closed for it), "free", "bit" or "lot".
        hint: what is added to the person's message, e.g. " (think a bit)".
        tail: what is added after the turn, e.g. " <think": the beginning of the reply, without the last ">".
    """

    name: str = "none"
    hint: str = ""
    tail: str = ""


PLAIN = ThinkMode()


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What becomes of a message before it is fed, after its line ends were made LF.

    Attributes:
        blank_lines: "drop" where a blank line ends a turn.
        line_ends: spaces and tabs at the end of lines are dropped.
        strip: space at "both" ends is dropped, at the "end" only, or "none".
    """

    blank_lines: Literal["drop", "keep"] = "drop"
    line_ends: bool = False
    strip: Literal["both", "end", "none"] = "both"

    def __call__(self, text: str) -> str:
        text = scrub(text)
        if self.line_ends:
            text = _LINE_ENDS.sub("", text)
        if self.blank_lines == "drop":
            text = _BLANK_LINES.sub("\n", text).lstrip("\n")
        if self.strip == "none":
            return text
        return text.strip() if self.strip == "both" else text.rstrip()


_CLEANING = Cleaning()


@dataclass(frozen=True, slots=True)
class Template:
    """One file of `prompts/templates/`.

    Attributes:
        first_ids: token ids before the first turn of a chain.  opening: text before it.
        joiner: text between a turn and the next one.
        system, user, assistant: a turn's text, "{text}" standing for the message.
        user_with_input: the same where a message has a second part after a blank line, "{input}" ("" if the
            template knows no such).
        think_open, think_close: marks around a model's thinking at the start of a reply ("" for none).
        modes: the ways to think, the plain one first.
        cleaning: by role; those not in it are cleaned the usual way.
        roles: words that begin a turn, which a message had better not hold at the start of a line.
    """

    name: str
    user: str
    assistant: str
    joiner: str
    title: str = ""
    system: str = ""
    user_with_input: str = ""
    opening: str = ""
    first_ids: TokenIds = (0,)
    stop: StopRule = field(default_factory=StopRule)
    think_open: str = ""
    think_close: str = ""
    modes: tuple[ThinkMode, ...] = (PLAIN,)
    cleaning: Mapping[str, Cleaning] = field(default_factory=dict, hash=False)
    roles: tuple[str, ...] = ()

    def mode(self, *names: str) -> ThinkMode:
        """The first of these modes that the template has; the plain one if it has none of them."""
        known = {each.name: each for each in self.modes}
        return next((known[name] for name in names if name in known), self.modes[0])

    def clean(self, text: str, role: Role = "user") -> str:
        """A message as it is fed: see `Cleaning`."""
        return self.cleaning_of(role)(text)

    def cleaning_of(self, role: Role) -> Cleaning:
        return self.cleaning.get(role, _CLEANING)

    def render(self, role: Role, text: str, *, first: bool, mode: ThinkMode = PLAIN) -> str:
        """The text to encode for one message; a first turn has no joiner in front (and `first_ids` before
        it).

        An assistant's turn is only rendered for a tokenizer that never saw it, or where its thinking is to be
        forgotten: it follows its user turn directly. `mode` matters to a person's turn alone.
        """
        if role == "assistant":
            return self.assistant.replace(SLOT, self.clean(text, role))
        turn = self._asked(text, mode) if role == "user" else self._put(self.system, self.clean(text, role))
        return (self.opening if first else self.joiner) + turn

    def _asked(self, text: str, mode: ThinkMode) -> str:
        first, _, second = text.strip("\n").partition("\n\n") if self.user_with_input else (text, "", "")
        if second.strip():
            turn = self._put(self.user_with_input, self.clean(first), self.clean(second) + mode.hint)
        else:
            turn = self._put(self.user, self.clean(text) + mode.hint)
        return turn + mode.tail

    @staticmethod
    def _put(slots: str, text: str, second: str = "") -> str:
        """Fills the slots; a message may hold "{input}" itself."""
        before, _, after = slots.partition(SLOT)
        return before + text + after.replace(INPUT, second)


def scrub(text: str) -> str:
    """LF line ends, and U+FFFD for lone surrogates (bytes that were no UTF-8): the rest stays as typed."""
    return _SURROGATES.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


# ------------------------------------------------------------------------------------------------ files


def template(name: str) -> Template:
    """The template called `name`. Raises: TemplateInvalid (no such file, or not a template)."""
    from rwkv_chat.template_files import load

    return load(name)


def names() -> tuple[str, ...]:
    """Names of the templates that come with the program."""
    from rwkv_chat.template_files import shipped

    return shipped()
