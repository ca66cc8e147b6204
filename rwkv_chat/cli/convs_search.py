"""`rwkv-chat convs search`: messages that have every word of a query."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import click

from rwkv_chat.cli.convs_shared import (
    SHORT_ID,
    deleted_option,
    json_option,
    node_record,
    print_json,
)
from rwkv_chat.cli.numbers import Whole
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import note, result
from rwkv_chat.dates import date_of
from rwkv_chat.explain import OK
from rwkv_chat.library.search import MOST_RANKED, PAGE, Wanted
from rwkv_chat.paths import dim_shows
from rwkv_chat.plain_text import clean, title
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from datetime import datetime

    from rwkv_chat.library.search import Hit, Hits

_DAY = click.DateTime(["%Y-%m-%d"])


@click.command("search", help=say("convs.search.help"))
@click.argument("query")
@click.option("--role", type=click.Choice(["user", "assistant", "system"]), help=say("convs.search.role"))
@click.option("--since", type=_DAY, help=say("convs.search.since"))
@click.option("--until", type=_DAY, help=say("convs.search.until"))
@click.option("--model", default="", metavar="SHA-256", help=say("convs.search.model"))
@click.option("--in", "inside", metavar="ID|TITLE", help=say("convs.search.inside"))
@click.option("--tag", default="", help=say("convs.search.tag"))
@click.option("--archived", is_flag=True, help=say("convs.search.archived"))
@click.option("--best", is_flag=True, help=say("convs.search.best", most=MOST_RANKED))
@click.option("--limit", type=Whole(1, 1000), default=PAGE, show_default=True, help=say("convs.search.limit"))
@deleted_option
@json_option
def command(query: str, deleted: bool, as_json: bool, **chosen: Any) -> int:
    return asyncio.run(_search(query, chosen, deleted=deleted, as_json=as_json))


async def _search(query: str, chosen: dict[str, Any], *, deleted: bool, as_json: bool) -> int:
    async with shelf_opened() as session:
        inside = chosen["inside"]
        wanted = Wanted(
            query,
            role=chosen["role"] or "",
            model=chosen["model"],
            since=_seconds(chosen["since"]),
            until=_seconds(chosen["until"], days=1),
            thread=(await session.convs.find(inside, deleted=deleted)).id if inside else "",
            tag=chosen["tag"],
            deleted=deleted,
            archived=chosen["archived"] or None,
            ranked=chosen["best"],
            limit=chosen["limit"],
        )
        hits = await session.convs.search(wanted)
    if as_json:
        print_json(_record(hits))
    else:
        _print(hits)
    return OK


def _seconds(day: datetime | None, days: int = 0) -> float | None:
    """The beginning of a day here, or of one after it."""
    from datetime import timedelta

    return None if day is None else (day + timedelta(days=days)).timestamp()


def _print(hits: Hits) -> None:
    for each in hits.hits:
        who = say(f"convs.speaker.{each.node.message.role}")
        name = title(each.title) or say("convs.untitled")
        values = {"id": each.thread[:SHORT_ID], "date": date_of(each.node.created), "title": name, "who": who}
        result(say("convs.search.row", **values))
        _print_snippet(each)
    many = hits.number > MOST_RANKED
    note(
        say("convs.search.more", most=MOST_RANKED) if many else say("convs.search.count", number=hits.number)
    )


def _print_snippet(hit: Hit) -> None:
    """What was found is bold on a terminal that shows it."""
    bold = sys.stdout.isatty() and dim_shows()
    if not bold:
        result("  " + "".join(piece for piece, _ in hit.snippet))
        return
    shown = (f"\x1b[1m{clean(piece)}\x1b[22m" if match else clean(piece) for piece, match in hit.snippet)
    sys.stdout.write(f"  {''.join(shown)}\n")


def _record(hits: Hits) -> dict[str, Any]:
    many = hits.number > MOST_RANKED
    found = [
        {
            "thread": each.thread,
            "title": each.title,
            "deleted": each.deleted,
            "archived": each.archived,
            "message": node_record(each.node),
            "snippet": [{"text": piece, "match": match} for piece, match in each.snippet],
        }
        for each in hits.hits
    ]
    return {"number": min(hits.number, MOST_RANKED), "more": many, "best_first": hits.ranked, "hits": found}
