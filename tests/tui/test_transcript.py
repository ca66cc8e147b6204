"""The transcript: a window over long conversations, following the end, selection, and little to draw."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Offset, Size
from textual.selection import Selection

from rwkv_chat.tui.prose.entry import Entry
from rwkv_chat.tui.widgets.sheet import MOST, STEP, WINDOW, Sheet
from rwkv_chat.tui.widgets.transcript import Transcript
from tests.tui.helpers import until
from tests.tui.texts import TEXTS

if TYPE_CHECKING:
    from textual.geometry import Region


class Alone(App[None]):
    """The transcript by itself."""

    CSS = "Transcript { overflow-y: scroll; overflow-x: hidden; scrollbar-size-vertical: 1; }"

    def compose(self) -> ComposeResult:
        yield Transcript()


def entries(count: int, lines: int = 3) -> list[Entry]:
    kinds = ("user", "assistant")
    return [
        Entry(str(at), kinds[at % 2], "\n".join(f"message {at} line {row}" for row in range(lines)), name="N")
        for at in range(count)
    ]


def visible(transcript: Transcript) -> str:
    return "\n".join(transcript.render_line(y).text for y in range(transcript.size.height))


def test_only_a_window_is_laid_out() -> None:
    sheet = Sheet()
    sheet.reset(entries(2000))
    assert sheet.first == 2000 - WINDOW
    rows = len(sheet.rows)
    assert sheet.older() > 0
    assert sheet.first == 2000 - WINDOW - STEP
    assert len(sheet.rows) > rows


def whole(sheet: Sheet) -> list[str]:
    """The window's rows, laid out anew."""
    rows = list(sheet.rows)
    sheet.lay_out(sheet.width)
    assert rows == sheet.rows
    return [row.line.text for row in rows]


@pytest.mark.parametrize("seed", range(4))
def test_a_window_that_moves_has_the_rows_that_it_would_have_had(seed: int) -> None:
    """Whatever comes in at one end and goes at the other, while a reply grows or ends."""
    draw = random.Random(seed)
    sheet = Sheet()
    sheet.reset(entries(150))
    sheet.reserve = draw.choice((0, 60, 400))
    for step in range(120):
        match draw.randrange(9):
            case 0 | 1 | 2:
                sheet.older()
            case 3 | 4:
                sheet.newer()
            case 5:
                draw.choice((sheet.to_end, sheet.to_start))()
            case 6:
                assert sheet.find(str(place := draw.randrange(150))) is not None
                assert sheet.first <= place < sheet.last
            case 7:
                sheet.grow("- point\n")
                sheet.settle()
            case 8 if sheet.live is None:
                sheet.begin(Entry("live", "assistant", "", name="N"))
            case _:
                sheet.finish(Entry(f"new {step}", "assistant", "- point\n- point", name="N"))
        laid_out = sheet.last - sheet.first
        assert laid_out <= MOST + 1 or len(sheet.rows) < sheet.reserve + 200
        shown = whole(sheet)
        for place in (sheet.first, sheet.last - 1):
            assert sheet.entries[place].text.splitlines()[0].replace("- ", "• ") in shown


def test_only_the_open_tail_changes_while_a_reply_grows() -> None:
    sheet = Sheet()
    sheet.reset(entries(4))
    sheet.begin(Entry("live", "assistant", "", name="N", ending="Reading …"))
    text = TEXTS["list"](4000)
    changed = []
    for at in range(0, len(text), 40):
        sheet.grow(text[at : at + 40])
        changed.append(len(sheet.rows) - sheet.settle())
    assert max(changed) <= 4
    sheet.finish(Entry("5", "assistant", text, name="N"))
    assert sheet.live is None


def test_a_reply_may_begin_with_thoughts() -> None:
    sheet = Sheet()
    sheet.reset([])
    sheet.begin(Entry("live", "assistant", "", name="N", ending="Reading …"))
    assert "Reading …" in "\n".join(row.line.text for row in sheet.rows)
    sheet.grow("let me see", thought=True)
    sheet.think(11.2)
    sheet.settle()
    assert [row.line.text for row in sheet.rows][1:2] == ["▸ Thinking … 12 s"]
    sheet.grow("The answer")
    sheet.settle()
    shown = [row.line.text for row in sheet.rows]
    assert "The answer" in shown
    assert "let me see" not in shown
    assert "▸ Thought for 12 s (3 words)" in shown


