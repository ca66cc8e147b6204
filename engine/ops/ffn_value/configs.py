"""How large the pieces are that `triton_sparse` reads, for each class of cards: fixed, nothing is tuned."""

from __future__ import annotations

from typing import NamedTuple

from engine.ops.cards import NO_CARD, Card


class SparseConfig(NamedTuple):
    """columns of a program (bytes of a row's piece: a memory sector or two), rows at once, warps."""

    columns: int
    rows: int
    warps: int


# (class, form's group): not measured yet
CONFIGS: dict[tuple[int, int], SparseConfig] = {
    (NO_CARD, 0): SparseConfig(32, 32, 4),
    (NO_CARD, 64): SparseConfig(32, 32, 4),
    (NO_CARD, 32): SparseConfig(32, 32, 4),
    (75, 0): SparseConfig(16, 256, 8),
    (75, 64): SparseConfig(32, 128, 8),
    (75, 32): SparseConfig(32, 128, 8),
    (80, 0): SparseConfig(16, 512, 8),
    (80, 64): SparseConfig(32, 256, 8),
    (80, 32): SparseConfig(32, 256, 8),
}


def sparse_config(card: Card, width: int, group: int) -> SparseConfig:
    """The row of the newest class that is not newer than the card; wide matrices have enough programs."""
    newest = max(sm for sm, form in CONFIGS if form == group and sm <= card.sm)
    found = CONFIGS[newest, group]
    wide = width >= 2 * card.processors * found.columns and found.columns < 32
    return found._replace(columns=2 * found.columns, rows=found.rows // 2) if wide else found
