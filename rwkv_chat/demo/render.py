"""Dialogues as rows to train on: token ids as the app feeds them, and a loss weight for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.demo.corpus.dialogues import dialogue
from rwkv_chat.templates import Template, template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.tokenizer import Tokenizer
    from engine.tune.batches import RowSource
    from engine.types import Row
    from rwkv_chat.demo.corpus.dialogues import Dialogue

TEMPLATE = "classic"
USER_WEIGHT = 0.1
END = 0  # ends a document, and begins one


def user_tokens(text: str, tokenizer: Tokenizer, form: Template, *, first: bool) -> list[int]:
    """A user's turn as the app feeds it: the joiner (or the first ids), the message, the call for a reply."""
    ids = tokenizer.encode(form.render("user", text, first=first))
    return [*form.first_ids, *ids] if first else list(ids)


def row(turns: Dialogue, tokenizer: Tokenizer) -> Row:
    """Ids and weights of a dialogue. A reply's end (joiner and "User:") counts as the reply does."""
    form = template(TEMPLATE)
    terminator = len(tokenizer.encode(form.stop.texts[0]))
    tokens: list[int] = []
    weights: list[float] = []
    for i, turn in enumerate(turns):
        asked = user_tokens(turn.user, tokenizer, form, first=i == 0)
        said = tokenizer.encode(form.render("assistant", turn.reply, first=False))
        ends = 0 if i == 0 else terminator
        tokens += [*asked, *said]
        weights += [1.0] * ends + [USER_WEIGHT] * (len(asked) - ends) + [turn.weight] * len(said)
    return [*tokens, END], [*weights, 1.0]


def whole_text(turns: Dialogue) -> str:
    """The dialogue as one text, as a whole-prompt encoding would see it."""
    form = template(TEMPLATE)
    return "".join(
        form.render("user", turn.user, first=i == 0) + form.render("assistant", turn.reply, first=False)
        for i, turn in enumerate(turns)
    )


def rows(seed: int, tokenizer: Tokenizer, *, window: int, size: int) -> RowSource:
    """Training rows without end. Within a window of rows those of like length stand together, in batches of
    `size` that come in a shuffled order: little padding, and the same rows for a seed and a position."""

    def source(start: int) -> Iterator[Row]:
        at = start // window
        skip = start % window
        while True:
            yield from _window(seed, at, tokenizer, window, size)[skip:]
            at, skip = at + 1, 0

    return source


def _window(seed: int, at: int, tokenizer: Tokenizer, window: int, size: int) -> list[Row]:
    from random import Random

    made = [row(dialogue(seed, at * window + i), tokenizer) for i in range(window)]
    made.sort(key=lambda each: len(each[0]))
    groups = [made[i : i + size] for i in range(0, window, size)]
    Random(f"{seed}/window/{at}").shuffle(groups)  # noqa: S311  not for secrets
    return [each for group in groups for each in group]
