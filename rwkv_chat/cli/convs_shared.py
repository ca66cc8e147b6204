"""What the commands of `rwkv-chat convs` share: options, lines of text, values for --json."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Literal

import click

from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import note, result
from rwkv_chat.dates import date_of
from rwkv_chat.explain import OK
from rwkv_chat.plain_text import title
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from rwkv_chat.transcript import Node, Thread

SHORT_ID = 12  # hex digits: enough among billions

json_option = click.option("--json", "as_json", is_flag=True, help=say("convs.json"))
deleted_option = click.option("--deleted", is_flag=True, help=say("convs.deleted"))


def print_json(value: object) -> None:
    result(json.dumps(value, indent=2, ensure_ascii=False))


def name_of(thread: Thread) -> str:
    return title(thread.title) or say("convs.untitled")


def line(thread: Thread) -> str:
    """Id, date and title of a conversation, in one line."""
    return say("convs.row", id=thread.id[:SHORT_ID], date=date_of(thread.updated), title=name_of(thread))


def thread_record(thread: Thread) -> dict[str, Any]:
    times = ("created", "updated", "deleted", "pinned", "archived")
    return {name: getattr(thread, name) for name in ("id", "title", *times, "model", "template", "mode")}


def node_record(node: Node) -> dict[str, Any]:
    said = node.message
    told: dict[str, Any] = {"role": said.role, "text": said.text, "reasoning": said.reasoning}
    names = ("id", "parent", "status", "model", "created")
    return told | {name: getattr(node, name) for name in names}


def mark(what: Literal["pin", "archive"], names: tuple[str, ...], *, on: bool, as_json: bool) -> int:
    """Pin or archive conversations, or take that back."""
    threads = asyncio.run(_marked(what, names, on=on))
    if as_json:
        print_json([thread_record(each) for each in threads])
        return OK
    for each in threads:
        note(say(f"convs.{what}.{'done' if on else 'undone'}", name=name_of(each)))
    return OK


async def _marked(what: str, names: tuple[str, ...], *, on: bool) -> list[Thread]:
    async with shelf_opened() as session:
        work = {"pin": session.convs.pin, "archive": session.convs.archive}[what]
        found = [await session.convs.find(each) for each in names]
        return [await work(each.id, on=on) for each in found]
