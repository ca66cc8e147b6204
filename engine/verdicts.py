"""What is remembered of checks of the fast path: a file in the cache folder, read without torch.

A check that is running stands in the file with its process. If that process has ended and the entry is still
there, the check has taken it along: such kernels are not tried again.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.durable import into_place

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = Path("kernels") / "verdicts.json"
KEPT = 64  # verdicts; older ones are forgotten


@dataclass(frozen=True, slots=True)
class Combination:
    """What a verdict depends on.

    Attributes:
        card: its name and compute capability.  driver: its version.  torch, triton: theirs.
        kernels: hash of the kernels' sources.  model: its dimensions and tier.
    """

    card: str
    driver: str
    torch: str
    triton: str
    kernels: str
    model: str

    @property
    def key(self) -> str:
        return hashlib.sha256("\0".join(asdict(self).values()).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a check.

    Attributes:
        reason: "" if the fast path computes what the plain one does; else a `engine.nvidia.Reason`.
        detail: a line for those who look into it.
        card: as in `Combination`.
    """

    reason: str = ""
    detail: str = ""
    card: str = ""


class Verdicts:
    """The file below one cache folder; None: verdicts are forgotten with this object."""

    def __init__(self, cache: Path | None) -> None:
        self._path = cache / FILE if cache else None
        self._held: dict[str, Any] = {}

    def find(self, of: Combination) -> Verdict | None:
        """None where nothing is known, or another process is checking just now."""
        found = self._read().get(of.key)
        if not found:
            return None
        if "process" in found:
            return None if _runs(found["process"]) else Verdict("crashed", "", of.card)
        return Verdict(found["reason"], found["detail"], found["card"])

    def begin(self, of: Combination) -> None:
        """A check begins in this process."""
        self._put(of.key, {"process": os.getpid()})

    def keep(self, of: Combination, verdict: Verdict) -> None:
        """A check has ended."""
        self._put(of.key, asdict(verdict))

    def forget(self, of: Combination) -> None:
        """A check has ended without an outcome."""
        self._put(of.key, None)

    def all(self) -> tuple[Verdict, ...]:
        """Every outcome, oldest first."""
        rows = [each for each in self._read().values() if "reason" in each]
        return tuple(Verdict(each["reason"], each["detail"], each["card"]) for each in rows)

    def _read(self) -> dict[str, Any]:
        """The valid rows of the file; a damaged file is an empty one."""
        if self._path is None:
            return dict(self._held)
        try:
            rows = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        return {key: row for key, row in rows.items() if _valid(row)} if isinstance(rows, dict) else {}

    def _put(self, key: str, row: Mapping[str, Any] | None) -> None:
        """Writes the file anew; without room for it nothing is remembered."""
        rows = {each: held for each, held in self._read().items() if each != key}
        if row is not None:
            rows[key] = dict(row)
        self._held = dict(list(rows.items())[-KEPT:])
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part = self._path.with_suffix(f".{os.getpid()}.part")
            part.write_text(json.dumps(self._held), encoding="utf-8")
            into_place(part, self._path)
        except OSError:
            return


def _valid(row: object) -> bool:
    if not isinstance(row, dict):
        return False
    texts = [row.get(name) for name in ("reason", "detail", "card")]
    return isinstance(row.get("process"), int) or all(isinstance(each, str) for each in texts)


def _runs(process: int) -> bool:
    """Whether another process of this number is there; our own would have ended its check.

    Windows is not asked, since asking ends a process there.
    """
    if process == os.getpid():
        return False
    if sys.platform == "win32":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is another person's
        return True
    return True
