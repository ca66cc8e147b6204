"""An adapter's files: peft's folder, or the file of another program with what belongs beside it."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from engine.durable import into_place, sync_within
from engine.errors import FileInTheWay

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"  # of peft's folder
PISSA_INIT = "init_pissa.pth"  # lies beside a PiSSA, which means nothing without it
PRIVATE = 0o700  # of a folder that holds what was learnt from somebody


def give_adapter(source: Path, target: Path, beside: Mapping[str, bytes] | None = None) -> None:
    """Into a new folder, as peft (a PiSSA: RWKV-PEFT) reads it, whole or not at all.

    Args:
        beside: more files for the folder, by their names.

    Raises:
        FileInTheWay, OSError.
    """
    if os.path.lexists(target):
        raise FileInTheWay(str(target))
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(mode=PRIVATE)
        for each in _files_of(source):
            shutil.copyfile(each, part / each.name)
        for name, data in (beside or {}).items():
            (part / name).write_bytes(data)
        sync_within(part)
        into_place(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _files_of(adapter: Path) -> list[Path]:
    if adapter.is_dir():
        return [adapter / CONFIG, adapter / TENSORS]
    first = adapter.with_name(PISSA_INIT)
    return [adapter, first] if first.is_file() else [adapter]


def within(folder: Path) -> Path:
    """The adapter of a folder that `give_adapter` wrote: the folder, or the file in it that is no peft's."""
    if not folder.is_dir() or any((folder / each).is_file() for each in (CONFIG, TENSORS)):
        return folder
    files = sorted(each for each in folder.iterdir() if each.name != PISSA_INIT)
    return files[0] if files else folder
