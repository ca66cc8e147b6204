"""What can be downloaded, how it would fit here, and which of it to recommend."""

from __future__ import annotations

import functools
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from rwkv_chat.paths import resource
from rwkv_chat.room import free_bytes
from rwkv_chat.session.shelf_types import Offer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from engine.weights.catalog import Catalog, Entry
    from engine.weights.fit import Fit
    from rwkv_chat.session.shelf_types import ShelfEntry

CATALOGUE = "assets/models.toml"
PATIENT = 3_200_000_000  # parameters: larger ones write slower than people read on most processors
ROOM = 0.8  # of the free memory: other programs want some, too
FFN = {"rwkv4": 4.0, "rwkv7": 4.0}  # F as a multiple of C; 3.5 for the versions between


@functools.cache
def catalogue() -> Catalog:
    """The list that comes with the program. Raises: CatalogInvalid."""
    from engine.weights.catalog import read_catalog

    return read_catalog(resource(CATALOGUE))


def names_by_file() -> dict[str, str]:
    """Short names by the files' names."""
    return {entry.file: entry.name for entry in catalogue().entries}


def offers(listed: Catalog, entries: Iterable[ShelfEntry], folder: Path, device: str) -> tuple[Offer, ...]:
    """The catalogue's models that the engine can load, newest first."""
    from engine.weights.fit import free_bytes as free_there

    here, free = _here(entries), free_there(device)
    made = [_offer(entry, here, folder, device, free) for entry in listed.entries if entry.loadable]
    chosen = advised(listed, {each.name: each.fits for each in made}, free_bytes(folder))
    return tuple(_marked(each, chosen) for each in made)


def advised(listed: Catalog, fits: dict[str, tuple[Fit, ...]], disk: int | None) -> Entry | None:
    """The newest model for chat of the largest size that leaves room in memory and, on a processor, is not
    too slow to talk to; the smallest of all where none does.
    """
    sizes = [each for each in listed.newest() if disk is None or each.size <= disk]
    good = (each for each in sizes if _comfortable(each, fits.get(each.name, ())))
    return next(good, sizes[-1] if sizes else None)


def _comfortable(entry: Entry, fits: tuple[Fit, ...]) -> bool:
    half = next((each for each in fits if each.tier == "bf16"), None)
    if half is None or (half.device == "cpu" and entry.params > PATIENT):
        return False
    return half.free is None or half.needed <= ROOM * half.free


def _offer(entry: Entry, here: dict[str, Path], folder: Path, device: str, free: int | None) -> Offer:
    return Offer(
        entry,
        fits=_fits(entry, device, free),
        here=here.get(entry.name),
        partial=partial_bytes(folder / entry.file),
        live=not entry.listed,
    )


def _marked(offer: Offer, chosen: Entry | None) -> Offer:
    return replace(offer, advice=True) if chosen is not None and offer.name == chosen.name else offer


def _fits(entry: Entry, device: str, free: int | None) -> tuple[Fit, ...]:
    from engine.weights.fit import Size, estimates

    n_ffn = int(entry.n_embd * FFN.get(entry.arch, 3.5)) // 32 * 32
    size = Size(entry.arch, entry.params, entry.n_layer, entry.n_embd, n_ffn, vocab_size=entry.vocab_size)
    return estimates(size, device, free)


def _here(entries: Iterable[ShelfEntry]) -> dict[str, Path]:
    """Paths by short name, of what is on the shelf and can be read."""
    names = names_by_file()
    found = ((each.offer or names.get(each.path.name, ""), each) for each in entries if each.readable)
    return {name: each.path for name, each in found if name}


def partial_bytes(path: Path) -> int:
    """Bytes of an unfinished download of `path`."""
    with suppress(OSError):
        return path.with_name(f"{path.name}.part").stat().st_size
    return 0
