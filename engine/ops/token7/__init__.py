"""RWKV-7's decode step on a CPU as one function of machine code, made by Numba when it is first wanted.

PyTorch's operators for one row of activations read memory at half to four fifths of its rate, and each call
costs a microsecond, of which a layer has fifty. Here a token is one call. Weights are read where they lie, in
every tier of a CPU: nothing is packed, nothing copied. `engine.models.rwkv7_step` is the plain twin.

Importing this loads nothing; `compiled` and what uses it load Numba, `keep_code_in` comes before that.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

__all__ = ["code_folder", "is_there", "is_worth_it", "keep_code_in", "multiplies_bytes"]

BLOCK = 128  # numbers that are taken together
HEAD = 64
SMALLEST = 512  # width from which compiling, seconds once, is worth it

_FOLDER: list[Path] = []


def is_there() -> bool:
    """Whether the compiler is installed."""
    return find_spec("numba") is not None


def is_worth_it(C: int, F: int, N: int) -> bool:
    """Whether models of these sizes (width, hidden units, head) take it: whole blocks, as all released ones
    have, and wide enough.
    """
    whole = C % BLOCK == 0 and F % BLOCK == 0 and N == HEAD
    return whole and C >= SMALLEST and is_there()


def multiplies_bytes() -> bool:
    """Whether this processor has an instruction for products of bytes; without one they are slow here."""
    from engine.ops.token7.simd import byte_product

    return bool(byte_product())


def keep_code_in(cache: Path | None) -> None:
    """From now on machine code is read from, and kept in, a folder of its own below `cache`; None: nowhere.

    Its name tells this folder's text, since the compiler looks at the file of a function and at no other.
    """
    _FOLDER.clear()
    if cache is None:
        return
    text = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    folder = cache / "numba" / hashlib.sha256(text).hexdigest()[:16]
    with suppress(OSError):  # a disk that refuses costs the compilation at every start
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _FOLDER.append(folder)


def code_folder() -> Path | None:
    """Where machine code is kept."""
    return _FOLDER[0] if _FOLDER else None
