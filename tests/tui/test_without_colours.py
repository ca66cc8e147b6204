"""Nothing is told by a colour alone: none is sent where nobody wants any (`NO_COLOR`), and whatever a colour
says of a state, a word or a mark says too.
"""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import pytest
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.geometry import Region
from textual.widgets import Input, OptionList

from engine.errors import OutOfMemory
from rwkv_chat.session import tune_types
from rwkv_chat.session.examples_types import Example, Piece
from rwkv_chat.session.token_scores import TokenRow
from rwkv_chat.texts import say
from rwkv_chat.tui.colourless import COLOURLESS
from rwkv_chat.tui.pulls import PullState
from rwkv_chat.tui.screens import tokens
from rwkv_chat.tui.screens.tree import _bar
from rwkv_chat.tui.screens.tune_found import Tick
from rwkv_chat.tui.shelf_rows import entry_row, offer_row, pull_state
from rwkv_chat.tui.tune_details import example_text, standing
from rwkv_chat.tui.widgets import chat_list, library_list, setting_list, status_line
from rwkv_chat.tui.widgets.chat_list import ChatRow
from rwkv_chat.tui.widgets.library_list import LibraryRow
from rwkv_chat.tui.widgets.setting_list import SettingRow
from rwkv_chat.tui.widgets.status_line import Status, StatusLine
from tests.fakes import FakeEngine, FakeReply, fake_session
from tests.tui.helpers import opened, say_to, shown, until
from tests.tui.pty_run import TERM, run_in_pty
from tests.tui.shelf import GB, fits, local, offer
from tests.tui.tunes import tune

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

LETTERS = {"", "0", "1", "3", "4", "7", "9"}  # plain, bold, italic, underlined, reversed, struck
SGR = re.compile(rb"\x1b\[([0-9;:]*)m")
GREY = Color.parse("#222222")
ROW = Region(0, 0, 80, 1)
REPLY = (
    " A **strong** word, `code`, [a link](https://example.com).\n\n```python\nprint(1)  # 2\n```\n\n> quoted"
)
SETTINGS = 'model = "/nowhere.pth"\n'  # so that no weights are loaded


# ------------------------------------------------------------------------------------------- what is sent


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_no_colour_is_sent_by_any_screen(tmp_path: Path) -> None:
    """The program on a terminal, from its welcome to its end."""
    asyncio.run(_said(tmp_path))
    (tmp_path / "config" / "settings.toml").write_text(SETTINGS)
    env = {"RWKV_CHAT_HOME": str(tmp_path), "NO_COLOR": "1", **TERM}
    sent, code = run_in_pty(["-m", "tests.tui.walked"], size=(80, 24), seconds=300, env=env)
    assert code == 0, sent[-3000:]
    found = {code for each in SGR.findall(sent) for code in re.split(r"[;:]", each.decode())}
    assert found <= LETTERS
    assert {"1", "3", "4", "7"} <= found, "letters tell what colours would"


async def _said(home: Path) -> None:
    """One question, and its answer."""
    session = await fake_session(home, FakeEngine([REPLY]))
    session.models.start()
    await session.chats.send(None, "hello").result()
    await session.close()


def test_letters_keep_their_look_and_what_lies_under_them() -> None:
    style = Style(color="red", bgcolor="blue", bold=True, reverse=True, dim=True, meta={"offset": (3, 4)})
    (segment,) = COLOURLESS.apply([Segment("a", style)], GREY)
    assert segment.style is not None
    assert (segment.style.color, segment.style.bgcolor, segment.style.dim) == (None, None, False)
    assert (segment.style.bold, segment.style.reverse) == (True, True)
    assert segment.style.meta == {"offset": (3, 4)}


