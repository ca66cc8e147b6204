"""The Settings screen: each setting by its kind, in force at once, written at once."""

from __future__ import annotations

import shutil
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from textual.widgets import Input, OptionList

from rwkv_chat import setting_specs, texts
from rwkv_chat.paths import Paths
from rwkv_chat.setting_specs import SPECS
from rwkv_chat.settings import THEMES
from rwkv_chat.texts import say, spoken
from rwkv_chat.tui.screens.settings import SettingsScreen
from rwkv_chat.tui.setting_rows import sections
from rwkv_chat.tui.widgets.setting_list import SettingList
from tests.fakes import FakeEngine
from tests.tui.helpers import opened, say_to, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.pilot import Pilot

    from rwkv_chat.tui.app import RwkvChatApp


async def at(app: RwkvChatApp, pilot: Pilot[Any], key: str) -> SettingList:
    """The screen, with one row highlighted."""
    if not isinstance(app.screen, SettingsScreen):
        await pilot.press("f12")
        await until(pilot, lambda: isinstance(app.screen, SettingsScreen))
    rows = app.screen.query_one(SettingList)
    await until(pilot, lambda: rows.option_count)
    rows.focus()
    rows.highlighted = rows.get_option_index(key)
    await pilot.pause()
    return rows


def written(home: Path) -> dict[str, Any]:
    return tomllib.loads(Paths.under(home).settings_file.read_text(encoding="utf-8"))


def outcome(app: RwkvChatApp) -> str:
    return str(app.screen.query_one("#setting-outcome").render())


async def test_a_switch_turns_and_holds_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        await at(app, pilot, "set.show_list")
        await pilot.press("enter")
        await until(pilot, lambda: screen.has_class("-list-hidden"))
        assert written(tmp_path)["show_list"] is False
        await pilot.press("right")
        await until(pilot, lambda: not screen.has_class("-list-hidden"))


async def test_what_cannot_be_written_holds_for_this_run_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as (app, pilot, screen):

        def refuse(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("rwkv_chat.settings_file.write_atomically", refuse)
        await at(app, pilot, "set.show_list")
        await pilot.press("enter")
        await until(pilot, lambda: "No space left" in outcome(app))
        await until(pilot, lambda: screen.has_class("-list-hidden"))
        assert "show_list" not in written(tmp_path)


async def test_a_choice_is_stepped_or_chosen_from_a_list(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, _):
        await at(app, pilot, "set.theme")
        await pilot.press("right")
        await until(pilot, lambda: app.session.settings.theme == THEMES[1])
        await pilot.press("left")
        await until(pilot, lambda: app.session.settings.theme == THEMES[0])
        await pilot.press("left")
        await until(pilot, lambda: app.theme == THEMES[-1])
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.query("#values"))
        rows = app.screen.query_one("#values", OptionList)
        assert rows.option_count == len(THEMES)
        rows.highlighted = THEMES.index("contrast-dark")
        await pilot.press("enter")
        await until(pilot, lambda: app.theme == "contrast-dark")
        assert written(tmp_path)["theme"] == "contrast-dark"


async def test_a_number_is_stepped_typed_and_refused_with_what_it_can_be(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with opened(tmp_path, engine) as (app, pilot, _):
        await at(app, pilot, "set.snapshot_ram_gb")
        await pilot.press("right")
        await until(pilot, lambda: app.session.settings.snapshot_ram_gb == 0.5)
        await pilot.press("right")
        await until(pilot, lambda: engine.budgets == (None, 1_000_000_000))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.query("#answer"))
        app.screen.query_one("#answer", Input).value = "lots"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SettingsScreen) and "lots" in outcome(app))
        assert "0 … 100,000" in outcome(app)
        assert app.session.settings.snapshot_ram_gb == 1.0
        await pilot.press("r")
        await until(pilot, lambda: engine.budgets == (None, None))
        assert "snapshot_ram_gb" not in written(tmp_path)


