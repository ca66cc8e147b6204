"""Places in held-out conversations where the person answered: for sample replies and for blind comparison."""

from __future__ import annotations

import itertools
from random import Random
from typing import TYPE_CHECKING, Any, cast

from engine.types.tuning import Probe
from rwkv_chat.session.errors import TuneDamaged
from rwkv_chat.session.tune_folder import MOMENTS, read_json, write_json
from rwkv_chat.session.tune_types import HeldOut

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.types import Row, TokenIds
    from rwkv_chat.session.examples_types import Voice
    from rwkv_chat.session.tune_types import Side

    Order = tuple[Side, Side, Side]

TEN = 10
PROBES = 3
SHORTEST, LONGEST = 2, 400  # tokens of an answer that is worth comparing
LONGEST_PROMPT = 2_048  # tokens before it; of longer ones the end
CHOICES = ("real", "base", "tuned")
ORDERS = cast("tuple[Order, ...]", tuple(itertools.permutations(CHOICES)))


class Choosing:
    """Chooses ten moments of all that pass by, each as likely as the others, always the same of the same
    rows.
    """

    def __init__(self, voice: Voice) -> None:
        self._voice, self._seen = voice, 0
        self._random = Random(0)  # noqa: S311  which are chosen is no secret
        self._chosen: list[HeldOut] = []

    def watch(self, row: Row) -> None:
        for moment in _moments(row):
            self._offer(moment)

    def _offer(self, moment: HeldOut) -> None:
        self._seen += 1
        if len(self._chosen) < TEN:
            self._chosen.append(moment)
        elif (place := self._random.randrange(self._seen)) < TEN:
            self._chosen[place] = moment

    def probes(self) -> tuple[Probe, ...]:
        texts = tuple(tuple(self._voice.tokenizer.encode(each)) for each in self._voice.template.stop.texts)
        stops = tuple(self._voice.template.stop.ids) or (0,)
        return tuple(Probe(each.prompt, stops, texts) for each in self._chosen[:PROBES])

    def told(self) -> dict[str, object]:
        """What is written of them; the order of the three answers is drawn here, for each."""
        moments = [
            {
                "prompt": list(each.prompt),
                "answer": list(each.answer),
                "order": self._random.randrange(len(ORDERS)),
                "chosen": "",
            }
            for each in self._chosen
        ]
        return {"moments": moments}


def _moments(row: Row) -> Iterator[HeldOut]:
    """Every answer of a row with what stands before it. The first token of a turn that ends an answer is
    learnt too, so it belongs to the answer; what is shown leaves it out.
    """
    tokens, weights = tuple(row[0]), tuple(row[1])
    for learned, group in itertools.groupby(range(len(tokens)), lambda at: weights[at] > 0):
        places = list(group)
        if learned and places[0] > 0 and SHORTEST <= len(places) <= LONGEST:
            begin = max(0, places[0] - LONGEST_PROMPT)
            yield HeldOut(tokens[begin : places[0]], tokens[places[0] : places[-1] + 1])


# ------------------------------------------------------------------------------------------------ as stored


class Moments:
    """The moments of a run, and what was chosen of them. Blocking."""

    def __init__(self, folder: Path) -> None:
        """Raises: TuneDamaged."""
        self._path = folder / MOMENTS
        table = read_json(self._path)
        try:
            found = table["moments"][:TEN]
            self.held_out = tuple(HeldOut(_ids(each["prompt"]), _ids(each["answer"])) for each in found)
            self._orders = [_order(each["order"]) for each in found]
            self.chosen: list[Side | None] = [_choice(each["chosen"]) for each in found]
        except (KeyError, TypeError, ValueError) as error:
            raise TuneDamaged(str(folder), MOMENTS) from error

    def order(self, index: int) -> Order:
        """Which stands where, of the three answers of a moment."""
        return ORDERS[self._orders[index]]

    def choose(self, index: int, side: Side) -> None:
        """Raises: OSError."""
        self.chosen[index] = side
        told = zip(self.held_out, self._orders, self.chosen, strict=True)
        moments = [
            {"prompt": list(of.prompt), "answer": list(of.answer), "order": order, "chosen": chosen or ""}
            for of, order, chosen in told
        ]
        write_json(self._path, {"moments": moments})


def _ids(value: Any) -> TokenIds:
    """Raises: ValueError, TypeError."""
    if not isinstance(value, list) or len(value) > LONGEST_PROMPT:
        raise ValueError("ids")
    if not all(type(each) is int and 0 <= each < 1 << 32 for each in value):
        raise ValueError("ids")
    return tuple(value)


def _order(value: Any) -> int:
    """Raises: ValueError."""
    if type(value) is not int or not 0 <= value < len(ORDERS):
        raise ValueError("order")
    return value


def _choice(value: Any) -> Side | None:
    """Raises: ValueError."""
    if value == "":
        return None
    if value not in CHOICES:
        raise ValueError("chosen")
    return cast("Side", value)
