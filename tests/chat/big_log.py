"""A messenger's export of any size, and what it takes to read it: run in a process of its own.

python -m tests.chat.big_log FORM MEGABYTES PATH    → one line of JSON
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
    """Messages of two people, one a minute."""
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
    text, who = WORDS[: 20 + number % 70], "AB"[number % 2]
    if form == "whatsapp":
        day, hour, minute = number // 1440 % 28 + 1, number // 60 % 24, number % 60
        return f"[2024-{number // 40320 % 12 + 1:02}-{day:02}, {hour:02}:{minute:02}:00] {who}: {text}\n"
    record = {
        "id": number,
        "type": "message",
        "date_unixtime": str(1_700_000_000 + 60 * number),
        "from": who,
        "from_id": f"user{number % 2}",
        "text": text,
        "text_entities": [{"type": "plain", "text": text}],
    }
    return ("," if number else "") + "\n" + json.dumps(record, ensure_ascii=False)


def main(form: str, megabytes: str, name: str) -> None:
    path, began = Path(name), time.perf_counter()
    before = _peak()
    write(form, int(megabytes) << 20, path)
    written, progress, report = time.perf_counter(), [], Report()
    for item in conversations(path):
        if isinstance(item, Progress):
            progress.append((item.done, item.total))
        else:
            report.count(item)
    told = {
        "bytes": path.stat().st_size,
        "turns": report.turns,
        "skipped": sum(report.skipped.values()),
        "seconds": round(time.perf_counter() - written, 1),
        "writing": round(written - began, 1),
        "started_at": before,
        "peak": _peak(),
        "steps": len(progress),
        "ordered": progress == sorted(progress) and progress[-1][0] == progress[-1][1],
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
