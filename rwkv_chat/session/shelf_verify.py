"""Looking at every byte of a model: its checksums, its SHA-256, and that all its numbers are numbers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import DiskFailed, WeightsCorrupt
from engine.types import Progress
from rwkv_chat.session.shelf_types import Verified

if TYPE_CHECKING:
    from collections.abc import Generator

    from engine.store.fingerprint import Mark
    from engine.weights.archive import Archive
    from rwkv_chat.session.steps import Stop

    Steps = Generator[Progress | Verified, None, None]

BLOCK = 4 << 20
WHERE = "its SHA-256"


def verify(path: Path, known: str | None, before: str, cache: Path, stop: Stop) -> Steps:
    """Progress("hash", bytes, of all) …, Progress("read", bytes, of all) …, at the end `Verified`.

    Args:
        known: the catalogue's SHA-256.  before: what it was when these weights were last looked at, or "".
        cache: where hashes are remembered, for the engine too.

    Raises:
        WeightsCorrupt: bytes, checksums or numbers are not what they should be.
        EngineError: it cannot be read, or is no model.
    """
    try:
        yield from _verify(path, known, before, cache, stop)
    except OSError as error:
        raise DiskFailed(str(error.filename or path), error.strerror or str(error)) from error


def _verify(path: Path, known: str | None, before: str, cache: Path, stop: Stop) -> Steps:
    from engine.store.fingerprint import mark
    from engine.weights.archive import open_archive
    from engine.weights.recognise import recognise

    archive = open_archive(path)
    recognise(str(path), archive.shapes)
    found = yield from _hashed(mark(path), cache, stop)
    for each in (known, before):
        if each and found not in (each, ""):
            raise WeightsCorrupt(str(path), WHERE, each, found)
    yield from _read(archive, stop)
    if not stop():
        yield Verified(path, found, "known" if known else "before" if before else "", len(archive.shapes))


def _hashed(of: Mark, cache: Path, stop: Stop) -> Generator[Progress, None, str]:
    """The id, every file read anew; "" where it was stopped."""
    from engine.store.fingerprint import known, remember

    done = 0
    for each in of.files:
        digest = hashlib.sha256()
        with Path(each.path).open("rb", buffering=0) as file:
            while block := file.read(BLOCK):
                if stop():
                    return ""
                digest.update(block)
                done += len(block)
                yield Progress("hash", done, of.nbytes)
        remember(Path(each.path), cache, digest.hexdigest())
    return known(of, cache) or ""


def _read(archive: Archive, stop: Stop) -> Generator[Progress, None, None]:
    """The container's own checksums, then every tensor's numbers."""
    for _ in archive.verify():
        if stop():
            return
    done = 0
    for name in archive.shapes:
        if stop():
            return
        done += _check(archive, name)
        yield Progress("read", min(done, archive.nbytes), archive.nbytes)


def _check(archive: Archive, name: str) -> int:
    """Bytes of a tensor whose numbers are all finite. Raises: WeightsCorrupt."""
    import torch

    x = archive.get(name)
    if x.numel() and not torch.isfinite(torch.stack(torch.aminmax(x))).all():
        raise WeightsCorrupt(str(archive.path), name, "finite numbers", "NaN or infinity")
    return x.nbytes