def test_thoughts_that_were_opened_while_they_grew_stay_open() -> None:
    sheet = Sheet()
    sheet.reset([])
    sheet.begin(Entry("live", "assistant", "", name="N"))
    sheet.grow("let me see", thought=True)
    sheet.toggle("live")
    for grown, thought in (("", True), (" again", True), ("The answer", False), (" goes on", False)):
        sheet.grow(grown, thought=thought)
        sheet.settle()
        assert any("let me see" in row.line.text for row in sheet.rows)
    sheet.finish(Entry("7", "assistant", "The answer goes on", name="N", reasoning="let me see again"))
    shown = [row.line.text for row in sheet.rows]
    assert "let me see again" in shown
    assert "▾ Thoughts (4 words)" in shown
    sheet.toggle("7")
    assert "let me see again" not in [row.line.text for row in sheet.rows]


def test_growing_with_thoughts_equals_laying_out_anew() -> None:
    for opened in (False, True):
        sheet = Sheet()
        sheet.reset(entries(2))
        sheet.begin(Entry("live", "assistant", "", name="N"))
        if opened:
            sheet.toggle("live")
        for at, (grown, thought) in enumerate([("one **two** ", True)] * 9 + [("- item\n", False)] * 9):
            sheet.grow(grown, thought=thought)
            sheet.think(min(at, 9) + 1.0)
            sheet.settle()
            rows = list(sheet.rows)
            sheet.lay_out(sheet.width)
            assert sheet.rows == rows


async def test_the_view_follows_the_end_until_the_reader_scrolls_up() -> None:
    app = Alone()
    async with app.run_test(size=(60, 20)) as pilot:
        transcript = app.query_one(Transcript)
        transcript.show(entries(20))
        transcript.begin(Entry("live", "assistant", "", name="N"))
        transcript.grow("\n".join(f"row {at}" for at in range(40)))
        await until(pilot, lambda: "row 39" in visible(transcript))
        transcript.scroll_pages(-1)
        await pilot.pause()
        held = visible(transcript)
        transcript.grow("\n\n" + "\n".join(f"more {at}" for at in range(40)))
        await until(pilot, lambda: transcript.virtual_size.height == len(transcript.sheet.rows))
        await until(pilot, lambda: "more 39" in transcript.sheet.rows[-2].line.text)
        assert visible(transcript) == held
        transcript.scroll_to(y=transcript.max_scroll_y, animate=False)
        transcript.grow("\n\nlast word")
        await until(pilot, lambda: "last word" in visible(transcript))


async def test_older_messages_come_in_above_and_the_text_in_view_stays() -> None:
    app = Alone()
    async with app.run_test(size=(60, 20)) as pilot:
        transcript = app.query_one(Transcript)
        transcript.show(entries(200))
        await pilot.pause()
        first = transcript.sheet.first
        transcript.scroll_to(y=6, animate=False)
        await pilot.pause()
        transcript.scroll_to(y=3, animate=False)
        await until(pilot, lambda: transcript.sheet.first < first)
        assert f"message {first} line" in visible(transcript)
        for _ in range(40):
            transcript.scroll_to(y=0, animate=False)
            await pilot.pause()
        await until(pilot, lambda: transcript.sheet.first == 0)
        assert "message 0 line 0" in visible(transcript)


async def test_far_away_messages_are_given_up_and_come_again() -> None:
    app = Alone()
    async with app.run_test(size=(60, 20)) as pilot:
        transcript = app.query_one(Transcript)
        transcript.show(entries(300))
        await pilot.pause()
        transcript.to_start()
        await until(pilot, lambda: "message 0 line 0" in visible(transcript))
        seen = {"0", "1", "2", "3"}
        while not transcript.is_vertical_scroll_end or not transcript.sheet.at_end:
            transcript.scroll_pages(1)
            await pilot.pause()
            top, height = transcript.scroll_offset.y, transcript.size.height
            seen |= {row.entry for row in transcript.sheet.rows[top : top + height]}
            assert transcript.sheet.last - transcript.sheet.first <= MOST
        assert seen == {str(at) for at in range(300)}, "every message came by"
        transcript.to_start()
        transcript.begin(Entry("live", "assistant", "", name="N"))
        transcript.grow("here it goes on")
        await until(pilot, lambda: "here it goes on" in visible(transcript))


