"""A messenger's export of any size, and what it takes to read it: run in a process of its own.

python -m tests.chat.big_log FORM MEGABYTES PATH [examples]    → one line of JSON
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from rwkv_chat.importers.forms import Report
from rwkv_chat.importers.logs import Progress, conversations

WORDS = "the state of a network 记忆 that never grows 😀 and yet remembers what was said in it, more. "


def _peak() -> int:
    """The most memory that this program had, not the one that started it (`getrusage` tells of both)."""
    rows = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(row.split()[1]) * 1024 for row in rows if row.startswith("VmHWM"))


def write(form: str, nbytes: int, path: Path) -> None:
    """Messages of two people, one a minute, with two hours of silence after every forty."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        if form == "telegram":
            file.write('{"name": "B", "type": "personal_chat", "id": 7, "messages": [')
        number = 0
        while file.tell() < nbytes:
            file.write("".join(_message(form, number + each) for each in range(10_000)))
            number += 10_000
        if form == "telegram":
            file.write("]}")


def _message(form: str, number: int) -> str:
    text, who = f"{number} {WORDS[: 20 + number % 70]}", "AB"[number % 2]
    minutes = number + 120 * (number // 40)
    if form == "whatsapp":
        day, hour, minute = minutes // 1440 % 28 + 1, minutes // 60 % 24, minutes % 60
        return f"[2024-{minutes // 40320 % 12 + 1:02}-{day:02}, {hour:02}:{minute:02}:00] {who}: {text}\n"
    record = {
        "id": number,
        "type": "message",
        "date_unixtime": str(1_700_000_000 + 60 * minutes),
        "from": who,
        "from_id": f"user{number % 2}",
        "text": text,
        "text_entities": [{"type": "plain", "text": text}],
    }
    return ("," if number else "") + "\n" + json.dumps(record, ensure_ascii=False)


def imported(path: Path, progress: list[tuple[int, int]]) -> dict[str, int]:
    report = Report()
    for item in conversations(path):
        if isinstance(item, Progress):
            progress.append((item.done, item.total))
        else:
            report.count(item)
    return {"turns": report.turns, "skipped": sum(report.skipped.values())}


def examples(path: Path, progress: list[tuple[int, int]]) -> dict[str, int]:
    """As a run is begun: read for the names in it, looked at, and read as rows, which are written."""
    from engine.tokenizer_world import world_tokenizer
    from engine.tune import rows
    from rwkv_chat.session.examples import parted, survey
    from rwkv_chat.session.examples_types import AGREED, Found, LogFile, Looked, Selection, Voice
    from rwkv_chat.templates import template

    selection = Selection(files=(LogFile(path, speaker="B"),), consent=AGREED)
    voice, found, made = Voice(template("classic"), world_tokenizer(), 65536), None, 0
    for item in survey(selection, voice):
        if isinstance(item, Looked):
            progress.append((item.done, item.total))
        else:
            found = item
    assert isinstance(found, Found)
    with rows.writing(path.with_name("train")) as train, rows.writing(path.with_name("valid")) as held:
        for item in parted(selection, voice, found):
            if isinstance(item, Looked):
                progress.append((item.done, item.total))
            else:
                (train if item[0] == "train" else held)(item[1])
                made += item[0] == "train"
    numbers = {"turns": found.turns, "skipped": sum(found.skipped.values()), "examples": found.conversations}
    return numbers | {"rows": made, "train": found.train.examples, "tokens": found.train.tokens}


def readings(progress: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """What was told of each reading: one begins where less is done than before."""
    found: list[list[tuple[int, int]]] = []
    for each in progress:
        if not found or each[0] < found[-1][-1][0]:
            found.append([])
        found[-1].append(each)
    return found


def main(form: str, megabytes: str, name: str, what: str = "imported") -> None:
    path, began = Path(name), time.perf_counter()
    before = _peak()
    write(form, int(megabytes) << 20, path)
    written, progress = time.perf_counter(), []
    told = (examples if what == "examples" else imported)(path, progress) | {
        "bytes": path.stat().st_size,
        "seconds": round(time.perf_counter() - written, 1),
        "writing": round(written - began, 1),
        "started_at": before,
        "peak": _peak(),
        "steps": len(progress),
        "readings": len(readings(progress)),
        "told to the end": all(each[-1][0] == each[-1][1] for each in readings(progress)),
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
