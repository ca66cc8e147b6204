"""Characters of several code points, wide ones and combining marks: in cells, and cut between characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len

from rwkv_chat.plain_text import title
from rwkv_chat.tui.cells import cell, short_title
from rwkv_chat.tui.prose.markdown import markdown_lines
from rwkv_chat.tui.prose.wrap import fold, literal_lines
from rwkv_chat.tui.widgets import chat_list, library_list
from rwkv_chat.tui.widgets.chat_list import ChatRow
from rwkv_chat.tui.widgets.library_list import LibraryRow
from tests.tui.helpers import SMALL, opened, until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rwkv_chat.tui.prose.line import Line

CHARACTERS = {
    "family": "👨‍👩‍👧‍👦",
    "rainbow": "🏳️‍🌈",
    "flag": "🇩🇪",
    "skin": "👍🏽",
    "heart": "❤️",
    "keycap": "1️⃣",
    "acute": "e\u0301",
    "two marks": "a\u0323\u0302",
    "dakuten": "か\u3099",
    "hangul": "한",
}
every_character = pytest.mark.parametrize("each", CHARACTERS.values(), ids=CHARACTERS.keys())


def whole(text: str, each: str) -> bool:
    """`text` has whole ones of this character, and nothing of a cut one."""
    return not text.replace(each, "").strip(" …")


@every_character
@pytest.mark.parametrize("width", [1, 2, 3, 7, 24])
def test_a_column_is_as_wide_as_it_says_and_cuts_no_character(each: str, width: int) -> None:
    for number in (1, 5, 30):
        for right in (False, True):
            shown = cell(each * number, width, right=right)
            assert cell_len(shown) == width
            assert whole(shown, each), shown
        assert cell_len(short_title(each * number, width)) <= width
        assert whole(short_title(each * number, width), each)


@every_character
def test_rows_of_text_fit_and_cut_no_character(each: str) -> None:
    for width in (8, 13, 20, 33):
        for text in (each * 40, f"{each} " * 30, f"一{each}" * 20, f"ab{each}cd " * 10):
            for lines in (literal_lines(text, width), markdown_lines(text, width), fold([(text, ())], width)):
                assert max(cell_len(each) for each in rows_of(lines)) <= width
                assert _begins_none_with_a_part(lines, each), (text, width)


def rows_of(lines: Sequence[Line]) -> list[str]:
    return [line.text for line in lines]


def _begins_none_with_a_part(lines: Sequence[Line], each: str) -> bool:
    parts = [each[at:] for at in range(1, len(each))]
    return not any(row.startswith(part) for row in rows_of(lines) for part in parts)


@every_character
def test_lists_keep_their_columns(each: str) -> None:
    for number in (1, 12, 60):
        name = title(each * number)
        assert cell_len(str(chat_list._prompt(ChatRow("a", name), 24))) <= 24
        row = LibraryRow("a", name, date="2026-01-31", tags=(each,), who=each)
        assert cell_len(str(library_list._prompt(row, 60, marked=True))) <= 60


async def test_the_cursor_stands_behind_what_was_typed(tmp_path: Path) -> None:
    """There an input method opens its list."""
    async with opened(tmp_path, size=SMALL) as (app, pilot, screen):
        box = screen.prompt
        await until(pilot, lambda: box.has_focus)
        for each in CHARACTERS.values():
            box.text = each * 3
            box.move_cursor(box.document.end)
            await pilot.pause()
            assert box.cursor_screen_offset.x - box.content_region.x == cell_len(each * 3)
            assert app.cursor_position == box.cursor_screen_offset
