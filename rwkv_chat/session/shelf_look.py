"""What lies where it was registered, and what else lies in our folder of models: headers only."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError, ModelNotFound
from rwkv_chat.library.models import ModelRow
from rwkv_chat.session import cards
from rwkv_chat.session.shelf_headers import kind_of, measure, read_header
from rwkv_chat.session.shelf_scan import candidates
from rwkv_chat.session.shelf_types import ShelfEntry

if TYPE_CHECKING:
    from engine.types import ModelSpec
    from engine.weights.fit import Fit

    Looked = tuple[ModelRow, ShelfEntry]

OUR_DEPTH = 1  # a copied model may have a folder of its own


@dataclass(frozen=True, slots=True)
class Look:
    """Looks at weights; nothing here is called on the event loop.

    Attributes:
        folder: ours: downloads, copies, and tokenizers for several models.
        device: for which fits are told, as in the settings.
        offered: short names of the catalogue by file.
    """

    folder: Path
    device: str
    offered: dict[str, str]

    def everything(self, rows: tuple[ModelRow, ...]) -> list[Looked]:
        """Every known model as it lies there now, and what else lies in our folder."""
        known = {row.path for row in rows}
        strays = [
            self.at(self._stray(path))
            for path in candidates(self.folder, OUR_DEPTH)
            if str(path) not in known
        ]
        return [*map(self.at, rows), *(each for each in strays if _is_model(each[1]))]

    def at(self, row: ModelRow) -> Looked:
        """The row brought up to date, and its entry; an error leaves the row as it was."""
        try:
            row = _brought_up(row)
        except EngineError as error:
            return row, self._entry(row, error)
        return row, self._entry(row)

    def builtin(self) -> ShelfEntry:
        """The model that comes with the program."""
        _, entry = self.at(ModelRow(str(cards.builtin().path), "built-in"))
        return entry

    def _stray(self, path: Path) -> ModelRow:
        """A file that nobody registered: a download whose end we did not see, or put there by hand."""
        offer = self.offered.get(path.name, "") if path.parent == self.folder else ""
        return ModelRow(str(path), "downloaded" if offer else "found", offer=offer, added=time.time())

    def _entry(self, row: ModelRow, error: EngineError | None = None) -> ShelfEntry:
        known = cards.Known(row.spec, row.family, row.template, self.folder)
        card = cards.card_for(Path(row.path), known)
        return ShelfEntry(
            card=card,
            source=row.source,
            format=row.format,
            spec=row.spec,
            nbytes=row.nbytes,
            id=row.id,
            offer=row.offer,
            checked=row.checked,
            error=error or cards.tokenizer_missing(card),
            missing=isinstance(error, ModelNotFound),
            fits=fits_of(row.spec, self.device) if row.spec else (),
            added=row.added,
            verified=row.verified,
        )


def fits_of(spec: ModelSpec, device: str) -> tuple[Fit, ...]:
    """What a model would take, by tier."""
    from engine.weights.fit import estimate

    return estimate(spec, device=device)


def _is_model(entry: ShelfEntry) -> bool:
    """Tuned states, adapters and empty folders beside the models are no business of the list."""
    error = entry.error
    if error is None or entry.readable:
        return True
    return not isinstance(error, ModelNotFound) and kind_of(entry.path, error) in ("unsupported", "damaged")


def _brought_up(row: ModelRow) -> ModelRow:
    """Read the header again if the file is not the one that was read. Raises: EngineError."""
    path = Path(row.path)
    nbytes, mark = measure(path)
    if mark == row.mark and row.spec is not None:
        return row
    header = read_header(path)
    row = replace(row, format=header.format, spec=header.spec, nbytes=nbytes, mark=mark)
    return row if not row.mark else replace(row, id="", verified=None)