async def test_a_tall_terminal_is_filled() -> None:
    app = Alone()
    async with app.run_test(size=(60, 150)) as pilot:
        transcript = app.query_one(Transcript)
        transcript.show(entries(300, lines=1))
        await until(pilot, lambda: len(transcript.sheet.rows) >= 150)
        assert "message 299 line 0" in visible(transcript)
        transcript.to_start()
        await until(pilot, lambda: "message 0 line 0" in visible(transcript))
        assert visible(transcript).count("line 0") == 50


async def test_a_new_width_keeps_the_place() -> None:
    app = Alone()
    async with app.run_test(size=(100, 20)) as pilot:
        transcript = app.query_one(Transcript)
        transcript.show(
            [Entry(str(at), "assistant", f"mark{at} " + "word " * 60, name="N") for at in range(20)]
        )
        await pilot.resize_terminal(50, 20)
        await until(pilot, lambda: transcript.sheet.width < 50)
        assert "word" in visible(transcript)
        assert transcript.is_vertical_scroll_end
        transcript.scroll_to(y=transcript.virtual_size.height // 2, animate=False)
        await pilot.pause()
        middle = transcript.sheet.rows[transcript.scroll_offset.y].entry
        await pilot.resize_terminal(90, 20)
        await until(pilot, lambda: transcript.sheet.width > 50)
        assert abs(int(transcript.sheet.rows[transcript.scroll_offset.y].entry) - int(middle)) <= 1


async def test_selected_text_is_copied_without_bars_and_soft_breaks() -> None:
    app = Alone()
    async with app.run_test(size=(40, 20)) as pilot:
        transcript = app.query_one(Transcript)
        sentence = "a sentence that is certainly longer than one row of this narrow terminal"
        transcript.show([Entry("1", "assistant", f"{sentence}\n\n- point", name="N")])
        await pilot.pause()
        everything = transcript.get_selection(Selection(None, None))
        assert everything is not None
        assert everything[0].rstrip("\n") == f"N\n{sentence}\n\n• point"
        part = transcript.get_selection(Selection(Offset(2, 1), Offset(10, 1)))
        assert part == ("sentence", "\n")


async def test_the_mouse_selects_whole_characters_of_the_text() -> None:
    app = Alone()
    async with app.run_test(size=(40, 20)) as pilot:
        transcript = app.query_one(Transcript)
        transcript.show([Entry("1", "user", "你好 world", name="N")])
        await pilot.pause()
        await pilot.mouse_down(Transcript, offset=(3, 1))
        await pilot.hover(Transcript, offset=(8, 1))
        await pilot.mouse_up(Transcript, offset=(8, 1))
        assert app.screen.get_selected_text() == "你好 w"


async def test_a_click_opens_the_thoughts() -> None:
    app = Alone()
    async with app.run_test(size=(60, 20)) as pilot:
        transcript = app.query_one(Transcript)
        transcript.show([Entry("1", "assistant", "answer", name="N", reasoning="hidden thing")])
        await pilot.pause()
        assert "hidden thing" not in visible(transcript)
        await pilot.click(Transcript, offset=(6, 1))
        await until(pilot, lambda: "hidden thing" in visible(transcript))


async def test_growing_repaints_no_more_than_the_changed_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Alone()
    async with app.run_test(size=(60, 20)) as pilot:
        transcript = app.query_one(Transcript)
        transcript.show(entries(1))
        transcript.begin(Entry("live", "assistant", "", name="N"))
        await pilot.pause()
        regions: list[Region] = []
        refresh = transcript.refresh

        def watched(*args: Region, **kwargs: Any) -> Transcript:
            regions.extend(args)
            return refresh(*args, **kwargs)

        monkeypatch.setattr(transcript, "refresh", watched)
        transcript.grow("word ")
        await until(pilot, lambda: regions)
        assert all(region.y >= 4 for region in regions)
        layouts = transcript.screen._layout_updates if hasattr(transcript.screen, "_layout_updates") else 0
        transcript.grow("\n".join("line" for _ in range(30)))
        await until(
            pilot, lambda: transcript.virtual_size == Size(transcript.size.width, len(transcript.sheet.rows))
        )
        assert getattr(transcript.screen, "_layout_updates", 0) == layouts
