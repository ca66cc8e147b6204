"""The sampling panel, the status line, help, palette, welcome and the models screen."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from textual.command import CommandPalette
from textual.widgets import OptionList, Static

from engine.errors import ModelNotFound
from engine.types import SamplingParams
from rwkv_chat.paths import Paths
from rwkv_chat.texts import say
from rwkv_chat.tui.bindings import BINDINGS, all_keys, shown_keys
from rwkv_chat.tui.commands import Actions
from rwkv_chat.tui.desk import ModelState
from rwkv_chat.tui.screens.books import BooksScreen
from rwkv_chat.tui.screens.dialogs import Ask, Confirm
from rwkv_chat.tui.screens.editing import EditDialog
from rwkv_chat.tui.screens.exact import ExactScreen
from rwkv_chat.tui.screens.help import HelpScreen
from rwkv_chat.tui.screens.library import LibraryScreen
from rwkv_chat.tui.screens.log import LogScreen
from rwkv_chat.tui.screens.manner import MannerDialog
from rwkv_chat.tui.screens.messages import MessagesScreen
from rwkv_chat.tui.screens.models import ModelsScreen
from rwkv_chat.tui.screens.presets import PresetsDialog
from rwkv_chat.tui.screens.replies import RepliesScreen
from rwkv_chat.tui.screens.settings import SettingsScreen
from rwkv_chat.tui.screens.states import StatesScreen
from rwkv_chat.tui.screens.tokens import TokensScreen
from rwkv_chat.tui.screens.tune import TuneScreen
from rwkv_chat.tui.screens.tune_compare import CompareScreen
from rwkv_chat.tui.screens.tune_new import NewTuneScreen
from rwkv_chat.tui.screens.welcome import WelcomeScreen
from rwkv_chat.tui.screens.writing import WritingScreen
from rwkv_chat.tui.widgets.key_table import KeyTable
from rwkv_chat.tui.widgets.sampling_panel import NumberInput, SamplingPanel
from tests.fakes import FakeEngine
from tests.tui.helpers import opened, say_to, toasts, until
from tests.tui.shelf import some_models

if TYPE_CHECKING:
    from pathlib import Path

    from textual.screen import Screen


def texts(screen: Screen[Any]) -> str:
    return "\n".join(str(each.render()) for each in screen.query(Static))


def first_hit(screen: Screen[Any]) -> str:
    hits = screen.query_one("CommandList", OptionList)
    return str(hits.get_option_at_index(0).prompt) if hits.option_count else ""


async def test_there_is_a_row_for_every_numeric_parameter(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, pilot, screen):
        await pilot.press("f4")
        names = {each.field.name for each in screen.query(NumberInput)}
        assert names == {each.name for each in fields(SamplingParams) if each.metadata}


async def test_a_stepped_value_is_kept_and_used_for_the_next_reply(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with opened(tmp_path, engine) as (app, pilot, screen):
        await pilot.press("f4", "up", "up")
        await until(pilot, lambda: screen.choices.own == {"temperature": 1.1})
        await pilot.press("down")
        await until(pilot, lambda: screen.choices.own == {"temperature": 1.05})
        await pilot.press("f4")
        await say_to(pilot, screen, "hello")
        assert engine.requests[-1].params.temperature == 1.05
        assert app.session.sampling.temperature == 1.0, "other chats stay as they are"
    async with opened(tmp_path) as (_, pilot, screen):
        await until(pilot, lambda: screen.choices.own == {"temperature": 1.05})


async def test_what_one_chat_has_holds_for_all_when_that_is_wanted(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        await pilot.press("f4", "up")
        await until(pilot, lambda: screen.choices.own == {"temperature": 1.05})
        await pilot.click("#sampling-everywhere")
        await until(pilot, lambda: app.session.sampling.temperature == 1.05)
        await until(pilot, lambda: screen.choices.own == {})
        assert not screen.query_one("#sampling-everywhere").display
    async with opened(tmp_path) as (app, _, _):
        assert app.session.sampling.temperature == 1.05


async def test_a_wrong_value_is_refused_with_one_sentence(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        await pilot.press("f4")
        box = screen.query_one("#param-temperature", NumberInput)
        for typed in ("9", "abc", "-1", "nan", "inf", "1e400", ""):
            box.value = typed
            await pilot.press("enter")
            await until(pilot, lambda: box.has_class("-invalid"), typed)
            assert "from 0 to 5" in str(screen.query_one("#sampling-hint", Static).render())
            assert app.session.sampling.temperature == 1.0
            box.value = "1"
            await pilot.press("enter")
            await until(pilot, lambda: not box.has_class("-invalid"))


async def test_an_empty_seed_is_a_fresh_one_and_reset_brings_the_models_values(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        await pilot.press("f4")
        panel = screen.query_one(SamplingPanel)
        seed = screen.query_one("#param-seed", NumberInput)
        seed.focus()
        seed.value = "42"
        await pilot.press("enter")
        await until(pilot, lambda: screen.choices.own == {"seed": 42})
        seed.value = ""
        await pilot.press("enter")
        await until(pilot, lambda: screen.choices.own == {"seed": None})
        seed.value = "7"
        await pilot.press("enter")
        await until(pilot, lambda: screen.choices.own == {"seed": 7})
        await pilot.click("#sampling-reset")
        await until(pilot, lambda: screen.choices.own == {})
        assert panel.params == app.session.models.current.sampling


async def test_help_shows_every_binding_and_its_keys(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, _):
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        told = [(row.keys, row.text) for table in app.screen.query(KeyTable) for row in table.rows]
        for row in BINDINGS:
            assert (shown_keys(all_keys(row)), say(f"keys.{row.id}.help")) in told
        await pilot.press("f1")
        await until(pilot, lambda: not isinstance(app.screen, HelpScreen))


def test_every_action_of_the_table_exists() -> None:
    from rwkv_chat.tui.app import RwkvChatApp
    from rwkv_chat.tui.screens.chat import ChatScreen
    from rwkv_chat.tui.widgets.prompt import PromptBox

    owners = {
        "app": RwkvChatApp,
        "chat": ChatScreen,
        "prompt": PromptBox,
        "message": MessagesScreen,
        "edit": EditDialog,
        "presets": PresetsDialog,
        "replies": RepliesScreen,
        "writing": WritingScreen,
        "books": BooksScreen,
        "library": LibraryScreen,
        "models": ModelsScreen,
        "states": StatesScreen,
        "settings": SettingsScreen,
        "log": LogScreen,
        "exact": ExactScreen,
        "tokens": TokensScreen,
        "tune": TuneScreen,
        "tune_new": NewTuneScreen,
        "compare": CompareScreen,
        "dialog": Ask,
        "confirm": Confirm,
        "manner": MannerDialog,
        "help": HelpScreen,
        "welcome": WelcomeScreen,
    }
    for row in BINDINGS:
        name = row.action.split("(")[0]
        assert hasattr(owners[row.scope], f"action_{name}"), row.id


async def test_a_persons_key_map_is_used_and_shown(tmp_path: Path) -> None:
    async with opened(tmp_path, keymap={"chat.new": "f11"}) as (app, pilot, screen):
        await say_to(pilot, screen, "hello")
        await pilot.press("f11")
        await until(pilot, lambda: screen.thread is None)
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        assert "F11" in texts(app.screen)


async def test_enter_may_make_new_lines_instead(tmp_path: Path) -> None:
    async with opened(tmp_path, enter_sends=False) as (_, pilot, screen):
        await pilot.press("a", "enter", "b")
        assert screen.prompt.text == "a\nb"
        await pilot.press("ctrl+j")
        await until(pilot, lambda: len(screen.nodes) == 2)


async def test_the_palette_finds_actions_and_conversations(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        await say_to(pilot, screen, "about ravens")
        await pilot.press("ctrl+n", "ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        await pilot.press(*"ravens")
        await until(pilot, lambda: "ravens" in first_hit(app.screen))
        await pilot.press("enter")
        await until(pilot, lambda: len(screen.nodes) == 2)
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        await pilot.press(*"new chat")
        await until(pilot, lambda: "New chat" in first_hit(app.screen))
        await pilot.press("enter")
        await until(pilot, lambda: screen.thread is None)


async def test_the_first_start_welcomes_once(tmp_path: Path) -> None:
    async with opened(tmp_path, first_run=True) as (app, pilot, screen):
        await until(pilot, lambda: isinstance(app.screen, WelcomeScreen))
        assert "not a real one" in texts(app.screen)
        assert "Ctrl+O" in texts(app.screen)
        await pilot.press("enter", "enter", "enter")
        await until(pilot, lambda: app.screen is screen)
        assert "not a real one" in texts(screen)
        await until(pilot, lambda: app.session.settings.first_run_done)
        assert screen.focused is screen.prompt
    async with opened(tmp_path) as (app, _, screen):
        assert app.screen is screen


async def test_the_welcome_leads_to_the_models(tmp_path: Path) -> None:
    async with opened(tmp_path, first_run=True, shelf=some_models()) as (app, pilot, screen):
        await until(pilot, lambda: isinstance(app.screen, WelcomeScreen))
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(app.screen, ModelsScreen) and app.screen.entries)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        await until(pilot, lambda: app.session.settings.first_run_done)


async def test_a_model_that_cannot_be_loaded_is_told_and_can_be_tried_again(tmp_path: Path) -> None:
    engine = FakeEngine(load_error=ModelNotFound("/gone.pth"))
    async with opened(tmp_path, engine) as (_, pilot, screen):
        await until(pilot, lambda: "/gone.pth" in texts(screen))
        assert [each.name for each in screen.query("#problem Button")] == ["retry", "log"]
        assert "not loaded" in texts(screen)
        engine.load_error = None
        await say_to(pilot, screen, "hello")
        assert screen.nodes[-1].message.text == "Hello there."
        assert not screen.query_one("#problem").display


async def test_themes_change_and_are_remembered(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, _):
        for name in (
            "rwkv-light",
            "ansi-dark",
            "rwkv-dark",
        ):
            app.theme = name
            await until(pilot, lambda name=name: app.session.settings.theme == name)
    Paths.under(tmp_path).settings_file.write_text('theme = "no-such-theme"\n')
    async with opened(tmp_path) as (app, _, _):
        assert app.theme == "rwkv-dark"
        assert any("theme can be" in each for each in toasts(app))


async def test_a_model_that_loads_does_not_disturb_what_is_typed(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        await pilot.press("f4", "3")
        box = screen.query_one("#param-temperature", NumberInput)
        assert box.value == "3"
        for share in (0.1, 0.5, 0.9):
            app.desk._tell(ModelState(share=share))
            await pilot.pause()
        assert box.value == "3"
        assert "90%" in texts(screen)


async def test_the_palette_offers_only_what_can_be_done_here(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        assert "Rename" in [row.label for row in await Actions(screen).find()]
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(app.screen, ModelsScreen))
        labels = [row.label for row in await Actions(app.screen).find()]
        assert "Rename" not in labels
        assert {"Help", "Quit", "Get a model"} <= set(labels)
