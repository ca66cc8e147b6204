"""Folders of Hugging Face models: one weights file, or shards with an index, read as one archive.

An index comes with the download, so it is hostile too: it may name files in this folder and nothing else.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import ModelNotFound, UnsupportedFormat, WeightsCorrupt
from engine.weights.archive import Archive, open_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

LARGEST_INDEX = 32 << 20  # 61 layers make 0.3 MB

# in the order in which they are looked for
_WHOLE = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
_WHOLE += ("pytorch_model.bin.index.json",)
_TOKENIZERS = ("tokenizer.json", "rwkv_vocab_v20230424.txt", "vocab.txt")


def _read_json(path: Path) -> Any:
    if (size := path.stat().st_size) > LARGEST_INDEX:
        raise WeightsCorrupt(str(path), "the index", f"at most {LARGEST_INDEX} bytes", f"{size} bytes")
    try:
        return json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise WeightsCorrupt(str(path), "the index", "JSON", "other text") from error


def _weight_map(index: Path) -> dict[str, str]:
    """Tensor → file name, as the index says."""
    content = _read_json(index)
    table = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(table, dict) or not table:
        raise WeightsCorrupt(str(index), "weight_map", "a table of files", type(table).__name__)
    for name, file in table.items():
        if not isinstance(file, str) or "\\" in file or Path(file).name != file or file in {"", ".."}:
            raise WeightsCorrupt(str(index), name[:80], "a file in this folder", repr(file)[:60])
    return table


def _files(folder: Path) -> tuple[list[Path], dict[str, str]]:
    """The weights files, and the index's table where there is one."""
    found = next((folder / name for name in _WHOLE if (folder / name).is_file()), None)
    if found is None:
        return sorted(folder.glob("*.safetensors")), {}
    if found.suffix != ".json":
        return [found], {}
    table = _weight_map(found)
    return [folder / name for name in sorted(set(table.values()))], table


def _merge(folder: Path, shards: list[Archive]) -> dict[str, Archive]:
    """Tensor → the shard that has it."""
    homes: dict[str, Archive] = {}
    for shard in shards:
        if homes.keys() & shard.shapes.keys():
            raise UnsupportedFormat(str(folder), "several-models")
        homes |= dict.fromkeys(shard.shapes, shard)
    return homes


def _check_table(folder: Path, table: dict[str, str], homes: dict[str, Archive]) -> None:
    for name, file in table.items():
        if name not in homes or homes[name].path.name != file:
            raise WeightsCorrupt(str(folder), name[:80], f"in {file}", "elsewhere or missing")


def _notes(folder: Path) -> dict[str, str]:
    tokenizer = next((name for name in _TOKENIZERS if (folder / name).is_file()), None)
    return {"tokenizer": str(folder / tokenizer)} if tokenizer else {}


def _types(shards: list[Archive]) -> dict[str, int]:
    """Of all shards together."""
    counted: Counter[str] = Counter()
    for shard in shards:
        counted.update(shard.types)
    return dict(counted.most_common())


def open_folder(folder: Path) -> Archive:
    """Maps all of a folder's shards; see `Archive`.

    Raises:
        ModelNotFound: no weights here, or a shard that the index names is missing.
        UnsupportedFormat: several models lie side by side.
        WeightsCorrupt.
    """
    paths, table = _files(folder)
    for path in paths or [folder]:
        if not path.is_file():
            raise ModelNotFound(str(path))
    shards = [open_file(path) for path in paths]
    homes = _merge(folder, shards)
    _check_table(folder, table, homes)

    def get(name: str) -> Tensor:
        return homes[name].get(name)

    def verify() -> Iterator[None]:
        for shard in shards:
            yield from shard.verify()

    shapes = {name: shard.shapes[name] for name, shard in homes.items()}
    index = [
        folder / name for name in _WHOLE if table and (folder / name).is_file() and name.endswith("json")
    ]
    files = (*paths, *index[:1])
    nbytes = sum(shard.nbytes for shard in shards)
    mapped = all(shard.mapped for shard in shards)
    return Archive(
        folder,
        shapes,
        get,
        nbytes,
        verify,
        "folder",
        files,
        _notes(folder),
        types=_types(shards),
        mapped=mapped,
    )
