"""Every screen, dialog and panel in every language, in a window of 80 × 24 and in one of 60 × 20: no word is
cut, and nothing stands outside of its box.
"""

from __future__ import annotations

import string
from contextlib import asynccontextmanager
from itertools import product
from time import monotonic
from typing import TYPE_CHECKING, Any

from textual.widgets import Button, Label, OptionList

from rwkv_chat import texts
from rwkv_chat.presets import offered
from rwkv_chat.setting_specs import SPECS
from rwkv_chat.texts import DEFAULT_LANGUAGE, languages, lookup, say, spoken
from rwkv_chat.tui.app import MODES
from rwkv_chat.tui.screens.books import book_words
from rwkv_chat.tui.screens.chat import ChatScreen
from rwkv_chat.tui.screens.convert_dialog import AskTarget
from rwkv_chat.tui.screens.dialogs import Ask, Confirm
from rwkv_chat.tui.screens.editing import EditDialog
from rwkv_chat.tui.screens.export_dialog import AskExport
from rwkv_chat.tui.screens.import_dialog import AskPath, PathWords
from rwkv_chat.tui.screens.log import LogScreen
from rwkv_chat.tui.screens.log_dialog import AskLog, LogWords
from rwkv_chat.tui.screens.picking import Pick
from rwkv_chat.tui.screens.presets import PresetsDialog
from rwkv_chat.tui.screens.setting_dialogs import Choose, PressKey
from rwkv_chat.tui.screens.tune_new import NewTuneScreen
from rwkv_chat.tui.screens.welcome import PAGES, WelcomeScreen
from rwkv_chat.tui.screens.writing import WritingScreen
from rwkv_chat.tui.setting_rows import value_words
from rwkv_chat.tui.starters import starters
from tests.fakes import FakeEngine
from tests.tui.fitting import cut, ended, outside
from tests.tui.helpers import PATIENCE, opened, say_to, until
from tests.tui.shelf import local, some_models
from tests.tui.test_tune_screen import some_runs
from tests.tui.tunes import found

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from textual.pilot import Pilot
    from textual.screen import Screen

    from rwkv_chat.tui.app import RwkvChatApp
    from tests.conftest import Sample

SIZES = [(60, 20), (80, 24)]
FILE_HINT = "app.dialog.file_hint"
# What is asked for in one line; what is asked with yes and no, and the yes.
ASKED = (
    ("app.rename.title", ""),
    ("app.tree.begin", ""),
    ("app.presets.name", ""),
    ("app.states.save", ""),
    ("app.states.rename", ""),
    ("app.states.describe", ""),
    ("app.states.tag", ""),
    ("app.states.budget", ""),
    ("app.states.budget_ram", ""),
    ("app.states.export", FILE_HINT),
    ("app.library.tag.ask", ""),
    ("app.library.export.ask", FILE_HINT),
    ("app.capsule.ask", FILE_HINT),
)
CONFIRMED = (
    ("app.delete.question", "app.delete.yes"),
    ("app.delete.question_one", "app.delete.yes"),
    ("app.states.remove", "app.states.remove_yes"),
    ("app.library.export.replace", "app.library.export.yes"),
    ("app.library.erase.ask", "app.library.erase.yes"),
    ("app.library.erase.states", "app.library.erase.states_yes"),
    ("app.models.remove_files", "app.models.delete_files"),
    ("app.models.remove_entry", "app.models.action.remove"),
    ("tune_screen.remove", "tune_screen.remove_yes"),
    ("prompt.link.question", "prompt.link.open"),
)
SAMPLES = {"name": "“A conversation”", "path": "/home/me/notes.md", "link": "https://example.org/a"}
KEYS = ("f1", "ctrl+e", "ctrl+f", "ctrl+r", "f7")  # what stands over the chat when they are pressed


