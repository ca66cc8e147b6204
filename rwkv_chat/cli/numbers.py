"""Numbers on the command line, and what is said of those that are none or too large."""

from __future__ import annotations

import click

from rwkv_chat.texts import say


class Number(click.FloatRange):
    name = say("cli.kind.number")  # as click says it: "'x' is not a valid number"

    def _describe_range(self) -> str:
        return _between(self.min, self.max) or super()._describe_range()


class Whole(click.IntRange):
    name = say("cli.kind.whole")

    def _describe_range(self) -> str:
        return _between(self.min, self.max) or super()._describe_range()


def _between(low: float | None, high: float | None) -> str:
    """ "0 to 5"; "" where there are no such two ends."""
    if low is None or high is None:
        return ""
    return say("cli.kind.range", low=_shown(low), high=_shown(high))


def _shown(number: float) -> str:
    """As one would type it."""
    return str(number) if isinstance(number, int) else f"{number:g}"
