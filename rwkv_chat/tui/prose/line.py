"""What a line of the transcript is."""

from __future__ import annotations

from dataclasses import dataclass

Marks = tuple[str, ...]
Run = tuple[str, Marks]


@dataclass(frozen=True, slots=True)
class Line:
    """One row of cells.

    Attributes:
        runs: pieces of text with their marks, left to right.
        joiner: what stands between the line above and this one when both are copied: a newline, or, where
            only the width made the break, a space or nothing.
        indent: leading characters that are decoration and are dropped by a copy.
        fill: mark whose background fills the rest of the row ("" for none).
    """

    runs: tuple[Run, ...] = ()
    joiner: str = "\n"
    indent: int = 0
    fill: str = ""

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.runs)


BLANK = Line()


def copy_text(lines: list[Line] | tuple[Line, ...]) -> str:
    """The lines as one text, soft breaks undone and decoration dropped."""
    parts: list[str] = []
    for index, line in enumerate(lines):
        if index:
            parts.append(line.joiner)
        parts.append(line.text[line.indent :])
    return "".join(parts)
