"""What can be done about a problem, by the type of its error: the likeliest first. The app has an action
`problem('<name>')` for each, and the command palette offers all of them.
"""

from __future__ import annotations

ACTIONS = ("retry", "free", "log", "diagnostics")
USUAL = ("retry", "log")
BY_TYPE: dict[str, tuple[str, ...]] = {
    "OutOfMemory": ("free", "retry"),
    "MemoryError": ("free", "retry"),
    "WorkerDied": ("retry", "free", "log"),
    "Unexpected": ("log", "diagnostics", "retry"),
    "NotFinite": ("log", "retry"),
}


def actions_for(error: BaseException) -> tuple[str, ...]:
    """Names of what can be done now."""
    return BY_TYPE.get(type(error).__name__, USUAL)
