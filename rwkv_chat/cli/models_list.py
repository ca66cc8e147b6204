"""`rwkv-chat models list`: what is here, what can be had, and what to recommend on this machine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from rwkv_chat.cli.models_shared import entry_record, fit_record, json_option, print_json
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import result
from rwkv_chat.cli.table import Column, print_table
from rwkv_chat.explain import explain, size
from rwkv_chat.paths import hub_endpoint
from rwkv_chat.plain_text import title
from rwkv_chat.session import Sources
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.weights.fit import Fit
    from rwkv_chat.session import Offer, ShelfEntry

TIER = "bf16"  # what a file is stored in, and the usual choice
HERE = (Column("name"), Column("size", right=True), Column("format"), Column("memory"), Column("where"))
OFFERED = (Column("name"), Column("size", right=True), Column("date"), Column("memory"), Column("remark"))


@click.command("list", help=say("models.list.help"))
@click.option("--all", "every", is_flag=True, help=say("models.list.all"))
@click.option("--online", is_flag=True, help=say("models.list.online"))
@json_option
def command(every: bool, online: bool, as_json: bool) -> int:
    return asyncio.run(_list(every=every, online=online, as_json=as_json))


async def _list(*, every: bool, online: bool, as_json: bool) -> int:
    async with shelf_opened() as session:
        entries = await session.shelf.entries()
        offers = await session.shelf.offers(online=online, sources=Sources(endpoint=hub_endpoint()))
        in_use = session.models.current.path
    if as_json:
        print_json(_record(entries, offers, in_use))
    else:
        _print(entries, offers, in_use, every=every)
    return 0


def _record(entries: Sequence[ShelfEntry], offers: Sequence[Offer], in_use: Path) -> dict[str, Any]:
    return {
        "here": [entry_record(each, in_use) for each in entries],
        "offers": [offer_record(each) for each in offers],
        "advice": next((each.name for each in offers if each.advice), None),
    }


def offer_record(offer: Offer) -> dict[str, Any]:
    entry = offer.entry
    return {
        "name": offer.name,
        "file": entry.file,
        "repository": entry.repository,
        "family": entry.family,
        "arch": entry.arch,
        "params": entry.params,
        "bytes": entry.size,
        "sha256": entry.sha256,
        "date": entry.date.isoformat(),
        "context": entry.context,
        "chat": entry.chat,
        "licence": entry.licence,
        "here": str(offer.here) if offer.here else None,
        "partial_bytes": offer.partial,
        "advice": offer.advice,
        "live": offer.live,
        "fits": [fit_record(each) for each in offer.fits],
    }


def _print(entries: Sequence[ShelfEntry], offers: Sequence[Offer], in_use: Path, *, every: bool) -> None:
    result(say("models.list.here"))
    print_table(HERE, [_here(each, in_use) for each in entries])
    shown = offers if every else _newest(offers)
    result("\n" + say("models.list.offered"))
    print_table(OFFERED, [_offered(each) for each in shown])
    if len(shown) < len(offers):
        result(say("models.list.more", number=len(offers) - len(shown)))


def _newest(offers: Sequence[Offer]) -> list[Offer]:
    """The newest for chat of each size, and whatever is recommended, begun or here."""
    from engine.weights.catalog import same_size

    sizes: list[int] = []
    shown: list[Offer] = []
    for each in offers:
        first = each.entry.chat and not any(same_size(each.entry.params, size) for size in sizes)
        if first or each.advice or each.partial or each.here:
            shown.append(each)
            sizes += [each.entry.params] if first else []
    return shown


def _here(entry: ShelfEntry, in_use: Path) -> tuple[str, ...]:
    kind = f"{entry.format} {entry.spec.arch}" if entry.spec else entry.format
    where = say("models.source.built_in") if entry.card.builtin else title(str(entry.path), 200)
    if entry.missing:
        where = say("models.list.missing", path=where)
    elif entry.error is not None:
        where = say("models.list.unusable", path=where, trouble=explain(entry.error).title)
    elif entry.path == in_use:
        where = say("models.list.in_use", path=where)
    return title(entry.name), size(entry.nbytes), kind, memory(entry.fits), where


def _offered(offer: Offer) -> tuple[str, ...]:
    entry = offer.entry
    return offer.name, size(entry.size), f"{entry.date:%Y-%m-%d}", memory(offer.fits), _remark(offer)


def _remark(offer: Offer) -> str:
    if offer.here is not None:
        return say("models.list.is_here")
    if offer.partial:
        return say("models.list.begun", done=size(offer.partial))
    if offer.advice:
        return say("models.list.advice")
    if offer.live:
        return say("models.list.live")
    return "" if offer.entry.chat else say("models.list.base")


def memory(fits: Sequence[Fit]) -> str:
    """What it takes in the usual number type, and whether that is free; else another one that fits."""
    fit = next((each for each in fits if each.tier == TIER), None)
    if fit is None:
        return ""
    other = next((each for each in fits if each.fits), None)
    if not fit.fits and other is not None:
        return say("models.fits_in", needed=size(other.needed), tier=other.name)
    return say("models.fits" if fit.fits else "models.too_large", needed=size(fit.needed))
