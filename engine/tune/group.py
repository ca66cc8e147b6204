"""The processes that tune together: one, or those that `torchrun` has started."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import distributed

if TYPE_CHECKING:
    from engine.tune.subject import Subject


class Alone:
    """One process: nobody to agree with. It opens no socket."""

    rank, size, local_rank = 0, 1, 0

    def wrapped(self, subject: Subject) -> torch.nn.Module:
        """What is called in the subject's place for a loss whose gradient is wanted."""
        return subject

    def unsynced(self, module: torch.nn.Module) -> AbstractContextManager[None]:  # noqa: ARG002
        """Inside, gradients add up here and are told to nobody."""
        return nullcontext()

    def sum(self, *numbers: float) -> tuple[float, ...]:
        """Over all processes, in their order."""
        return numbers

    def close(self) -> None: ...


class Torchrun(Alone):
    """One process of several, which average gradients by PyTorch's `DistributedDataParallel`."""

    def __init__(self, device: str) -> None:
        """Joins the others: NCCL where they compute on cards, else gloo."""
        self._cards = device != "cpu" and torch.cuda.is_available()
        self.local_rank = distributed.get_node_local_rank(0)  # pyright: ignore[reportPrivateImportUsage]
        if self._cards:
            torch.cuda.set_device(self.local_rank)
        distributed.init_process_group("nccl" if self._cards else "gloo")
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()

    def wrapped(self, subject: Subject) -> torch.nn.Module:
        return torch.nn.parallel.DistributedDataParallel(subject, broadcast_buffers=False)

    def unsynced(self, module: torch.nn.Module) -> AbstractContextManager[None]:
        return module.no_sync()  # pyright: ignore[reportCallIssue]  the wrapped one has it

    def sum(self, *numbers: float) -> tuple[float, ...]:
        device = f"cuda:{self.local_rank}" if self._cards else "cpu"
        together = torch.tensor(numbers, dtype=torch.float64, device=device)
        distributed.all_reduce(together)
        return tuple(together.tolist())

    def close(self) -> None:
        distributed.destroy_process_group()


def join(device: str) -> Alone:
    """Those that `torchrun` started with this process; alone without it."""
    return Torchrun(device) if distributed.is_torchelastic_launched() else Alone()


def end(code: int) -> None:
    """Ends one of several processes at once, when its files are closed; one alone goes on.

    One has been seen to be aborted by threads of PyTorch's, as if the interpreter had been taken down around
    them.
    """
    if distributed.is_torchelastic_launched():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
