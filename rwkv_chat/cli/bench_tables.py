"""The rows of a measurement as tables for people: a title, columns, a line for each row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.bench.rows import (
    BatchRow,
    ContextRow,
    LeftOut,
    Machine,
    PeerRow,
    PrefillRow,
    ReplyRow,
    ResumeRow,
    StartRow,
    StreamRow,
    Subject,
    TierRow,
)
from rwkv_chat.cli.output import result
from rwkv_chat.cli.table import print_columns
from rwkv_chat.explain import size
from rwkv_chat.plain_text import title
from rwkv_chat.texts import lookup, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.bench.rows import Row

    Cells = tuple[tuple[str, Callable[[Any], str]], ...]  # heading under `bench.column`, its words of a row


@dataclass(frozen=True, slots=True)
class View:
    """How rows of one type are shown; the title stands under `bench.title`."""

    name: str
    cells: Cells


VIEWS: dict[type, View] = {
    StartRow: View(
        "start",
        (
            ("torch", lambda row: f"{row.torch_seconds:.2f}"),
            ("loaded", lambda row: f"{row.loaded_seconds:.2f}"),
            ("first_token", lambda row: f"{row.token_seconds:.2f}"),
            ("peak", lambda row: _bytes(row.memory_bytes)),
        ),
    ),
    ReplyRow: View(
        "reply",
        (
            ("tokens", lambda row: f"{row.tokens:,}"),
            ("rate", lambda row: _rate(row.tokens_per_second)),
        ),
    ),
    StreamRow: View(
        "stream",
        (
            ("token", lambda row: _bytes(row.token_bytes)),
            ("zeros", lambda row: f"{row.zeros:.0%}"),
            ("of_token", lambda row: f"{row.bytes_per_second / 1e9:.1f}"),
            ("of_stream", lambda row: f"{row.stream_bytes_per_second / 1e9:.1f}"),
            ("share", lambda row: f"{row.share:.0%}"),
        ),
    ),
    ContextRow: View(
        "context",
        (
            ("context", lambda row: f"{row.context:,}"),
            ("fed", lambda row: say("bench.fed_all") if row.fed == row.context else f"{row.fed:,}"),
            ("step", lambda row: _ms(row.step_seconds)),
            ("memory", lambda row: _bytes(row.memory_bytes)),
        ),
    ),
    PrefillRow: View(
        "prefill",
        (
            ("tokens", lambda row: f"{row.tokens:,}"),
            ("seconds", lambda row: _ms(row.seconds)),
            ("rate", lambda row: _rate(row.tokens_per_second)),
        ),
    ),
    BatchRow: View(
        "batch",
        (
            ("batch", lambda row: str(row.batch)),
            ("step_all", lambda row: _ms(row.step_seconds)),
            ("rate", lambda row: _rate(row.tokens_per_second)),
        ),
    ),
    ResumeRow: View(
        "resume",
        (
            ("state", lambda row: _bytes(row.nbytes)),
            ("taken", lambda row: _ms(row.seconds)),
            ("floor", lambda row: _ms(row.floor_seconds)),
            ("ratio", lambda row: f"{row.ratio:.2f}"),
        ),
    ),
    TierRow: View(
        "tiers",
        (
            ("tier", lambda row: row.tier),
            ("weights", lambda row: _bytes(row.weights_bytes)),
            ("step", lambda row: _ms(row.step_seconds)),
            ("read_rate", lambda row: _rate(row.prefill_tokens_per_second)),
        ),
    ),
    PeerRow: View(
        "peers",
        (
            ("peer", lambda row: f"{row.peer} {row.version}"),
            ("form", lambda row: row.form),
            ("our_form", lambda row: row.tier),
            ("what", lambda row: say(f"bench.what.{row.what}")),
            ("ours", lambda row: UNITS[row.what](row.ours)),
            ("theirs", lambda row: UNITS[row.what](row.theirs)),
            ("better", lambda row: f"{row.ratio:.2f} ×"),
        ),
    ),
}


def show(rows: Iterable[Row]) -> None:
    """Each table as soon as its last row is there."""
    waiting: list[Row] = []
    for row in rows:
        if waiting and type(row) is not type(waiting[0]):
            _print(waiting)
            waiting = []
        waiting.append(row)
    _print(waiting)


def _print(rows: list[Row]) -> None:
    view = VIEWS.get(type(rows[0])) if rows else None
    if view is None:
        for each in rows:
            result(_line(each))
        return
    result(f"\n{say(f'bench.title.{view.name}')}")
    headings = [say(f"bench.column.{name}") for name, _ in view.cells]
    print_columns(headings, [[words(row) for _, words in view.cells] for row in rows])


def _line(row: Row) -> str:
    if isinstance(row, Machine):
        load = say("bench.unknown") if row.load is None else f"{row.load:.1f}"
        names = ("processor", "cores", "threads", "device", "torch", "python")
        return say("bench.machine", load=load, **{name: getattr(row, name) for name in names})
    if isinstance(row, Subject):
        names = ("arch", "layers", "width", "tier")
        return say(
            "bench.subject",
            name=title(row.path, 300),
            weights=size(row.weights_bytes),
            state=size(row.state_bytes),
            **{name: getattr(row, name) for name in names},
        )
    assert isinstance(row, LeftOut)  # noqa: S101  every other type has a view, which a test holds
    return say("bench.left_out", table=row.table, case=row.case, reason=_why(row.reason))


def _why(reason: str) -> str:
    """In words where there are any; else the name of the error."""
    return lookup(f"bench.reason.{reason.replace(' ', '_')}") or reason


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g}" if seconds < 1 else f"{seconds * 1e3:,.0f}"


def _rate(tokens_per_second: float) -> str:
    return f"{tokens_per_second:.3g}" if tokens_per_second < 1000 else f"{tokens_per_second:,.0f}"


def _bytes(nbytes: int | None) -> str:
    return say("bench.unknown") if nbytes is None else size(nbytes)


# what is compared with another program → how its values are written
UNITS: dict[str, Callable[[float], str]] = {
    "decode": _rate,
    "prefill": _rate,
    "load": lambda seconds: f"{seconds:.2f}",
    "memory": lambda nbytes: _bytes(int(nbytes)),
}