@pytest.mark.parametrize(("value", "without"), [("1", True), ("", False), (None, False)])
async def test_an_empty_wish_is_none(
    value: str | None, without: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is not None:
        monkeypatch.setenv("NO_COLOR", value)
    async with opened(tmp_path) as (app, _, screen):
        assert app.no_color is without
        drawn = [each.style for each in screen.query_one(StatusLine).render_lines(ROW)[0] if each.style]
        assert any(each.color for each in drawn) is not without


@pytest.mark.parametrize("theme", ["", "ansi-dark"])
async def test_without_tints_letters_tell_what_is_chosen_and_what_has_the_keys(
    theme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not theme:
        monkeypatch.setenv("NO_COLOR", "1")
    async with opened(tmp_path, theme=theme) as (app, pilot, screen):
        assert screen.prompt.get_component_rich_style("text-area--cursor").reverse
        assert screen.prompt.get_component_rich_style("text-area--selection").reverse
        assert theme or screen.get_component_rich_style("screen--selection").reverse
        await pilot.press("f12")
        await until(pilot, lambda: app.screen.query("SettingList"))
        rows, box = app.screen.query_one("SettingList", OptionList), app.screen.query_one(Input)
        await until(pilot, lambda: rows.highlighted == 1 and rows.has_focus)
        assert (letters(rows, 1), letters(rows, 2)) == ("bold underline", "")
        box.focus()
        await until(pilot, lambda: box.has_focus and letters(rows, 1) == "underline")
        assert theme or box.get_component_rich_style("input--cursor").reverse


def letters(rows: OptionList, line: int) -> str:
    """How the name in a line looks."""
    (strip,) = rows.render_lines(Region(6, line, 1, 1))
    style = next(iter(strip)).style or Style()
    return f"{'bold ' * bool(style.bold)}{'underline' * bool(style.underline)}"


# ----------------------------------------------------------------------------------- words and marks

ROW_OF_TOKEN = TokenRow(7, b" one", 0.5, 1.0, 0, ())


def _phases() -> Iterable[str]:
    return (str(status_line._first(Status("m", phase))) for phase in get_args(status_line.Phase))


def _surprise() -> Iterable[str]:
    return (str(tokens._line(1, replace(ROW_OF_TOKEN, bits=bits))) for bits in (0.1, 3.9, 4.1, 9.0))


def _models() -> Iterable[str]:
    huge = fits(99 * GB)
    return (
        entry_row(local("m", 1.0), in_use=True, loading="").state,
        entry_row(local("m", 1.0), in_use=False, loading="").state,
        entry_row(local("m", 99.0, fits=huge), in_use=False, loading="").state,
        entry_row(local("m", 1.0, missing=True), in_use=False, loading="").state,
        offer_row(offer("m", 1.0, advice=True), None).state,
        offer_row(offer("m", 1.0), None).state,
    )


def _downloads() -> Iterable[str]:
    phases = ("queued", "running", "pausing", "paused", "failed")
    return (pull_state(PullState("m", phase, done=1, total=4))[0] for phase in phases)


def _runs() -> Iterable[str]:
    return (standing(tune(status=each, step=1)) for each in get_args(tune_types.Status))


def _marked() -> Iterable[str]:
    row = LibraryRow("a", "one")
    plain = (row, False), (replace(row, pinned=True), False), (row, True)
    return (str(library_list._prompt(each, 60, marked)) for each, marked in plain)


def _settings() -> Iterable[str]:
    row = SettingRow("a", "one", "two", changed=False, help="", note="")
    return (str(setting_list._prompt(replace(row, changed=changed), 60)) for changed in (False, True))


def _chats() -> Iterable[str]:
    return (str(chat_list._prompt(ChatRow("a", "one", busy), 24)) for busy in (False, True))


def _ticks() -> Iterable[str]:
    return (Tick("one", value=value).BUTTON_INNER for value in (False, True))


def _gauge() -> Iterable[str]:
    return (_bar(share) for share in (0.0, 0.5, 1.0))


@pytest.mark.parametrize(
    "shown_as",
    [_phases, _surprise, _models, _downloads, _runs, _marked, _settings, _chats, _ticks, _gauge],
    ids=lambda each: each.__name__,
)
def test_what_has_a_colour_of_its_own_reads_otherwise(shown_as: Callable[[], Iterable[str]]) -> None:
    """Every state of these is another text."""
    found = list(shown_as())
    assert len(found) > 1
    assert all(found)
    assert len(set(found)) == len(found)


def test_what_is_learnt_stands_between_marks() -> None:
    example = Example((Piece("asked", learned=False), Piece("said", learned=True)), 9, 4)
    assert str(example_text(example)) == "asked⟦said⟧"


async def test_who_speaks_and_what_went_wrong_is_told_by_words(tmp_path: Path) -> None:
    engine = FakeEngine([" Good.", FakeReply("", error=OutOfMemory(3_060_000_000, 900_000_000))])
    async with opened(tmp_path, engine) as (_, pilot, screen):
        await say_to(pilot, screen, "hello")
        screen.prompt.text = "too much"
        await pilot.press("enter")
        await until(pilot, lambda: "F5" in shown(screen))
        rows = [each.strip(" ▌▎") for each in shown(screen).splitlines()]
        assert rows.count(say("app.transcript.you")) == 2
        assert rows.count(say("app.transcript.model")) == 1
        assert say("app.error.retry") in shown(screen)
