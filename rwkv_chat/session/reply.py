"""A reply's raw text, split into thinking and answer while it streams.

What is shown and what is stored are both made here, from the same characters in the same order: the joined
deltas of a stream equal `parse` of the whole text, wherever it was cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rwkv_chat.templates import PLAIN

if TYPE_CHECKING:
    from rwkv_chat.templates import Template, ThinkMode

Part = Literal["answer", "reasoning"]


@dataclass(frozen=True, slots=True)
class Delta:
    """New characters of one part."""

    part: Part
    text: str


class ReplyParser:
    """Feeds on raw text, gives deltas; holds back what may still turn out to be a mark or leading space.

    Where the prompt has begun the reply with a mark that lacks its last ">", the reply is taken to go on from
    there, whether the model writes the ">" or not.
    """

    def __init__(self, template: Template, mode: ThinkMode = PLAIN, *, answering: bool = False) -> None:
        """`answering`: what comes goes on in the middle of an answer."""
        self._open, self._close = template.think_open, template.think_close
        self._held = self._lead = ""
        self._step = self._begin
        if answering:
            self._step = self._answer
        elif self._close and mode.tail.endswith(self._close[:-1]):
            self._step = self._closed
        elif self._open and mode.tail.endswith(self._open[:-1]):
            self._step = self._opened
        else:
            self._lead = mode.tail  # belongs to what is shown, e.g. a fence
            if template.cleaning_of("assistant").strip == "none":  # text that goes on: its space is meant
                self._step = self._answer

    def feed(self, raw: str) -> tuple[Delta, ...]:
        if raw:
            self._held, self._lead = self._held + self._lead + raw, ""
        found: list[Delta] = []
        passed = True
        while passed:  # a mark was passed: the rest belongs to the next part
            step = self._step
            step(found)
            passed = self._step != step
        return tuple(each for each in found if each.text)

    def finish(self) -> tuple[Delta, ...]:
        """What is still held, once nothing more comes."""
        held, self._held = self._held, ""
        thinking = self._step in (self._opened, self._muse, self._think)
        if self._step not in (self._think, self._answer):
            held = held.lstrip()
        return (Delta("reasoning" if thinking else "answer", held),) if held else ()

    def _begin(self, _found: list[Delta]) -> None:
        """Leading space is dropped; an opening mark begins the thinking."""
        self._held = self._held.lstrip()
        if self._open and self._held.startswith(self._open):
            self._held = self._held[len(self._open) :]
            self._step = self._muse
        elif self._held and not self._open.startswith(self._held):
            self._step = self._answer

    def _opened(self, _found: list[Delta]) -> None:
        """The prompt has opened the thinking, but for the mark's last letter."""
        if self._held:
            self._held = self._held.removeprefix(self._open[-1])
            self._step = self._muse

    def _closed(self, _found: list[Delta]) -> None:
        """The prompt has closed the thinking, but for the mark's last letter."""
        if self._held:
            self._held = self._held.removeprefix(self._close[-1])
            self._step = self._space

    def _muse(self, _found: list[Delta]) -> None:
        """Space before the first thought is dropped."""
        self._held = self._held.lstrip()
        if self._held:
            self._step = self._think

    def _think(self, found: list[Delta]) -> None:
        """Everything up to the closing mark is thinking."""
        end = self._held.find(self._close) if self._close else -1
        if end < 0:
            end = len(self._held) - _overlap(self._held, self._close)
            found.append(Delta("reasoning", self._held[:end]))
            self._held = self._held[end:]
            return
        found.append(Delta("reasoning", self._held[:end]))
        self._held = self._held[end + len(self._close) :]
        self._step = self._space

    def _space(self, _found: list[Delta]) -> None:
        """Space between thinking and answer is dropped."""
        self._held = self._held.lstrip()
        if self._held:
            self._step = self._answer

    def _answer(self, found: list[Delta]) -> None:
        found.append(Delta("answer", self._held))
        self._held = ""


def _overlap(text: str, mark: str) -> int:
    """Length of the longest end of `text` with which `mark` may begin."""
    longest = min(len(text), len(mark) - 1)
    return next((n for n in range(longest, 0, -1) if mark.startswith(text[-n:])), 0)


def parse(template: Template, raw: str, mode: ThinkMode = PLAIN) -> tuple[str, str]:
    """(reasoning, answer) of a whole reply."""
    parser = ReplyParser(template, mode)
    deltas = (*parser.feed(raw), *parser.finish())
    return joined(deltas, "reasoning"), joined(deltas, "answer")


def joined(deltas: tuple[Delta, ...], part: Part) -> str:
    """The characters of one part."""
    return "".join(each.text for each in deltas if each.part == part)
