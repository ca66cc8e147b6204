"""`python -m engine.bench MODEL [table …]`: the rows as plain tables, named as in `rows.py`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from engine.bench import TABLES, Plan, run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.bench import Row


def show(rows: Iterable[Row]) -> None:
    """A heading whenever the kind of row changes, then its values; numbers with four digits."""
    before = None
    for row in rows:
        values = asdict(row)
        if type(row) is not before:
            before = type(row)
            sys.stdout.write(f"\n{before.__name__}\n" + "".join(f"{name:>24}" for name in values) + "\n")
        sys.stdout.write("".join(f"{_word(value):>24}" for value in values.values()) + "\n")
        sys.stdout.flush()


def _word(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)[-23:]


def main(arguments: list[str]) -> int:
    unknown = [each for each in arguments[1:] if each not in TABLES]
    if not arguments or unknown:
        sys.stderr.write(f"usage: python -m engine.bench MODEL [{' | '.join(TABLES)} …]\n")
        return 2
    show(run(Plan(arguments[0], tables=tuple(arguments[1:]))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
