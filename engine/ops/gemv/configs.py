"""How large the tiles are, for each class of cards: fixed, so that nothing is tuned at the first start.

A program holds one tile in registers and reads the next meanwhile; what counts is how many bytes are on
their way at once. None of it changes a result by more than the order of a sum.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.ops.cards import NO_CARD, Card
from engine.ops.gemv.matrix import PLAIN


class Config(NamedTuple):
    """For matrices times a vector.

    Attributes:
        plain, int8, int4: numbers of a tile, by the matrix's form.
        warps: of a program.
        resident: programs of one multiprocessor that run at once.
    """

    plain: int
    int8: int
    int4: int
    warps: int
    resident: int


# compute capability → what is best there; not measured yet but on paper: 8 loads of 16 bytes for each thread
CONFIGS: dict[int, Config] = {
    NO_CARD: Config(
        plain=4096, int8=4096, int4=4096, warps=4, resident=2
    ),  # few programs, since each takes long
    75: Config(plain=16_384, int8=16_384, int4=16_384, warps=8, resident=2),
    80: Config(plain=16_384, int8=16_384, int4=32_768, warps=8, resident=2),
    86: Config(plain=16_384, int8=16_384, int4=32_768, warps=8, resident=2),
    89: Config(plain=16_384, int8=16_384, int4=32_768, warps=8, resident=2),
    90: Config(plain=16_384, int8=16_384, int4=32_768, warps=8, resident=2),
    100: Config(plain=16_384, int8=16_384, int4=32_768, warps=8, resident=2),
    120: Config(plain=16_384, int8=16_384, int4=32_768, warps=8, resident=2),
}


REGISTERS = 128  # of a thread: two programs of 8 warps at once, or one of 16
WIDE = 4096  # from here on twice the warps, so that a thread's part of the vector fits


class Shape(NamedTuple):
    """What a kernel is launched with.

    Attributes:
        BLOCK: the width's next power of two.
        R: rows of a tile.
        steps: tiles of a program.
        warps: of a program.
    """

    BLOCK: int
    R: int
    steps: int
    warps: int

    @property
    def span(self) -> int:
        """Rows of a program."""
        return self.R * self.steps


def config_of(card: Card) -> Config:
    """The row of the newest class that is not newer than the card."""
    return CONFIGS[max(sm for sm in CONFIGS if sm <= card.sm)]


def shape_of(card: Card, rows: int, width: int, group: int) -> Shape:
    """For a matrix [rows, width], or several read by one kernel: as many programs as run at once."""
    config = config_of(card)
    BLOCK = max(1 << (width - 1).bit_length(), 2 * group, 16)
    numbers = {PLAIN: config.plain, 64: config.int8, 32: config.int4}[group]
    more = 2 if BLOCK >= WIDE else 1
    R = max(1, min(more * numbers // BLOCK, 1 << (rows - 1).bit_length()))
    programs = card.processors * config.resident // more
    return Shape(BLOCK, R, max(1, -(-rows // (R * programs))), more * config.warps)
