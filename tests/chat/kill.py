"""kill -9 at random moments of a chat script: `python -m tests.chat.kill FORM FOLDER COUNT SEED`.

FORM is `fake` (the real library and the real store under a fake model: many kills a minute) or the weights
file of a tiny model (the real engine). One process imports torch once and forks a child for each kill. A
child does whatever can be done to conversations (`tests.chat.kill_script`) and notes down what its session
told it; after the kill another child looks whether all of that is there (`tests.chat.kill_look`), and whether
going on with the saved states equals going on without any. Every third home begins as an old version's
library, and its first lives are short: they end in the migration.

A home sees `ROUND` kills, each on what the one before left; what it found is a line of FOLDER/done.jsonl, and
a run with the same seed goes on after the homes that are there. Prints one JSON object: what was done, and
every fault found.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rwkv_chat.library import index
from rwkv_chat.paths import Paths
from tests.chat.kill_fake import open_fake
from tests.chat.kill_look import Look
from tests.chat.kill_script import Notes, chat
from tests.chat.real import open_real

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rwkv_chat.session import Session

FAKE = "fake"
ROUND = 8  # kills in one home
LIVES = {True: (0.02, 3.0), False: (0.01, 0.7)}  # seconds; loading takes the first 0.1 to 0.3 of a real one
LONG = 0.1  # the share of a fake model's lives that are as long as a real one's
OLD = ("library_v1.sql", "library_v3.sql", "library_v4.sql", "library_v6.sql")
OLD_MESSAGES = 3_000  # so that the way to the newest schema takes a while
MIGRATION_SECONDS = 0.25


class Kills:
    """Kills of one form, all of them from one seed."""

    def __init__(self, form: str, folder: Path, seed: int) -> None:
        self.folder, self.seed, self.real = folder, seed, form != FAKE
        self.opening: Callable[[Path], Awaitable[Session]] = (
            partial(open_real, model=Path(form)) if self.real else partial(open_fake, seed=seed)
        )
        folder.mkdir(parents=True, exist_ok=True)
        self._done = folder / "done.jsonl"

    def run(self, count: int) -> dict[str, Any]:
        """At least `count` kills, in whole homes; the counts and every fault found."""
        lines = self._done.read_text().splitlines() if self._done.exists() else []
        known = {each["home"]: each for each in map(json.loads, lines)}
        for place in range(-(-count // ROUND)):
            if place not in known:
                known[place] = {"home": place, **self._home(place, min(ROUND, count - place * ROUND))}
                with self._done.open("a") as file:
                    file.write(json.dumps(known[place]) + "\n")
        faults, counts = [], Counter()
        for each in known.values():
            faults += each["faults"]
            counts.update(each["counts"])
        return {"faults": faults, **counts}

    def _home(self, place: int, kills: int) -> dict[str, Any]:
        home, rng = self.folder / f"home{place}", random.Random(f"{self.seed}:{place}")
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        old = place % 3 == int(self.real)
        if old:
            begin_old(home, OLD[place // 3 % len(OLD)])
        faults, counts = [], Counter(kills=kills, migrations=int(old))
        for kill in range(kills):
            self._live_and_die(home, self._life(rng, short=old and kill < 2), rng.randrange(2**31))
            report = self._look(home)
            counts.update(report["counts"])
            counts.update(report["noted"] if kill == kills - 1 else {})
            faults += [f"home {place}, kill {kill}: {each}" for each in report["faults"]]
        if not faults:
            shutil.rmtree(home)
        return {"counts": counts, "faults": faults}

    def _life(self, rng: random.Random, *, short: bool) -> float:
        """Seconds. `short`: to end in a migration."""
        if short:
            return rng.uniform(0, MIGRATION_SECONDS)
        return rng.uniform(*LIVES[self.real or rng.random() < LONG])

    def _live_and_die(self, home: Path, life: float, seed: int) -> None:
        child = os.fork()
        if child == 0:
            _leave(lambda: asyncio.run(chat(home, lambda: self.opening(home), seed)))
        time.sleep(life)
        Notes(home).write("killed")
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            raise RuntimeError("the chat script ended by itself")

    def _look(self, home: Path) -> dict[str, Any]:
        """In a child too: this process stays without threads, so that it can be forked."""
        result = home.with_name("report.json")
        result.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            _leave(lambda: result.write_text(json.dumps(self._looked(home))))
        _, status = os.waitpid(child, 0)
        if status:
            return {"counts": {}, "noted": {}, "faults": ["the look itself failed"]}
        return json.loads(result.read_text())

    def _looked(self, home: Path) -> dict[str, Any]:
        look = Look(home, self.opening)
        asyncio.run(look.everything(real=self.real))
        return {"counts": look.counts, "noted": look.noted, "faults": look.faults}


def begin_old(home: Path, name: str) -> None:
    """An old version's library, with many messages more; they count as acknowledged."""
    database, notes = Paths.under(home).make().database, Notes(home)
    script = (Path(__file__).parent.parent / "data" / name).read_text()
    with closing(sqlite3.connect(database)) as db:
        db.executescript(script)
        tree = db.execute("SELECT tree FROM threads WHERE id = 't1'").fetchone()[0]
        rows = [(f"old{n}", tree, f"old{n - 1}" if n else "n2") for n in range(OLD_MESSAGES)]
        insert = "INSERT INTO nodes (id, tree, parent, role, text) VALUES (?, ?, ?, 'user', 'Old words.')"
        db.executemany(insert, rows)
        db.row_factory = sqlite3.Row
        if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'search_docs'").fetchone():
            index.rebuild(db)  # a version that had an index had them all in it
        db.commit()
        found = [tuple(row) for row in db.execute("SELECT id, text, reasoning FROM nodes")]
    for id_, text, reasoning in found:
        notes.write("committed", node=id_, text=text, reasoning=reasoning)


def _leave(work: Callable[[], object]) -> None:
    """Run a child's work and end it without the parent's clean-up."""
    try:
        work()
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main() -> None:
    import torch

    torch.set_num_threads(1)
    form, folder, count, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    print(json.dumps(Kills(form, folder, seed).run(count)))


if __name__ == "__main__":
    main()
