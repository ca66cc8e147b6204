"""Seconds that searching, listing and opening take in a large library of invented conversations; listing and
opening beside one of 100.

python -m tests.bench.search [CONVERSATIONS] [MESSAGES IN EACH]     (10,000 and 50 unless given)
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rwkv_chat.library import index, labels, nodes, search, threads
from rwkv_chat.library.database import connect, transaction
from rwkv_chat.library.search import Wanted
from tests.tui.own_time import own_time

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

SMALL = 100  # conversations of the library that it is compared with
WORDS = 20_000
CHINESE = 3_000
QUERIES = {
    "the commonest word": Wanted("aaa"),
    "two letters, a third of all words": Wanted("ba"),
    "two common words": Wanted("aaa baa"),
    "a common phrase": Wanted('"aaa baa"'),
    "a rare word": Wanted("needle"),
    "a common and a rare word": Wanted("aaa needle"),
    "one Chinese character": Wanted("一"),
    "two Chinese characters": Wanted("一丁"),
    "a rare pair of common characters": Wanted("丁一丁一"),
    "a full stop": Wanted("."),
    "common words in one conversation": Wanted("aaa", thread="c7"),
    "common words of a person": Wanted("aaa", role="user"),
    "common words of a model": Wanted("aaa", model="rare"),
    "common words of one day": Wanted("aaa", since=1.7e9, until=1.7e9 + 86_400),
    "common words in the trash": Wanted("aaa", deleted=True),
    "the best of 5,000": Wanted("needles", ranked=True),
    "nothing": Wanted("nowhere"),
}
LOOKS: dict[str, Callable[[sqlite3.Connection], object]] = {
    "list": lambda db: threads.alive(db, 50),
    "list as it is shown": lambda db: labels.listed(db, 50),
    "open": lambda db: nodes.path(db, nodes.tip(db, "c7")),
}


def word(number: int) -> str:
    """Different letters for each number, the first ones the shortest."""
    letters = []
    while True:
        number, rest = divmod(number, 20)
        letters.append("aiueo"[rest % 5] + "bkst"[rest // 5])
        if not number:
            return "".join(reversed(letters)) + "a" if len(letters) > 1 else f"{letters[0][1]}aa"


def texts(number: int, seed: int = 1) -> Iterator[str]:
    """Messages of 10 to 80 words, common and rare ones as in a language; every fourth is Chinese."""
    draw = random.Random(seed)
    words = [word(each) for each in range(WORDS)]
    words[0], words[1] = "aaa", "baa"
    signs = [chr(0x4E00 + each) for each in range(CHINESE)]
    weights = [[1 / (rank + 2) for rank in range(len(kind))] for kind in (words, signs)]
    stock = [draw.choices(kind, each, k=200_000) for kind, each in zip((words, signs), weights, strict=True)]
    for place in range(number):
        kind = place % 4 == 3
        start = draw.randrange(200_000 - 80)
        said = ("" if kind else " ").join(stock[kind][start : start + draw.randint(10, 80)])
        extra = (" needles" if place % 110 == 0 else "") + (" needle" if place % 10_007 == 0 else "")
        yield f"{said}{extra}{'。' if kind else '.'}"


def fill(db: sqlite3.Connection, conversations: int, length: int) -> float:
    """Write them all; seconds that the index took."""
    said = texts(conversations * length)
    with transaction(db):
        for number in range(conversations):
            name, began = f"c{number}", 1.6e9 + number * 20_000.0
            ids = [f"{name}-{place}" for place in range(length)]
            db.executemany(
                "INSERT INTO nodes (id, tree, parent, role, text, model, created) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        *(id_, name, ids[place - 1] if place else None),
                        *(("user", "assistant")[place % 2], next(said)),
                        *("rare" if number == 3 else "m", began + place * 30),
                    )
                    for place, id_ in enumerate(ids)
                ],
            )
            deleted = began if number % 300 == 0 else None
            db.execute(
                "INSERT INTO threads (id, tree, title, tip, created, updated, deleted) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (name, name, f"Number {number}", ids[-1], began, began + 1, deleted),
            )
    begun = time.perf_counter()
    with transaction(db):
        index.rebuild(db)
    return time.perf_counter() - begun


def seconds(work: Callable[[], object], times: int = 5) -> float:
    taken = []
    for _ in range(times):
        begun = own_time()
        work()
        taken.append(own_time() - begun)
    return statistics.median(taken)


def measure(db: sqlite3.Connection) -> dict[str, float]:
    """Median seconds of every query, of listing, and of opening one conversation."""
    found = {name: seconds(lambda each=wanted: search.find(db, each)) for name, wanted in QUERIES.items()}
    return found | {name: seconds(lambda each=work: each(db)) for name, work in LOOKS.items()}


def ratios(large: sqlite3.Connection, small: sqlite3.Connection, times: int = 41) -> dict[str, float]:
    """How much longer the looks take in `large`: medians, measured in turn."""
    found = {}
    for name, work in LOOKS.items():
        pairs = [[seconds(partial(work, db), 1) for db in (large, small)] for _ in range(times)]
        one, other = (statistics.median(each) for each in zip(*pairs, strict=True))
        found[name] = one / other
    return found


def main(conversations: int = 10_000, length: int = 50) -> None:
    with tempfile.TemporaryDirectory(prefix="rwkv-chat-search-") as folder:
        file = Path(folder) / "library.sqlite"
        with closing(connect(file)) as db:
            print(f"index of {conversations * length:,} messages: {fill(db, conversations, length):.1f} s")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            print(f"{file.stat().st_size / 1e6:.0f} MB")
            for name, taken in measure(db).items():
                hits = search.find(db, QUERIES[name]).number if name in QUERIES else 0
                print(f"{taken * 1000:8.1f} ms  {name} ({hits:,} hits)", flush=True)
            with closing(connect(file.with_name("small.sqlite"))) as small:
                fill(small, SMALL, length)
                for name, ratio in ratios(db, small).items():
                    print(f"{ratio:8.2f} × {name}, of that with {SMALL} conversations", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
