"""Some threads that run one function at the same time, each knowing its number."""

from __future__ import annotations

import threading
import weakref
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Team:
    """The caller is number 0; the others wait for work and end with the team.

    Attributes:
        size: how many they are.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._waiting: list[SimpleQueue[Callable[[int], object] | None]] = [
            SimpleQueue() for _ in range(size - 1)
        ]
        for number, queue in enumerate(self._waiting, 1):
            threading.Thread(target=_work, args=(queue, number), name=f"token-{number}", daemon=True).start()
        weakref.finalize(self, _dismiss, self._waiting)

    def run(self, task: Callable[[int], object]) -> None:
        """`task` sees to it that the caller's call ends last."""
        for queue in self._waiting:
            queue.put(task)
        task(0)


def _work(queue: SimpleQueue[Callable[[int], object] | None], number: int) -> None:
    while (task := queue.get()) is not None:
        task(number)
        del task  # it holds a model's memory


def _dismiss(waiting: list[SimpleQueue[Callable[[int], object] | None]]) -> None:
    for queue in waiting:
        queue.put(None)
