"""How all this is compiled: sums may be taken in any order, as vectors need; NaN stays NaN."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from numba import cfunc, config, int64, njit, void
from numba.extending import intrinsic

from engine.ops.token7 import code_folder

if TYPE_CHECKING:
    from collections.abc import Callable

ARGUMENTS = 8  # of a kernel

# not "nnan" and "ninf": what is no number must show
_OPTIONS: dict[str, Any] = {
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},
    "error_model": "numpy",
    "boundscheck": False,
}

_folder = code_folder()
config.CACHE_DIR = str(_folder or "")  # pyright: ignore[reportAttributeAccessIssue]  made while imported

compiled: Any = njit(nogil=True, **_OPTIONS)
# the machine's code stays on disk, with all that it calls
kept: Any = njit(nogil=True, cache=_folder is not None, **_OPTIONS)


emitted: Any = (
    intrinsic  # a function of LLVM's instructions; Any, since no type checker knows what it becomes
)


class kernel:  # noqa: N801  a decorator
    """A function of eight int64 that is called by its address; compiled, or read from disk, when wanted.

    What calls it is compiled without it: that takes a fraction of the time.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self._function = function

    @cached_property
    def _made(self) -> Any:
        return cfunc(void(*[int64] * ARGUMENTS), cache=_folder is not None, **_OPTIONS)(self._function)

    @property
    def address(self) -> int:
        return self._made.address