@asynccontextmanager
async def speaking(
    home: Path, language: str, size: tuple[int, int]
) -> AsyncIterator[tuple[RwkvChatApp, Pilot[Any], ChatScreen]]:
    """The app in a language, with one question and its answer; all speak English again afterwards."""
    shelf = some_models()
    shelf.known = [each for each in shelf.known if len(each.name) < 20]  # names are cut, texts are not
    async with opened(home, FakeEngine(), size=size, shelf=shelf) as (app, pilot, screen):
        app.animation_level = "none"
        await say_to(pilot, screen, "hello")
        try:
            await app.speak(language)
            await until(pilot, lambda: app.chat is not None and app.chat.begun and spoken() == language)
            assert isinstance(app.chat, ChatScreen)
            yield app, pilot, app.chat
        finally:
            await app.speak(DEFAULT_LANGUAGE)
            texts.use(DEFAULT_LANGUAGE)


async def test_nothing_is_cut(tmp_path: Path, sample: Sample) -> None:
    """Japanese first, whose texts are the widest, in the smallest window."""
    english, *others = languages()
    ways = list(product(SIZES, [*others, english]))
    wrong: dict[str, list[str]] = {}
    for number, (size, language) in enumerate(ways[: sample("windows and languages", 1, len(ways))]):
        await _look_at_all(tmp_path / str(number), language, size, wrong)
    assert not wrong, "\n".join(f"{what}: {each}" for what, found in wrong.items() for each in found)


async def _look_at_all(home: Path, language: str, size: tuple[int, int], wrong: dict[str, list[str]]) -> None:
    async with speaking(home, language, size) as (app, pilot, chat):

        async def look(what: str, *, ends: bool = False) -> None:
            """What is cut while something is on its way does not count. `ends`: words may."""
            deadline = monotonic() + PATIENCE
            while bad := [
                *cut(app.screen),
                *outside(app.screen),
                *([] if ends else ended(app.screen)),
            ]:
                if monotonic() > deadline:
                    wrong[f"{what} {language} {size}"] = bad
                    return
                await pilot.pause(0.05)

        await _questions(app, pilot, chat, look)
        for what, dialog in _dialogs(app):
            await _over(app, pilot, dialog)
            await look(what)
            await _back(app, pilot, chat)
        for key in KEYS:
            await pilot.press(key)
            await until(pilot, lambda: app.screen is not chat, key)
            await look(key)
            await _back(app, pilot, chat)
        await _parts(app, pilot, chat, look)
        await _welcome(app, pilot, chat, look)
        await _tuning(app, pilot, chat, look)
        for mode in MODES:
            app.switch_mode(mode)
            await until(pilot, lambda mode=mode: app.current_mode == mode and _loaded(app.screen), mode)
            for each in app.screen.query("#settings-file"):
                each.display = False  # a path, as long as it is
            await look(mode)


def _loaded(screen: Screen[Any]) -> bool:
    """Whether there is something in it, or is said that there is nothing."""
    return screen.has_class("-nothing") or any(each.option_count for each in screen.query(OptionList))


def _filled(name: str) -> str:
    """A text with something in its places."""
    text = texts.KEY.sub("", lookup(name) or "")
    places = {place for _, place, _, _ in string.Formatter().parse(text) if place}
    return say(name, **{each: SAMPLES.get(each, "7") for each in places})


def _dialogs(app: RwkvChatApp) -> Iterator[tuple[str, Screen[Any]]]:
    for spec in (SPECS["theme"], SPECS["think"]):
        options = [(each, value_words(spec, each)) for each in spec.choices]
        yield spec.name, Choose(say(f"settings.{spec.name}.label"), options, "")
    yield "press", PressKey(say("keys.chat.new.label"))
    yield "import", AskPath()
    yield "books", AskPath(book_words())
    words = (say(f"app.states.import.{each}") for each in ("title", "placeholder", "hint", "take"))
    yield "states.import", AskPath(PathWords(*words))
    title, who, take = (say(f"app.library.import.{each}") for each in ("title", "who", "take"))
    yield "library.import", AskLog(LogWords(title, who, take))
    title, who, take = (say(f"tune_screen.source.{each}") for each in ("ask", "who", "take"))
    yield "tune.source", AskLog(LogWords(title, who, take))
    yield "tune.export", AskExport("Ann's way", "lora")
    yield "convert", AskTarget(local("g1", 0.9))
    yield "presets", PresetsDialog(offered(app.session.paths.presets))
    yield "edit", EditDialog("A text", follows=True)
    yield "copy", Pick(say("prompt.copy.block"), [(say("prompt.copy.code"), "print(1)"), ("", "A text")])
    yield "log", LogScreen(app.desk)


