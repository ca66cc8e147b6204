"""Opens a weights file or folder as named tensors that are read when asked for.

Two tables: `READERS` for containers (how bytes become tensors) and `NAMINGS` for the conventions of other
programs (how their names and orientations become the official ones). Whatever is opened, an `Archive` has the
official names, shapes and orientations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.errors import DiskFailed, ModelNotFound, UnsupportedFormat, WeightsCorrupt
from engine.weights import hugging_face, web_rwkv
from engine.weights.merged_state import without_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

    Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Archive:
    """Weights on the disk: shapes are known, values are mapped and read on use.

    Attributes:
        path: what was opened, a file or a folder.
        shapes: by official name.
        get: the tensor of a name, on the CPU, backed by the file where no conversion is needed: copy
            it before the file may change.
        nbytes: bytes of all tensors as stored.
        verify: compares the file with its own checksums, if it has any, yielding after every piece read.
        format: a key of `READERS`, or of `NAMINGS` where names had to be translated.
        files: those that hold weights, or say where they are; a model's id is made from them.
        notes: what else was found, for people: a tokenizer beside the weights, a tuned
            state merged in.
        types: how many tensors are stored as what, most first: {"bf16": 398}.
        mapped: `get` copies nothing: it gives views of the mapped file.
    """

    path: Path
    shapes: Shapes
    get: Callable[[str], Tensor]
    nbytes: int
    verify: Callable[[], Iterator[None]]
    format: str
    files: tuple[Path, ...]
    notes: dict[str, str] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    mapped: bool = False


@dataclass(frozen=True, slots=True)
class Naming:
    """How another program names (and turns) the tensors of a model.

    Attributes:
        fits: whether tensors with these names and shapes are named so.
        translate: the same archive under official names; transposes are undone in `get`, tensor by tensor.
    """

    fits: Callable[[Shapes], bool]
    translate: Callable[[Archive], Archive]


def _open_pth(path: Path) -> Archive:
    from engine.weights.pth import open_pth

    return open_pth(path)


def _open_safetensors(path: Path) -> Archive:
    from engine.weights.safetensors_file import open_safetensors

    return open_safetensors(path)


def _open_folder(path: Path) -> Archive:
    from engine.weights.hugging_face_folder import open_folder

    return open_folder(path)


def _open_gguf(path: Path) -> Archive:
    from engine.weights.gguf import open_gguf

    return open_gguf(path)


# container → reader; `_kind` tells which
READERS: dict[str, Callable[[Path], Archive]] = {
    "pth": _open_pth,
    "safetensors": _open_safetensors,
    "gguf": _open_gguf,
    "folder": _open_folder,
}

# naming → translation; the first that fits what a container holds, none of them for official names
NAMINGS: dict[str, Naming] = {
    "hf-fla": Naming(hugging_face.is_fla, hugging_face.from_fla),
    "hf-native": Naming(hugging_face.is_native, hugging_face.plain("hf-native")),
    "hf-rwkv6": Naming(hugging_face.is_rwkv6, hugging_face.plain("hf-rwkv6")),
    "hf-rwkv5": Naming(hugging_face.is_rwkv5, hugging_face.plain("hf-rwkv5")),
    "hf-rwkv4": Naming(hugging_face.is_rwkv4, hugging_face.plain("hf-rwkv4")),
    "web-rwkv": Naming(web_rwkv.fits, web_rwkv.translate),
}

# a file's first bytes → its reader
_MAGIC: dict[bytes, str] = {
    b"PK\x03\x04": "pth",
    b"GGUF": "gguf",
}

# a file in a folder → the folder's reader
_FOLDER_SIGNS: dict[str, str] = dict.fromkeys(
    (
        "config.json",
        "model.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
    ),
    "folder",
)

# a file's first bytes → a hint for formats that are known and not read
_KNOWN_STRANGERS = {
    b"\x80\x02": "legacy-pickle",  # torch.save before 1.6: no zip, cannot be mapped
    b"\x80\x03": "legacy-pickle",
    b"\x80\x04": "legacy-pickle",
    b"<!DOCTYPE": "html",
    b"<html": "html",
    b"version https://git-lfs": "git-lfs-pointer",
}


# names that downloads give to what is not whole yet
_UNFINISHED = {".part", ".incomplete"}


def _folder_kind(path: Path) -> str:
    """A key of `READERS` for a folder."""
    for name, kind in _FOLDER_SIGNS.items():
        if (path / name).is_file():
            return kind
    raise ModelNotFound(str(path))


def _kind(path: Path) -> str:
    """A key of `READERS`, told from the first bytes; the name decides only where they are damaged."""
    if path.suffix in _UNFINISHED:
        raise UnsupportedFormat(str(path), "unfinished")
    with path.open("rb") as file:
        start = file.read(32)
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            return kind
    for magic, hint in _KNOWN_STRANGERS.items():
        if start.startswith(magic):
            raise UnsupportedFormat(str(path), hint)
    if start[8:9] == b"{" or path.suffix in {".safetensors", ".st"}:
        return "safetensors"
    if path.suffix in {".pth", ".pt"} or not start:
        found = f"the bytes {start[:8].hex(' ')}" if start else "an empty file"
        raise WeightsCorrupt(str(path), "byte 0", "a zip archive", found)
    raise UnsupportedFormat(str(path), "unknown")


def _is_text(name: str) -> bool:
    """Whether a name is text: on Linux it may be any bytes, which no database and no other program takes."""
    return name.isascii() or not any("\ud800" <= each <= "\udfff" for each in name)


def open_file(path: Path) -> Archive:
    """One container, under the names that stand in it.  Raises: see `open_archive`."""
    if not _is_text(str(path)):
        raise UnsupportedFormat(str(path), "name-not-text")
    try:
        if path.is_dir():
            kind = _folder_kind(path)
        elif path.is_file():
            kind = _kind(path)
        else:
            raise ModelNotFound(str(path))
        return READERS[kind](path)
    except OSError as error:
        raise DiskFailed(str(path), error.strerror or str(error)) from error


def _official(archive: Archive) -> Archive:
    """The archive under official names, whoever named it, without a tuned state merged in."""
    fitting = (naming for naming in NAMINGS.values() if naming.fits(archive.shapes))
    naming = next(fitting, None)
    return without_state(naming.translate(archive) if naming else archive)


def open_archive(path: Path) -> Archive:
    """Opens `path`, a file or a folder, whatever its name.

    Raises:
        ModelNotFound: nothing there, or a folder without a model.
        DiskFailed: it is there and cannot be read.
        UnsupportedFormat, WeightsCorrupt.
    """
    return _official(open_file(path))
