"""Work beside the drawing: the one place where workers are started.

Left to itself, Textual ends the program when a worker raises, or (`exit_on_error=False`) says nothing at all:
neither to the log, nor to the person, who waits for what never comes. Here an error ends the work alone: it
is reported (`rwkv_chat.unforeseen`), and so written down, with its traceback, and told in a sentence.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from rwkv_chat.unforeseen import report

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.dom import DOMNode
    from textual.worker import Worker

    Work = Callable[[], Awaitable[Any]] | Awaitable[Any]


def start_work(node: DOMNode, work: Work, *, group: str = "default", exclusive: bool = False) -> Worker[None]:
    """Have something done beside the drawing. It ends with its node; of an exclusive group only the newest
    goes on.
    """
    return node.run_worker(partial(_reported, work), group=group, exclusive=exclusive)


def start_vital(node: DOMNode, work: Work) -> Worker[Any]:
    """The same for what the program is nothing without: an error ends it, with a sentence."""
    return node.run_worker(work)


async def _reported(work: Work) -> None:
    try:
        await (work() if callable(work) else work)
    except Exception as error:
        report(error)
