"""An archive under other names: each official tensor is a stored one, perhaps turned, or a row of one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.errors import WeightsCorrupt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from engine.weights.archive import Archive

    Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where an official tensor comes from.

    Attributes:
        name: the stored tensor's.
        row: only this row of its first axis; None for the whole.
        turned: the last two axes are swapped.
    """

    name: str
    row: int | None = None
    turned: bool = False

    def shape(self, stored: Shape) -> Shape:
        """The official shape; a tensor with too few axes keeps its own, and is refused by name later."""
        if self.row is not None:
            return stored[1:] if stored and self.row < stored[0] else stored
        if not self.turned or len(stored) < 2:
            return stored
        *before, rows, columns = stored
        return (*before, columns, rows)

    def value(self, stored: Tensor) -> Tensor:
        """A view of the stored tensor."""
        if self.row is not None:
            return stored[self.row] if stored.ndim and self.row < stored.shape[0] else stored
        return stored.transpose(-1, -2) if self.turned and stored.ndim > 1 else stored


def renamed(archive: Archive, sources: Mapping[str, Source], format: str) -> Archive:  # noqa: A002  the field's name
    """`archive` with the names of `sources`.

    Raises:
        WeightsCorrupt: a stored tensor is in nobody's place (two of them had the same official name).
    """
    taken = {source.name for source in sources.values()}
    for name in archive.shapes.keys() - taken:
        raise WeightsCorrupt(str(archive.path), name[:80], "a name of its own", "another tensor's")
    shapes = {name: source.shape(archive.shapes[source.name]) for name, source in sources.items()}

    def get(name: str) -> Tensor:
        source = sources[name]
        return source.value(archive.get(source.name))

    return replace(archive, shapes=shapes, get=get, format=format)
