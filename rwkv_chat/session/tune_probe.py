"""How fast a run will be: a few steps of it are measured, on rows of the same lengths that say nothing."""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError
from engine.tune import rows
from engine.tune.folder import Folder
from rwkv_chat.paths import with_our_modules
from rwkv_chat.session.errors import TuneDamaged
from rwkv_chat.session.tune_child import TUNE
from rwkv_chat.session.tune_folder import read_json, toml_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.types import TuneConfig

RESULT = "probe.json"
LONGEST_SECONDS = 40.0  # a model that does not take one row in that time is measured by its run
ROWS = 64  # so many of them, evenly chosen
LEARNT_ID = 1  # of any vocabulary


def measured(config: TuneConfig, lengths: Sequence[int], folder: Path) -> float | None:
    """Tokens per second, None where it could not be found out; blocks for seconds.

    Args:
        lengths: tokens of each training row.  folder: for what is gone again at the end.
    """
    with suppress(OSError, EngineError, TuneDamaged), _temporary(folder) as name:
        place = Folder(Path(name))
        some = lengths[:: max(1, len(lengths) // ROWS)]
        rows.write(place.train, (([LEARNT_ID] * n, [1.0] * n) for n in map(_longer, some)))
        place.config.write_text(toml_of(config), encoding="utf-8")
        _probe(name)
        found = read_json(place.path / RESULT)
        speed = found.get("tokens_per_second") if isinstance(found, dict) else None
        return float(speed) if isinstance(speed, int | float) and speed > 0 else None
    return None


def _probe(folder: str) -> None:
    """Until it has ended, or for so long: it tells after every step how fast it was."""
    quiet = subprocess.DEVNULL
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(  # noqa: S603  our own module, on a folder that we wrote
            [*TUNE, "--probe", folder],
            env=with_our_modules(),
            stdin=quiet,
            stdout=quiet,
            stderr=quiet,
            timeout=LONGEST_SECONDS,
            check=False,
        )


def _temporary(folder: Path) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tune-probe-", dir=folder, ignore_cleanup_errors=True)


def _longer(length: int) -> int:
    """A row of one token has nothing to learn."""
    return max(2, length)
