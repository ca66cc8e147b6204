"""How large the pieces are that `triton_sparse` reads, for each class of cards: fixed, nothing is tuned."""

from __future__ import annotations

from typing import NamedTuple

from engine.ops.cards import NO_CARD, Card


class SparseConfig(NamedTuple):
    """What a program takes.

    Attributes:
        columns: of the result: 16 to 64 bytes of each row, one or two sectors of memory.
        loads: of 16 bytes, that each thread has on their way at once.
        warps: of a program.
        listed: hidden units that are looked at in one go.
    """

    columns: int
    loads: int
    warps: int
    listed: int

    def rows(self, group: int) -> int:
        """Rows that are read at once."""
        piece = {0: 2 * self.columns, 64: self.columns, 32: self.columns // 2}[group]
        return self.warps * 32 * 16 * self.loads // piece


REGISTERS = 168  # of a thread
WIDEST = 32  # columns that share one scale in every form

# (class, form's group): not measured yet
CONFIGS: dict[tuple[int, int], SparseConfig] = {
    (NO_CARD, 0): SparseConfig(32, 1, 4, 128),
    (NO_CARD, 64): SparseConfig(32, 1, 4, 128),
    (NO_CARD, 32): SparseConfig(32, 1, 4, 128),
    (75, 0): SparseConfig(16, 4, 8, 8192),
    (75, 64): SparseConfig(32, 2, 8, 8192),
    (75, 32): SparseConfig(32, 1, 8, 8192),
}


def sparse_config(card: Card, width: int, group: int) -> SparseConfig:
    """The newest class that is not newer than the card; wider pieces if not all programs run at once."""
    newest = max(sm for sm, form in CONFIGS if form == group and sm <= card.sm)
    found = CONFIGS[newest, group]
    wide = width > card.processors * found.columns and found.columns < WIDEST
    return found._replace(columns=2 * found.columns) if wide else found
