"""An adapter's files: peft's folder, or a file of its own (a PiSSA's) with what may belong beside it.

Here all is kept as safetensors; what another program wants in its own form is made where it is given away.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.durable import into_place, sync_within
from engine.errors import FileInTheWay

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"  # of peft's folder
OURS = ".safetensors"  # of a PiSSA's file, which holds all of it
PISSA_INIT = "init_pissa.pth"  # lies beside an older one or RWKV-PEFT's, which means nothing without it
PRIVATE = 0o700  # of a folder that holds what was learnt from somebody


def give_adapter(source: Path, target: Path, beside: Mapping[str, bytes] | None = None) -> None:
    """Into a new folder, as peft (a PiSSA: RWKV-PEFT) reads it, whole or not at all.

    Args:
        beside: more files for the folder, by their names.

    Raises:
        FileInTheWay, EngineError, OSError.
    """
    with _new_folder(target) as part:
        if source.is_file() and source.suffix == OURS:
            _as_peft(source, part)
        else:
            _copied(source, part)
        for name, data in (beside or {}).items():
            (part / name).write_bytes(data)


def keep_adapter(source: Path, target: Path) -> None:
    """Into a new folder as it is, whole or not at all. Raises: FileInTheWay, OSError."""
    with _new_folder(target) as part:
        _copied(source, part)


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """A folder that becomes `target` at the end; nothing stays after an error."""
    if os.path.lexists(target):
        raise FileInTheWay(str(target))
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(mode=PRIVATE)
        yield part
        sync_within(part)
        into_place(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _as_peft(source: Path, folder: Path) -> None:
    from engine.weights.export_pissa import write_pissa

    write_pissa(source, folder)


def _copied(source: Path, folder: Path) -> None:
    for each in _files_of(source):
        shutil.copyfile(each, folder / each.name)


def _files_of(adapter: Path) -> list[Path]:
    if adapter.is_dir():
        return [adapter / CONFIG, adapter / TENSORS]
    first = adapter.with_name(PISSA_INIT)
    return [adapter, first] if first.is_file() else [adapter]


def within(folder: Path) -> Path:
    """The adapter of a folder that was written here: the folder, or the file in it that is no peft's."""
    if not folder.is_dir() or any((folder / each).is_file() for each in (CONFIG, TENSORS)):
        return folder
    files = sorted(each for each in folder.iterdir() if each.name != PISSA_INIT)
    return files[0] if files else folder
