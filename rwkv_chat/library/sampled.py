"""How replies were drawn, with params that may have changed on the way. Runs on the database thread."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import InvalidParameter
from engine.types import SamplingParams
from rwkv_chat.library import rows

if TYPE_CHECKING:
    import sqlite3

Earlier = tuple[tuple[int, SamplingParams], ...]  # other params, each up to so many tokens of the reply


@dataclass(frozen=True, slots=True)
class Drawn:
    """How a reply was sampled.

    Attributes:
        params: None where that is not known.  earlier: those before them.
        length: how many tokens of it are kept.
    """

    params: SamplingParams | None
    earlier: Earlier
    length: int

    def up_to(self, length: int) -> Earlier:
        """How its first `length` tokens were sampled; what came after them may have been lost in a crash."""
        before = tuple(each for each in self.earlier if each[0] < length)
        later = (each for until, each in self.earlier if until >= length)
        params = next(later, self.params)
        return before if params is None else (*before, (length, params))


def drawn(db: sqlite3.Connection, node: str) -> Drawn:
    """How a reply was sampled, and how many tokens of it are kept."""
    row = db.execute("SELECT params, template FROM nodes WHERE id = ?", (node,)).fetchone()
    length = "SELECT max(length(coalesce(drawn, tokens))) / 4 FROM node_tokens WHERE node = ?"
    kept = db.execute(length, (node,)).fetchone()[0]
    params, earlier = (None, ()) if row is None else _sampling(rows.text(row, "params"))
    return Drawn(params, earlier, kept or 0)


def _sampling(text: str) -> tuple[SamplingParams | None, Earlier]:
    """What `to_text` wrote; None where it is not that."""
    try:
        values = json.loads(text)
        before = tuple((int(until), _params_of(each)) for until, each in values.pop("earlier", ()))
        return _params_of(values), before
    except (AttributeError, ValueError, TypeError, KeyError, RecursionError, InvalidParameter):
        return None, ()


def _params_of(values: dict[str, Any]) -> SamplingParams:
    bans = tuple(values["bans"])
    biases = tuple((token, bias) for token, bias in values["biases"])
    return SamplingParams(**{**values, "bans": bans, "biases": biases})


def to_text(params: SamplingParams | None, earlier: Earlier) -> str | None:
    """How a reply is sampled, and was before."""
    if params is None:
        return None
    before = {"earlier": [(until, asdict(each)) for until, each in earlier]} if earlier else {}
    return json.dumps(asdict(params) | before, ensure_ascii=False)
