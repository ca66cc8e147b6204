"""A run in a child process that is watched. The functions of this module are what the child does."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.children import warm

if TYPE_CHECKING:
    from collections.abc import Callable

REFUSED, LEFT_OPEN = 9, 8  # exit codes
SECONDS = 300.0  # a child may take, on a machine that does ten other things


def exit_code(work: Callable[..., None], *arguments: object) -> int | None:
    """Of a process of its own that does this."""
    process = warm().Process(target=work, args=arguments)  # pyright: ignore[reportAttributeAccessIssue]  every context has one
    process.start()
    process.join(SECONDS)
    return process.exitcode


def killed(folder: str, step: int) -> None:
    """Ends this process with SIGKILL within that step (from 1): its loss is computed, nothing is learnt."""
    import torch

    taken = 0
    original = torch.optim.AdamW.step

    def counted(self: torch.optim.AdamW, *args: object) -> object:
        nonlocal taken
        taken += 1
        if taken == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, *args)  # pyright: ignore[reportArgumentType]

    torch.optim.AdamW.step = counted  # pyright: ignore[reportAttributeAccessIssue]
    _main(folder)


def without_sockets(folder: str) -> None:
    """Fails where a socket is made, in Python or below it."""
    before = _open_sockets()
    sys.addaudithook(_refuse)
    code = _main(folder)
    os._exit(LEFT_OPEN if _open_sockets() - before else code)


def _main(folder: str) -> int:
    import torch

    from engine.tune.__main__ import main

    torch.set_num_threads(1)
    return main([folder])


def _refuse(event: str, _: tuple[object, ...]) -> None:
    if event.startswith("socket."):
        os._exit(REFUSED)


def _open_sockets() -> set[str]:
    found = set()
    for each in Path("/proc/self/fd").iterdir():
        try:
            target = str(each.readlink())
        except OSError:  # the listing's own
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found
