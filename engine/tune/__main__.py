"""`python -m engine.tune FOLDER`: runs what the folder asks for; the same under `torchrun`.

`python -m engine.tune --probe FOLDER`: measures speed and memory of a few steps, for the estimate.

Prints nothing: `events.jsonl` tells. Exit codes: 0 it finished or was stopped, 1 it failed, 2 nobody could
be told.
"""

from __future__ import annotations

import sys
from pathlib import Path

from engine.errors import EngineError

FAILED, UNTOLD = 1, 2


def main(arguments: list[str]) -> int:
    match arguments:
        case ["--probe", folder] | [folder] if not folder.startswith("-"):
            return _done(Path(folder), only_probe=len(arguments) > 1)
    return UNTOLD


def _done(folder: Path, *, only_probe: bool) -> int:
    from engine.tune import run
    from engine.tune.group import end

    try:
        if only_probe:
            run.probe(folder)
            return 0
        code = 0 if run.run(folder) else FAILED
        end(code)
        return code
    except EngineError:
        return UNTOLD


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
