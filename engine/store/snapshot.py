"""One state as one safetensors file with a checked header: enough to continue exactly.

The file is an ordinary safetensors file. Its metadata names everything the state depends on, and ends in a
checksum over the metadata, the tensor table and the tensor bytes. The whole file is read at once, into memory
that becomes the tensors'; its size is checked before it gets any.
"""

from __future__ import annotations

import json
import math
import stat
from dataclasses import dataclass, fields
from io import FileIO
from typing import TYPE_CHECKING, Any

import torch

from engine.errors import StateCorrupt, StateMismatch
from engine.models.state import State
from engine.sampling import SamplerState
from engine.store.checksum import FIELD, checksum, holds

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from engine.types import StateKey, TokenIds

LAYOUT = "1"  # raise when the meaning of anything in a snapshot changes
FORMATTER = "1"  # raise when the same tokens would be released as other text
MAX_HEADER = 16 << 20

_DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "F64": torch.float64}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_NOT_BEGUN = SamplerState()

Layout = dict[str, tuple[torch.dtype, tuple[int, ...]]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A place in a chain of tokens from which a reply can be drawn or continued.

    Attributes:
        length: tokens of the chain that `key.prefix` names, pending ones included.
        state: of batch 1; has consumed `length` tokens less the pending ones.
        pending: the chain's last tokens, at least one.
        sampler: of the reply that ends here (all zero at the end of a prompt).
        carry: bytes of an incomplete last character.
    """

    key: StateKey
    length: int
    state: State
    pending: TokenIds
    sampler: SamplerState = _NOT_BEGUN
    carry: bytes = b""


def layout_of(state: State) -> Layout:
    """Names, dtypes and shapes of a state's tensors."""
    return {name: (x.dtype, tuple(x.shape)) for name, x in state.tensors.items()}


# ------------------------------------------------------------------------------------------------ writing


def to_bytes(snapshot: Snapshot) -> bytes:
    """The file's content; the tensors may be anywhere and of any strides."""
    table: dict[str, Any] = {}
    parts: list[bytes] = []
    at = 0
    for name, x in snapshot.state.tensors.items():
        data = x.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()
        table[name] = {
            "dtype": _CODES[x.dtype],
            "shape": list(x.shape),
            "data_offsets": [at, at + len(data)],
        }
        at += len(data)
        parts.append(data)
    header = {"__metadata__": _metadata(snapshot), **table}
    header["__metadata__"][FIELD] = checksum(header, *parts)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return b"".join((len(text).to_bytes(8, "little"), text, *parts))


def _metadata(snapshot: Snapshot) -> dict[str, str]:
    return {
        "layout": LAYOUT,
        "formatter": FORMATTER,
        "arch": snapshot.state.arch,
        **_key_words(snapshot.key),
        "length": str(snapshot.length),
        "pending": json.dumps(snapshot.pending),
        "seed": str(snapshot.sampler.seed),
        "position": str(snapshot.sampler.position),
        "counts": json.dumps(snapshot.sampler.counts),
        "carry": snapshot.carry.hex(),
    }


def _key_words(key: StateKey) -> dict[str, str]:
    """By name; `dataclasses.asdict` would copy each deeply."""
    return {f"key.{each.name}": getattr(key, each.name) for each in fields(key)}


# ------------------------------------------------------------------------------------------------ reading


def read(path: Path, key: StateKey, layout: Layout, arch: str) -> Snapshot:
    """The snapshot of `key` at `path`, checked to the last byte.

    Raises:
        StateCorrupt: the file is damaged.  StateMismatch: it belongs to something else or another version.
        OSError: it cannot be read.
    """
    expected = sum(math.prod(shape) * dtype.itemsize for dtype, shape in layout.values())
    data, content = _whole(path, expected)
    begin = len(content) - expected
    header = _parse_header(content[8:begin].tobytes(), path)
    _check(header, key, layout, arch, path)
    if not holds(header, content[begin:]):
        raise StateCorrupt(str(path), "checksum")
    try:
        return _snapshot(header, key, data, layout, arch)
    except (KeyError, ValueError, TypeError) as error:
        raise StateCorrupt(str(path), "metadata") from error


def _whole(path: Path, expected: int) -> tuple[Tensor, memoryview]:
    """The file's bytes, as two views of one memory: 8 of the header's length, the header, `expected` of
    tensors, and none beside them.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for
        raise StateCorrupt(str(path), "not a file")
    size = found.st_size
    wrong = StateCorrupt(str(path), f"size {size}, tensors {expected}")
    if not 8 + 2 <= size - expected <= 8 + MAX_HEADER or (size - expected) % 8:
        raise wrong
    data = torch.empty(size, dtype=torch.uint8)  # a bytearray would be filled with zeros first
    content = memoryview(data.numpy().data)
    with FileIO(path) as file:
        read = file.readinto(content)
    if read != size or int.from_bytes(content[:8], "little") != size - expected - 8:
        raise wrong
    return data, content


def _parse_header(text: bytes, path: Path) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StateCorrupt(str(path), "header") from error
    if not isinstance(header, dict) or not isinstance(header.get("__metadata__"), dict):
        raise StateCorrupt(str(path), "header")
    return header


def _check(header: dict[str, Any], key: StateKey, layout: Layout, arch: str, path: Path) -> None:
    """The metadata must be of this key and version, the table exactly that of `layout`."""
    found = header["__metadata__"]
    wanted = {"layout": LAYOUT, "formatter": FORMATTER, "arch": arch}
    wanted |= _key_words(key)
    for name, value in wanted.items():
        if found.get(name) != value:
            raise StateMismatch(f"{name} {value}", f"{name} {found.get(name)}")
    at, table = 0, {}
    for name, (dtype, shape) in layout.items():
        end = at + math.prod(shape) * dtype.itemsize
        table[name] = {"dtype": _CODES.get(dtype), "shape": list(shape), "data_offsets": [at, end]}
        at = end
    if {name: entry for name, entry in header.items() if name != "__metadata__"} != table:
        raise StateCorrupt(str(path), "tensor table")


def _snapshot(header: dict[str, Any], key: StateKey, data: Tensor, layout: Layout, arch: str) -> Snapshot:
    """Its tensors share the memory of `data`."""
    metadata = header["__metadata__"]
    tensors: dict[str, Tensor] = {}
    at = len(data) - sum(math.prod(shape) * dtype.itemsize for dtype, shape in layout.values())
    for name, (dtype, shape) in layout.items():
        count = math.prod(shape)
        end = at + count * dtype.itemsize
        tensors[name] = data[at:end].view(dtype).reshape(shape)
        at = end
    pending = tuple(int(token) for token in json.loads(metadata["pending"]))
    counts = tuple((int(token), float(count)) for token, count in json.loads(metadata["counts"]))
    length = int(metadata["length"])
    if not 1 <= len(pending) <= length:
        raise ValueError("pending")
    sampler = SamplerState(int(metadata["seed"]), int(metadata["position"]), counts)
    return Snapshot(key, length, State(arch, tensors), pending, sampler, bytes.fromhex(metadata["carry"]))
