"""Whether kernels may run: where they are wrong or cannot be built, plain operations take their place.

What is set here holds for the thread that sets it: the one that computes.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


class _Here(threading.local):
    allowed = True


_here = _Here()


def usable(x: Tensor) -> bool:
    """Whether an operation on `x` may be a kernel of ours."""
    return x.is_cuda and _here.allowed


def allow(allowed: bool) -> None:
    """From now on kernels may run, or may not."""
    _here.allowed = allowed


@contextmanager
def switched(allowed: bool) -> Iterator[None]:
    """The same for a while."""
    before = _here.allowed
    allow(allowed)
    try:
        yield
    finally:
        allow(before)
