"""`rwkv-chat models info`: everything about a model that its header and its surroundings tell."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import click

from engine.types import SamplingParams
from rwkv_chat.cli.models_part import part_at, show_part
from rwkv_chat.cli.models_shared import entry_record, find, json_option, print_json
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import note, result
from rwkv_chat.cli.table import padded
from rwkv_chat.explain import sentence, size
from rwkv_chat.phrases import clauses, labelled, listed
from rwkv_chat.plain_text import title
from rwkv_chat.session import Info
from rwkv_chat.texts import lookup, say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.types import ModelSpec
    from engine.weights.kinds import Part
    from rwkv_chat.session import ModelCard, ShelfEntry

LABEL = 14
LONGEST = 300


@click.command("info", help=say("models.info.help"))
@click.argument("model", metavar="FILE|NAME")
@json_option
def command(model: str, as_json: bool) -> None:
    found = asyncio.run(_info(model))
    if not isinstance(found, Info):
        show_part(*found, as_json=as_json)
        return
    if as_json:
        print_json(_record(found))
        return
    for name, value in lines(found):
        label = say(f"models.row.{name}")
        result(f"{padded(label, LABEL)}{title(value, LONGEST)}".rstrip())
    if found.entry.error is not None:
        note(sentence(found.entry.error))


async def _info(model: str) -> Info | tuple[Path, Part]:
    async with shelf_opened() as session:
        path = await find(session, model)
        part = await asyncio.to_thread(part_at, path)
        return (path, part) if part else await session.shelf.info(path)


def lines(info: Info) -> Iterator[tuple[str, str]]:
    """Rows as they are shown: a name under `models.row`, and a value."""
    entry, card = info.entry, info.entry.card
    yield "name", card.name
    yield "path", str(card.path)
    yield "format", say("models.info.format", format=entry.format, files=_files(info))
    if entry.spec is not None:
        yield "version", _shape(entry.spec)
        if entry.spec.ranks:
            yield "ranks", listed(f"{letter} {rank}" for letter, rank in entry.spec.ranks)
    yield "parameters", say("models.info.parameters", count=f"{info.params:,}")
    yield "types", listed(say("models.info.type", name=name, count=count) for name, count in info.types)
    yield "state", say("models.info.state", size=size(info.state_nbytes))
    yield from _speaking(card)
    for fit in entry.fits:
        yield "fit", _fit(fit)
    yield "source", _source(entry)
    yield "id", entry.id or say("models.info.no_id")
    for name, value in info.notes.items():
        yield "note", labelled(name, value)
    for path, nbytes in info.converted:
        yield "converted", f"{path} ({size(nbytes)})"


def _source(entry: ShelfEntry) -> str:
    """Where it came from, and whether anybody vouches for its bytes."""
    words = say(f"models.source.{entry.source.replace(' ', '_').replace('-', '_')}")
    return clauses((words, say(f"models.checked.{entry.checked}"))) if entry.checked else words


def _files(info: Info) -> str:
    total = size(sum(nbytes for _, nbytes in info.files))
    if len(info.files) == 1:
        return total
    names = listed(path.name for path, _ in info.files[:4])
    more = say("models.info.more", number=len(info.files) - 4) if len(info.files) > 4 else ""
    return labelled(total, f"{names}{more}")


def _shape(spec: ModelSpec) -> str:
    return say(
        "models.info.shape",
        arch=spec.arch,
        L=spec.n_layer,
        C=spec.n_embd,
        H=spec.n_head,
        N=spec.head_size,
        F=spec.n_ffn,
        O=spec.vocab_size,
    )


def _speaking(card: ModelCard) -> Iterator[tuple[str, str]]:
    """What decides how it is spoken with."""
    family = card.family
    tried = say("models.info.tried" if family.tried else "models.info.untried")
    yield "family", clauses((f"{family.title} ({family.name})", tried))
    if family.licence:
        yield "licence", family.licence
    yield "tokenizer", card.tokenizer.path or card.tokenizer.kind
    yield "template", card.template
    yield "modes", say("models.info.modes", modes=listed(family.modes), usual=family.mode)
    yield "sampling", _sampling(card.sampling)


def _sampling(params: SamplingParams) -> str:
    """What is not the plain default, and always temperature and top-p."""
    plain = SamplingParams()
    shown = [
        each.name
        for each in fields(params)
        if each.metadata
        and (each.name in ("temperature", "top_p") or getattr(params, each.name) != getattr(plain, each.name))
    ]
    return listed(
        f"{(lookup(f'sampling.{name}.label') or name).lower()} {getattr(params, name):g}" for name in shown
    )


def _fit(fit: Any) -> str:
    values = {"tier": fit.name, "device": fit.device, "needed": size(fit.needed)}
    if fit.free is None:
        return say("models.info.fit_unknown", **values)
    return say("models.info.fit" if fit.fits else "models.info.no_fit", **values, free=size(fit.free))


def _record(info: Info) -> dict[str, Any]:
    entry, card = info.entry, info.entry.card
    return {
        **entry_record(entry),
        "files": [{"path": str(path), "bytes": nbytes} for path, nbytes in info.files],
        "spec": {**asdict(entry.spec), "ranks": dict(entry.spec.ranks)} if entry.spec else None,
        "params": info.params,
        "types": dict(info.types),
        "state_bytes": info.state_nbytes,
        "family": {
            "name": card.family.name,
            "title": card.family.title,
            "tried_with_real_weights": card.family.tried,
            "licence": card.family.licence,
            "modes": list(card.family.modes),
            "mode": card.family.mode,
        },
        "tokenizer": card.tokenizer.path or card.tokenizer.kind,
        "template": card.template,
        "sampling": {
            each.name: getattr(card.sampling, each.name) for each in fields(card.sampling) if each.metadata
        },
        "notes": info.notes,
        "converted": [{"path": str(path), "bytes": nbytes} for path, nbytes in info.converted],
    }