async def test_another_number_type_loads_the_model_again(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with opened(tmp_path, engine) as (app, pilot, screen):
        before = len(engine.loads)
        await at(app, pilot, "set.dtype")
        await pilot.press("right")
        await until(pilot, lambda: len(engine.loads) > before and app.desk.model.ready)
        assert engine.loads[-1].dtype == "fp32"
        await pilot.press("escape")
        await say_to(pilot, screen, "hello")


async def test_the_search_finds_by_words_and_escape_ends_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        rows = await at(app, pilot, "set.theme")
        await pilot.press("slash", *"saved states")
        await until(pilot, lambda: rows.current == "set.snapshot_budget_gb")
        await pilot.press("escape")
        await until(pilot, lambda: rows.option_count > 50)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)


async def test_a_key_is_pressed_and_holds_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        await at(app, pilot, "key.chat.new")
        await pilot.press("enter", "f11")
        await until(pilot, lambda: app.session.settings.keymap == {"chat.new": "f11"})
        await pilot.press("enter", "ctrl+q")  # taken: it is told, and nothing quits
        await until(pilot, lambda: "“Quit” has" in outcome(app))
        await pilot.press("enter", "escape")
        await until(pilot, lambda: isinstance(app.screen, SettingsScreen))
        assert app.session.settings.keymap == {"chat.new": "f11"}
        await pilot.press("escape")
        await say_to(pilot, screen, "hello")
        await pilot.press("f11")
        await until(pilot, lambda: screen.thread is None)
        await at(app, pilot, "key.chat.new")
        await pilot.press("r")
        await until(pilot, lambda: app.session.settings.keymap == {})


async def test_reduced_motion_stills_what_blinks(tmp_path: Path) -> None:
    async with opened(tmp_path, reduced_motion=True) as (app, pilot, screen):
        assert app.animation_level == "none"
        assert screen.prompt.cursor_blink is False
        await at(app, pilot, "set.reduced_motion")
        await pilot.press("enter", "slash")
        box = app.screen.query_one(Input)
        await until(pilot, lambda: box.has_focus and box.cursor_blink)


# ------------------------------------------------------------------------------------------- another language


@pytest.fixture
def other_language(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A second language that has a few texts of its own."""
    folder = tmp_path / "texts"
    shutil.copytree(Path(texts.HERE) / "en", folder / "en")
    (folder / "xx").mkdir()
    (folder / "xx" / "app.toml").write_text(
        '[prompt]\nplaceholder = "SKRIV"\n[settings]\ntitle = "INSTILL"\n'
    )
    (folder / "xx" / "keys.toml").write_text('[app.quit]\nlabel = "SLUTA"\n')
    monkeypatch.setattr(texts, "HERE", folder)
    texts.languages.cache_clear()
    monkeypatch.setitem(
        setting_specs.SPECS, "language", replace(SPECS["language"], choices=texts.languages())
    )
    yield
    texts.use("en")
    monkeypatch.undo()
    texts.languages.cache_clear()
    texts._part.cache_clear()


async def test_another_language_speaks_at_once(tmp_path: Path, other_language: None) -> None:
    async with opened(tmp_path / "home") as (app, pilot, screen):
        await say_to(pilot, screen, "hello")
        await at(app, pilot, "set.language")
        await pilot.press("right")
        await until(pilot, lambda: spoken() == "xx" and "INSTILL" in screen_words(app))
        assert "SLUTA" in screen_words(app)
        await pilot.press("escape")
        await until(pilot, lambda: app.chat is not None and app.chat is not screen and app.chat.begun)
        chat = app.chat
        assert chat is not None
        assert chat.prompt.placeholder == "SKRIV"
        assert [each.message.text for each in chat.nodes] == ["hello", "Hello there."]
        await say_to(pilot, chat, "again")
        await at(app, pilot, "set.language")
        await pilot.press("r")
        await until(pilot, lambda: spoken() == "en" and "Settings" in screen_words(app))
        assert say("keys.app.quit.label") in screen_words(app)


def screen_words(app: RwkvChatApp) -> str:
    return " ".join(str(each.render()) for each in app.screen.query("Static"))


def test_every_setting_and_key_is_in_the_list() -> None:
    from rwkv_chat.settings import Settings
    from rwkv_chat.tui.bindings import BINDINGS

    keys = {row.key for section in sections(Settings(), {}) for row in section.rows}
    assert keys == {
        *(f"set.{name}" for name, spec in SPECS.items() if spec.group),
        *(f"key.{row.id}" for row in BINDINGS),
    }
