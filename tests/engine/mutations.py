"""Damage and malice for the files of a model: each mutation takes bytes and a seeded generator.

A model is a dict from file names (in a folder) to bytes; `mutated` changes one or several of them.
"""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

Files = dict[str, bytes]

# numbers that break arithmetic: signs, borders of 16, 31, 32, 63 and 64 bits, and what lies beside
INTERESTING = (0, 1, 2, 7, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**47)
INTERESTING += (2**62, 2**63 - 1, 2**63, 2**64 - 1, -1, -2, -(2**31), -(2**63), 10**30)

# ------------------------------------------------------------------------------------------------ any bytes


def flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        changed[_place(changed, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _place(data: bytes | bytearray, rng: random.Random) -> int:
    """Mostly near the ends, where headers and directories are."""
    near = min(len(data), rng.choice((16, 300, 3000, len(data))))
    at = rng.randrange(near)
    return at if rng.random() < 0.6 else len(data) - 1 - at


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: _place(data, rng)]


def repeated(data: bytes, rng: random.Random) -> bytes:
    at, length = _place(data, rng), rng.randint(1, 300)
    return data[:at] + data[at : at + length] * rng.randint(2, 5) + data[at + length :]


def removed(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + rng.randint(1, 100) :]


def appended(data: bytes, rng: random.Random) -> bytes:
    return data + rng.choice((b"\0", b"PK\x05\x06" + bytes(18), rng.randbytes(100), data))


def numbered(data: bytes, rng: random.Random) -> bytes:
    """An integer of 2, 4 or 8 bytes is overwritten by an interesting one."""
    width = rng.choice((2, 4, 8))
    number = rng.choice((*INTERESTING, len(data), len(data) - 1)) % (1 << 8 * width)
    at = min(_place(data, rng), max(0, len(data) - width))
    return data[:at] + number.to_bytes(width, "little") + data[at + width :]


def not_numbers(data: bytes, rng: random.Random) -> bytes:
    """NaN and infinity of every width, at places where weights may be."""
    at = len(data) // 4 + rng.randrange(max(1, len(data) // 2)) & ~3
    pattern = rng.choice((b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\0\0\x80\xff", b"\xc0\x7f\xc0\x7f"))
    return data[:at] + pattern + data[at + 4 :]


ANY: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flipped,
    flipped,
    cut,
    repeated,
    removed,
    appended,
    numbered,
    numbered,
    not_numbers,
)

# ----------------------------------------------------------------------------------------------------- JSON


def json_text(text: bytes, rng: random.Random) -> bytes:
    """A JSON document with one or two values replaced, doubled names, or depths and lengths of no use."""
    try:
        tree = json.loads(text)
    except ValueError:
        return flipped(text, rng)
    kind = rng.random()
    if kind < 0.08:
        return rng.choice((b"[" * 100_000, b'{"a":' * 50_000, b"{}", b"[]", b"null", b"1", b'"x"', b""))
    if kind < 0.16:
        return b'{"a":' + b"9" * rng.choice((20, 5000)) + b"," + text.lstrip()[1:]
    if kind < 0.24 and isinstance(tree, dict) and tree:
        name = rng.choice(list(tree))
        return f"{{{json.dumps(name)}:{json.dumps(tree[name])},".encode() + text.lstrip()[1:]
    for _ in range(rng.randint(1, 2)):
        _replace(tree, rng)
    return json.dumps(tree).encode()


def _replace(tree: Any, rng: random.Random) -> None:
    """One value somewhere in the tree."""
    while isinstance(tree, dict | list) and tree:
        key = rng.choice(list(tree)) if isinstance(tree, dict) else rng.randrange(len(tree))
        child = tree[key]  # pyright: ignore[reportArgumentType, reportCallIssue]
        if not isinstance(child, dict | list) or not child or rng.random() < 0.25:
            tree[key] = _odd(child, rng)  # pyright: ignore[reportArgumentType, reportCallIssue]
            return
        tree = child


def _odd(value: Any, rng: random.Random) -> Any:
    others = (None, True, [], {}, "", "x" * 300, "../../etc/passwd", "/etc/passwd", "..", "a\0b", "\ud800")
    numbers = (*INTERESTING, 0.5, 1e308, float("nan"))
    if isinstance(value, int) and rng.random() < 0.8:
        return rng.choice((*numbers, value + 1, value - 1, value * 2))
    if isinstance(value, list) and rng.random() < 0.6:
        return rng.choice((value + value, value[:-1], value * 100, [*value, -1], [0] * 50))
    if isinstance(value, str) and rng.random() < 0.3:
        return rng.choice(("F64", "I8", "BOOL", "F16", "BF16", "F8_E4M3", value.upper(), value[:-1]))
    return rng.choice(others + numbers)


def safetensors(data: bytes, rng: random.Random) -> bytes:
    """The header's JSON, its length, or the data behind it."""
    length = int.from_bytes(data[:8], "little")
    header, body = data[8 : 8 + length], data[8 + length :]
    changed = json_text(header, rng)
    said = len(changed) if rng.random() < 0.9 else rng.choice(INTERESTING) % 2**64
    return said.to_bytes(8, "little") + changed + body


# ------------------------------------------------------------------------------------------- zip and pickle

CODE = (
    b"cos\nsystem\nX%s\x85R0",
    b"cposix\nsystem\nX%s\x85R0",
    b"cbuiltins\neval\nX%s\x85R0",
    b"c__builtin__\nexec\nX%s\x85R0",
    b"(X%sios\nsystem\n0",
    b"\x8c\x02os\x8c\x06system\x93X%s\x85R0",
    b"ctorch.hub\nload\nX%s\x85R0",
    b"ctorch.storage\n_load_from_bytes\nX%s\x85R0",
    b"ccollections\nOrderedDict\nX%s\x85R0",
    b"csubprocess\nPopen\nX%s\x85R0",
)


def with_code(data: bytes, rng: random.Random, canary: str) -> bytes:
    """A pickle that would make `canary`, were it run: alone, in front, or behind all that was there."""
    command = f"touch {canary}".encode()
    call = rng.choice(CODE)
    if b"eval" in call or b"exec" in call:
        command = f"__import__('os').system('touch {canary}')".encode()
    call = call.replace(b"%s", struct.pack("<I", len(command)) + command)
    at = rng.choice((2, data.find(b"}") + 1, len(data) - 1))
    if rng.random() < 0.2:
        return pickle.dumps({"emb.weight": _Malicious(command.decode())}, protocol=rng.randint(0, 5))
    return data[:at] + call + data[at:]


class _Malicious:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        import os

        return os.system, (self.command,)


def pickled(data: bytes, rng: random.Random, canary: str) -> bytes:
    """The table of tensors: code, damage, or endless stacks."""
    kind = rng.random()
    if kind < 0.5:
        return with_code(data, rng, canary)
    if kind < 0.6:
        many = rng.choice((b"}", b"]", b"(", b")\x85", b"2", b"K\x01\x85", b"N0"))
        return data[:2] + many * rng.choice((1000, 300_000)) + data[2:]
    if kind < 0.75:
        return numbered(data, rng)
    return flipped(data, rng)


def zipped(data: bytes, rng: random.Random, canary: str) -> bytes:
    """Rebuilt with right checksums, so that what is inside is reached; or a directory that lies."""
    try:
        entries = _entries(data)
    except (zipfile.BadZipFile, ValueError, OSError):
        return flipped(data, rng)
    kind = rng.random()
    name = rng.choice(list(entries))
    table = next((each for each in entries if each.endswith("data.pkl")), name)
    if kind < 0.4:
        entries[table] = pickled(entries[table], rng, canary)
    elif kind < 0.5:
        return _directory(data, rng)
    elif kind < 0.6:
        entries[name] = rng.choice((cut, not_numbers, repeated, flipped))(entries[name] or b"\0", rng)
    elif kind < 0.65:
        entries[name] = _packed({"a": bytes(1000), "data.pkl": entries[table]}, rng)
    elif kind < 0.7:
        entries[rng.choice(("../evil", "/etc/evil", "a/../../b", "x" * 3000, "archive/data.pkl"))] = b"x"
    elif kind < 0.75:
        entries[table] = bytes(rng.choice((1000, 30_000_000)))
        return _packed(entries, rng, zipfile.ZIP_DEFLATED)
    elif kind < 0.8:
        entries = {f"{name}{i}": b"" for i in range(rng.choice((10, 50_000)))} | entries
    elif kind < 0.9:
        return _twice(data, name)
    else:
        del entries[name]
    return _packed(entries, rng)


def _entries(data: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _packed(entries: Files, rng: random.Random, method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


def _twice(data: bytes, name: str) -> bytes:
    """An entry stands in the directory twice: two names for one piece of data."""
    at = data.find(b"PK\x01\x02")
    end = data.rfind(b"PK\x05\x06")
    row = data[at : data.find(b"PK\x01\x02", at + 4)]
    number = int.from_bytes(data[end + 10 : end + 12], "little") + 1
    size = int.from_bytes(data[end + 12 : end + 16], "little") + len(row)
    tail = data[end : end + 8] + struct.pack("<2HI", number, number, size % 2**32) + data[end + 16 :]
    return data[:at] + row + data[at:end] + tail


def _directory(data: bytes, rng: random.Random) -> bytes:
    """A number in the central directory or in its end."""
    start = data.find(b"PK\x01\x02")
    changed = bytearray(data)
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(start, len(data) - 4)
        changed[at : at + 4] = (rng.choice(INTERESTING) % 2**32).to_bytes(4, "little")
    return bytes(changed)


# ---------------------------------------------------------------------------------------------- whole models


def mutated(files: Files, rng: random.Random, canary: str) -> Files:
    """The model with one file changed, or with files missing, swapped or renamed."""
    files = dict(files)
    name = rng.choice(list(files))
    if len(files) > 1 and rng.random() < 0.1:
        other = rng.choice(list(files))
        files[name], files[other] = files[other], files[name]
        if rng.random() < 0.5:
            del files[name]
        return files
    files[name] = content(files[name], rng, canary)
    return files


def content(data: bytes, rng: random.Random, canary: str) -> bytes:
    """By what the file is: half of the damage knows the format."""
    if not data:
        return rng.randbytes(20)
    if rng.random() < 0.5:
        return rng.choice(ANY)(data, rng)
    if data.startswith(b"PK"):
        return zipped(data, rng, canary)
    if data[8:9] == b"{":
        return safetensors(data, rng)
    if data.lstrip()[:1] in (b"{", b"["):
        return json_text(data, rng)
    return numbered(data, rng)


def checksum(files: Files) -> int:
    """Tells one case from another."""
    return zlib.crc32(b"".join(name.encode() + data for name, data in sorted(files.items())))
