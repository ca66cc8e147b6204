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
        usual: what the settings and the conversation's own choices came to then; None where it is not known.
        counted: how many of its tokens count to the limit in `params`; the others stood there before.
    """

    params: SamplingParams | None
    earlier: Earlier
    length: int
    usual: SamplingParams | None = None
    counted: int = 0

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
    return _sampling("" if row is None else rows.text(row, "params"), kept or 0)


def _sampling(text: str, length: int) -> Drawn:
    """What `to_text` wrote; no params where it is not that."""
    try:
        values = json.loads(text)
        before = tuple((int(until), _params_of(each)) for until, each in values.pop("earlier", ()))
        other, counted = values.pop("usual", None), values.pop("counted", None)
        usual = None if other is None else _params_of({**values, **other})
        return Drawn(_params_of(values), before, length, usual, length if counted is None else int(counted))
    except (AttributeError, ValueError, TypeError, KeyError, RecursionError, InvalidParameter):
        return Drawn(None, (), length)


def _params_of(values: dict[str, Any]) -> SamplingParams:
    bans = tuple(values["bans"])
    biases = tuple((token, bias) for token, bias in values["biases"])
    return SamplingParams(**{**values, "bans": bans, "biases": biases})


def to_text(
    params: SamplingParams | None,
    earlier: Earlier = (),
    usual: SamplingParams | None = None,
    counted: int | None = None,
) -> str | None:
    """How a reply is sampled, and was before: see `Drawn`. Of `usual`, what differs is written."""
    if params is None:
        return None
    values = asdict(params)
    found: dict[str, Any] = dict(values)
    if earlier:
        found["earlier"] = [(until, asdict(each)) for until, each in earlier]
    if usual is not None:
        other = asdict(usual) | {"seed": params.seed}  # that one is never usual
        found["usual"] = {name: each for name, each in other.items() if each != values[name]}
    if counted is not None:
        found["counted"] = counted
    return json.dumps(found, ensure_ascii=False)
