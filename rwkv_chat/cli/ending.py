"""How a run ends: its exit code, and one sentence where it failed. No click here: the full-screen program
starts without it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rwkv_chat.cli.output import abandon_stdout, note, prepare_streams

if TYPE_CHECKING:
    from collections.abc import Callable


def ended(work: Callable[[], object], *, debug: bool = False) -> int:
    """Do it; the exit code. Never raises, never shows a traceback unless `debug` is given."""
    prepare_streams()
    try:
        code = work()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader left
        abandon_stdout()
        return 0
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as error:
        return _explained(error, debug=debug)
    return code if isinstance(code, int) else 0


def _interrupted() -> int:
    from rwkv_chat.explain import INTERRUPTED

    note("")
    return INTERRUPTED


def _explained(error: Exception, *, debug: bool) -> int:
    from rwkv_chat.cli.last_resort import tell

    return tell(error, debug=debug)