async def _questions(app: RwkvChatApp, pilot: Pilot[Any], chat: ChatScreen, look: Any) -> None:
    """The small ones, all in one dialog of each kind: what it says is changed."""
    ask, confirm = Ask(" "), Confirm(" ", " ")
    await _over(app, pilot, ask)
    for name, hint in ASKED:
        ask.query_one(".dialog-question", Label).update(_filled(name))
        ask.query_one(".dialog-hint", Label).update(say(hint or "app.dialog.ask_hint"))
        await pilot.pause()
        await look(name)
    await _back(app, pilot, chat)
    await _over(app, pilot, confirm)
    for question, yes in CONFIRMED:
        confirm.query_one(".dialog-question", Label).update(_filled(question))
        confirm.query_one("#yes", Button).label = say(yes)
        await pilot.pause()
        await look(question)
    await _back(app, pilot, chat)


async def _over(app: RwkvChatApp, pilot: Pilot[Any], screen: Screen[Any]) -> None:
    app.push_screen(screen)
    await until(pilot, lambda: app.screen is screen)
    await pilot.pause()


async def _back(app: RwkvChatApp, pilot: Pilot[Any], chat: ChatScreen) -> None:
    app.pop_screen()
    await until(pilot, lambda: app.screen is chat)


async def _parts(app: RwkvChatApp, pilot: Pilot[Any], chat: ChatScreen, look: Any) -> None:
    """Of the chat, and of a text."""
    for key in ("slash", "@"):
        await pilot.press(key)
        await until(pilot, lambda: chat.completions.display, key)
        await look(f"after {key}", ends=key == "@")  # names of files are cut, texts are not
        chat.prompt.text = ""
        await until(pilot, lambda: not chat.completions.display)
    chat.repeat_bar.offer()
    chat.bar.offer(_filled("app.continue.offer"), long=True)
    chat.query_one("#problem").show(_filled("errors.OutOfMemory.what"), ("retry", "free", "log"))  # pyright: ignore[reportAttributeAccessIssue]
    await until(pilot, lambda: len(chat.query("#problem Button")) == 3)
    await look("bars")
    chat.repeat_bar.display = False
    chat.bar.hide()
    chat.query_one("#problem").show("", ())  # pyright: ignore[reportAttributeAccessIssue]
    await pilot.press("f4")
    await until(pilot, lambda: chat.panel is not None and chat.panel.region)
    await look("sampling")
    await pilot.press("f4")
    thread = await app.session.writings.begin()
    writing = WritingScreen(app.desk, thread)
    await _over(app, pilot, writing)
    writing.bar.offer()
    await pilot.pause()
    await look("writing")
    await _back(app, pilot, chat)


async def _welcome(app: RwkvChatApp, pilot: Pilot[Any], chat: ChatScreen, look: Any) -> None:
    async def find() -> Any:
        return starters(await app.session.shelf.offers())

    screen = WelcomeScreen("Guide", "/home/me/.local/share/rwkv-chat", find, builtin=True)
    await _over(app, pilot, screen)
    await until(pilot, lambda: screen.query_one("#starters", OptionList).option_count > 1)
    for page in range(len(PAGES)):
        await look(f"welcome {page + 1}")
        if page + 1 < len(PAGES):
            await pilot.press("enter")
            await until(pilot, lambda page=page: screen.page == page + 1)
    await _back(app, pilot, chat)


async def _tuning(app: RwkvChatApp, pilot: Pilot[Any], chat: ChatScreen, look: Any) -> None:
    tunes: Any = some_runs()
    tunes.found = found(people=("Ann", "Bob"))
    app.session.tunes = tunes  # the few methods that these screens ask for
    screen = NewTuneScreen(app.desk)
    await _over(app, pilot, screen)
    await until(pilot, lambda: screen.source.chats.option_count)
    await look("tune: source")
    screen.source.chats.mark_all()
    await pilot.press("ctrl+j")
    await until(pilot, lambda: screen.found is not None and screen._step == 1)
    await look("tune: found")
    screen.plan()
    await until(pilot, lambda: len(screen.plans._plans) == 3)
    await look("tune: plan")
    await _back(app, pilot, chat)
