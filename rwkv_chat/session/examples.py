"""What is trained on: from chat logs and conversations of the library to rows of tokens with loss weights.

A selection is looked at first (`survey`), which tells what is in it and what stands out; then its rows are
read (`rows`), one after the other. Both read everything from the beginning and keep nothing but numbers of
it, so that a log may be of any size. No torch, no database of their own: branches of the library are read by
the function that is given. To be called outside of the event loop.
"""

from __future__ import annotations

import re
from array import array
from random import Random
from typing import TYPE_CHECKING

from rwkv_chat.importers.sessions import held_from
from rwkv_chat.session.errors import ConsentMissing, NothingToTrain, SpeakersUnknown
from rwkv_chat.session.examples_reading import NAMED, Dialogue, Reading, names
from rwkv_chat.session.examples_rendering import example, row
from rwkv_chat.session.examples_types import AGREED, Amount, Caution, Found, Looked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rwkv_chat.session.examples_reading import ReadBranch
    from rwkv_chat.session.examples_types import Part, Row, Selection, Voice

SHOWN = 3
FEW = 100  # answers; with fewer a style is hardly learnt
MANY = 0.1  # the share of conversations from which on it is worth a word


def no_library(_branch: object) -> tuple[()]:
    """For selections of files alone."""
    return ()


def look(selection: Selection, voice: Voice, branch: ReadBranch = no_library) -> Found:
    """`survey` to its end."""
    return _last(survey(selection, voice, branch))


def survey(selection: Selection, voice: Voice, branch: ReadBranch = no_library) -> Iterator[Looked | Found]:
    """What is in a selection; last comes what was found.

    Args:
        branch: reads a branch of the library, with the tokens of this tokenizer and template.

    Raises:
        NothingToTrain, ConversationsInvalid, SpeakersUnknown, LibraryError, OSError.
    """
    people: tuple[str, ...] = ()
    if selection.aliases and selection.files:
        for item in names(selection):
            if isinstance(item, Looked):
                yield item
            else:
                people = item
    survey = _Survey(selection, voice, Reading(selection, branch, people))
    yield from survey.run()
    yield survey.found()


def rows(
    selection: Selection, voice: Voice, found: Found, part: Part, branch: ReadBranch = no_library
) -> Iterator[Row | Looked]:
    """The rows of one part, in the order of the files. See `parted`."""
    for item in parted(selection, voice, found, branch):
        if isinstance(item, Looked):
            yield item
        elif item[0] == part:
            yield item[1]


def parted(
    selection: Selection, voice: Voice, found: Found, branch: ReadBranch = no_library
) -> Iterator[tuple[Part, Row] | Looked]:
    """All rows, each with the part that it belongs to, in the order of the files.

    Args:
        found: what `survey` said of the same selection.

    Raises:
        ConsentMissing: other people's messages are in it, and nobody said that they agree.
        See `survey`, too.
    """
    if found.needs_consent and selection.consent != AGREED:
        raise ConsentMissing(tuple(found.people[:SHOWN]))
    number = 0
    for item in Reading(selection, branch, found.people).dialogues():
        if isinstance(item, Looked):
            yield item
        elif (made := row(item, voice)) is not None:
            held = found.held_from is not None and (item.began or 0.0, number) >= found.held_from
            number += 1
            yield ("validation" if held else "train"), made


def _last(items: Iterator[Looked | Found]) -> Found:
    *_, found = items
    assert isinstance(found, Found)  # noqa: S101  survey's own promise
    return found


class _Survey:
    """Numbers of each example, and three examples."""

    def __init__(self, selection: Selection, voice: Voice, reading: Reading) -> None:
        self._selection, self._voice, self._reading = selection, voice, reading
        self._began, self._tokens, self._learned = array("d"), array("q"), array("q")
        self._turns = self._answers = self._role_words = 0
        self._shown: list[Row] = []
        self._random = Random(0)  # noqa: S311  which examples are shown is no secret
        self._words = _role_words(voice)

    def run(self) -> Iterator[Looked]:
        for item in self._reading.dialogues():
            if isinstance(item, Looked):
                yield item
            elif (made := row(item, self._voice)) is None:
                self._reading.tally.skipped["no-tokens"] += 1
            else:
                self._count(item, made)

    def _count(self, item: Dialogue, made: Row) -> None:
        self._began.append(item.began or 0.0)
        self._tokens.append(len(made[0]))
        self._learned.append(sum(each > 0 for each in made[1]))
        self._turns += item.turns
        said = [each.node.message for each in item.stored]
        self._answers += sum(each.role == "assistant" for each in said)
        self._role_words += sum(self._words.search(each.text) is not None for each in said)
        self._show(made)

    def _show(self, made: Row) -> None:
        """Three of all, each as likely as the others, always the same of the same log."""
        if len(self._shown) < SHOWN:
            self._shown.append(made)
        elif (place := self._random.randrange(len(self._began))) < SHOWN:
            self._shown[place] = made

    def found(self) -> Found:
        """Raises: NothingToTrain, SpeakersUnknown."""
        tally, number = self._reading.tally, len(self._began)
        if tally.people and not tally.speakers:
            raise SpeakersUnknown(str(self._selection.files[0].path), tuple(tally.people)[:NAMED])
        if not number:
            raise NothingToTrain(next((each for each, _ in tally.skipped.most_common(1)), ""))
        start = held_from(self._began, self._selection.held)
        held = [start is not None and (self._began[at], at) >= start for at in range(number)]
        return Found(
            conversations=number,
            turns=self._turns,
            skipped=dict(tally.skipped),
            warnings=tuple(self._cautions(number, sum(held))),
            examples=tuple(example(each, self._voice) for each in self._shown),
            train=self._amount(held, wanted=False),
            validation=self._amount(held, wanted=True),
            longest=max(self._tokens),
            redacted=dict(tally.redacted),
            redactions=tuple(tally.redactions),
            people=tuple(tally.people),
            speakers=tuple(tally.speakers),
            held_from=start,
            template=self._voice.template.name,
        )

    def _amount(self, held: list[bool], *, wanted: bool) -> Amount:
        chosen = [at for at, each in enumerate(held) if each == wanted]
        tokens, learned = self._tokens, self._learned
        return Amount(len(chosen), sum(tokens[at] for at in chosen), sum(learned[at] for at in chosen))

    def _cautions(self, number: int, held: int) -> Iterator[Caution]:
        skipped, usual, name = self._reading.tally.skipped, self._voice.usual, self._voice.template.name
        doubles = skipped["double"] + skipped["alike"]
        if self._answers < FEW:
            yield Caution("few", self._answers)
        if usual and usual != name:
            yield Caution("template", word=usual)
        if self._role_words:
            yield Caution("role-words", self._role_words)
        if doubles > MANY * (number + doubles):
            yield Caution("doubles", doubles)
        if skipped["one-sided"] > number:
            yield Caution("one-sided", skipped["one-sided"])
        if not held:
            yield Caution("no-validation")


def _role_words(voice: Voice) -> re.Pattern[str]:
    """Words that begin a turn in this template, at the start of a line."""
    words = "|".join(map(re.escape, voice.template.roles))
    return re.compile(rf"^[ \t]*(?:{words})", re.MULTILINE) if words else re.compile(r"(?!)")
