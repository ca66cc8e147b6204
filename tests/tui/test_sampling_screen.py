"""The sampling of one chat, presets, a reply that repeats itself, and the tokens of a reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from textual.widgets import Input, OptionList, Static

from rwkv_chat.own_words import BANS, STOPS
from rwkv_chat.presets import offered, own
from rwkv_chat.texts import say
from rwkv_chat.tui.screens.dialogs import Ask
from rwkv_chat.tui.screens.presets import PresetsDialog
from rwkv_chat.tui.screens.tokens import TokensScreen
from rwkv_chat.tui.screens.writing import WritingScreen
from rwkv_chat.tui.widgets.repeat_bar import RepeatBar
from rwkv_chat.tui.widgets.sampling_panel import NumberInput, TextsInput
from rwkv_chat.tui.widgets.status_line import StatusLine
from tests.chat.talk import LONG
from tests.chat.test_resampling import CRASH, as_killed
from tests.fakes import FakeEngine, FakeReply
from tests.tui.helpers import opened, say_to, shown, toasts, until

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot

    from rwkv_chat.tui.app import RwkvChatApp
    from rwkv_chat.tui.screens.chat import ChatScreen


async def type_into(pilot: Pilot[Any], screen: ChatScreen, name: str, text: str) -> TextsInput:
    box = screen.query_one(f"#param-{name}", TextsInput)
    box.focus()
    box.value = text
    await pilot.press("enter")
    return box


async def test_stop_texts_and_bans_are_the_chats_own(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with opened(tmp_path, engine) as (app, pilot, screen):
        await pilot.press("f4")
        await type_into(pilot, screen, STOPS, r"\nEND, stop")
        await until(pilot, lambda: screen.choices.own.get(STOPS) == ["\nEND", "stop"])
        await type_into(pilot, screen, BANS, "#7, a, word")
        await until(pilot, lambda: screen.choices.own.get(BANS) == ["#7", "a", "word"])
        await until(pilot, lambda: any("word" in each for each in toasts(app)))
        await pilot.press("f4")
        await say_to(pilot, screen, "hello")
    assert engine.requests[0].stop.texts[-2:] == ("\nEND", "stop")
    assert engine.requests[0].params.bans == (7, ord("a") + 1)


async def test_too_many_texts_are_refused_with_a_sentence(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, pilot, screen):
        await pilot.press("f4")
        box = await type_into(pilot, screen, STOPS, "x" * 999)
        await until(pilot, lambda: box.has_class("-invalid"))
        assert screen.choices.own == {}
        assert "200" in str(screen.query_one("#sampling-hint", Static).render())


async def test_a_value_that_changes_holds_for_the_reply_that_is_written(tmp_path: Path) -> None:
    engine = FakeEngine([LONG], delay=0.05)
    async with opened(tmp_path, engine) as (_, pilot, screen):
        await pilot.press("f4")
        screen.prompt.text = "hello"
        screen.prompt.focus()
        await pilot.press("enter")
        await until(pilot, lambda: screen.live is not None and screen.live.text and screen.thread)
        screen.query_one("#param-temperature").focus()
        await pilot.press("up")
        await until(pilot, lambda: [each.temperature for each in engine.changed] == [1.05])
        assert engine.requests[0].params.temperature == 1.0
        screen.action_stop()
        await until(pilot, lambda: screen.live is None)


async def test_five_presets_are_offered_and_one_is_taken(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        assert len(offered(app.session.paths.presets)) == 5
        await pilot.press("f4")
        await until(pilot, lambda: isinstance(screen.focused, NumberInput))  # shown as a whole
        await pilot.click("#sampling-preset")
        await until(pilot, lambda: isinstance(app.screen, PresetsDialog))
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: screen.choices.own.get("presence_penalty") == 2.0)
        assert screen.panel is not None
        await until(pilot, lambda: screen.panel and screen.panel.values.preset == "Creative")
        assert "max_tokens" not in screen.choices.own


async def test_values_are_kept_as_a_preset_found_again_and_deleted(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        folder = app.session.paths.presets
        await pilot.press("f4", "up")
        await until(pilot, lambda: screen.choices.own == {"temperature": 1.05})
        await pilot.click("#sampling-preset")
        await until(pilot, lambda: isinstance(app.screen, PresetsDialog))
        await pilot.press("end", "enter")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        app.screen.query_one("#answer", Input).value = "My own!"
        await pilot.press("enter")
        await until(pilot, lambda: [each.title for each in own(folder)] == ["My own!"])
        assert own(folder)[0].params.temperature == 1.05
        screen.prompt.focus()
        await pilot.press(*"/preset creative", "enter")
        await until(pilot, lambda: screen.choices.own.get("presence_penalty") == 2.0)
        await pilot.press(*"/preset my own!", "enter")
        await until(pilot, lambda: screen.choices.own.get("presence_penalty") == 0.0)
        await pilot.click("#sampling-preset")
        await until(pilot, lambda: isinstance(app.screen, PresetsDialog))
        await pilot.press("delete")
        assert say("app.presets.shipped") in toasts(app)
        await pilot.press("end", "up", "delete")
        await until(pilot, lambda: own(folder) == ())


# ----------------------------------------------------------------------------------------------- repeating


REPEATING = FakeReply(" la la la", reason="repeats")


async def paused(pilot: Pilot[Any], screen: ChatScreen) -> None:
    await say_to(pilot, screen, "sing")
    await until(pilot, lambda: screen.query_one(RepeatBar).display)


@pytest.mark.parametrize(("button", "repeats"), [("go_on", False), ("raise", True)])
async def test_a_reply_that_has_paused_goes_on_as_it_is_told(
    tmp_path: Path, button: str, repeats: bool
) -> None:
    engine = FakeEngine([REPEATING, " and the end."])
    async with opened(tmp_path, engine) as (_, pilot, screen):
        await paused(pilot, screen)
        await pilot.click(f"#repeats-{button}")
        await until(pilot, lambda: "la la la and the end." in shown(screen))
        assert not screen.query_one(RepeatBar).display
    first, second = engine.requests
    raised = 0.4 if button == "raise" else 0.0
    assert second.repeats is repeats
    assert second.params.frequency_penalty == pytest.approx(first.params.frequency_penalty + raised)
    assert second.params.presence_penalty == pytest.approx(first.params.presence_penalty + raised)


async def test_a_reply_that_has_paused_stays_so(tmp_path: Path) -> None:
    engine = FakeEngine([REPEATING])
    async with opened(tmp_path, engine, size=(80, 24)) as (_, pilot, screen):
        await paused(pilot, screen)
        await pilot.press("shift+tab", "shift+tab")  # the buttons are reached by keys, too
        await until(pilot, lambda: screen.focused is not None and screen.focused.id == "repeats-go_on")
        await pilot.press("shift+tab", "enter")
        await until(pilot, lambda: not screen.query_one(RepeatBar).display)
        assert len(engine.requests) == 1


async def text_paused(app: RwkvChatApp, pilot: Pilot[Any], chat: ChatScreen) -> WritingScreen:
    chat.prompt.text = "/text"
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, WritingScreen))
    screen = app.screen
    assert isinstance(screen, WritingScreen)
    screen.area.load_text("Sing:")
    screen.area.move_cursor((0, 5))
    await pilot.press("f5")
    await until(pilot, lambda: screen.bar.display and screen.focused is not None)
    assert screen.area.text == "Sing: la la la"
    return screen


@pytest.mark.parametrize(("tabs", "repeats"), [(1, False), (2, True)])
async def test_a_text_that_has_paused_goes_on_as_it_is_told(tmp_path: Path, tabs: int, repeats: bool) -> None:
    engine = FakeEngine([REPEATING, " and the end."])
    async with opened(tmp_path, engine) as (app, pilot, chat):
        screen = await text_paused(app, pilot, chat)
        await pilot.press(*["tab"] * tabs, "enter")
        await until(pilot, lambda: screen.live is None and screen.area.text == "Sing: la la la and the end.")
        assert not screen.bar.display
        await pilot.press("f9")
        await until(pilot, lambda: screen.area.text == "Sing: la la la")
    first, second = engine.requests
    assert (first.repeats, second.repeats) == (True, repeats)
    raised = 0.4 if repeats else 0.0
    assert second.params.presence_penalty == pytest.approx(first.params.presence_penalty + raised)


@pytest.mark.parametrize("how", ["button", "escape", "writing on"])
async def test_a_text_that_has_paused_stays_so(tmp_path: Path, how: str) -> None:
    engine = FakeEngine([REPEATING])
    async with opened(tmp_path, engine) as (app, pilot, chat):
        screen = await text_paused(app, pilot, chat)
        if how == "writing on":
            await pilot.press("!")
        else:
            await pilot.press("enter" if how == "button" else "escape")
        await until(pilot, lambda: not screen.bar.display and screen.area.has_focus)
        assert screen.area.text.removesuffix("!") == "Sing: la la la"
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is chat)
        assert len(engine.requests) == 1


# -------------------------------------------------------------------------------------------------- tokens


async def tokens_of(app: RwkvChatApp, pilot: Pilot[Any], number: int) -> TokensScreen:
    await until(pilot, lambda: isinstance(app.screen, TokensScreen))
    screen = app.screen
    assert isinstance(screen, TokensScreen)
    await until(pilot, lambda: len(screen.rows) == number)
    return screen


async def test_another_reply_is_written_from_a_token_on(tmp_path: Path) -> None:
    engine = FakeEngine([" One.", "ther."])
    async with opened(tmp_path, engine) as (app, pilot, screen):
        await say_to(pilot, screen, "hello")
        await pilot.press("ctrl+f")
        tokens = await tokens_of(app, pilot, 5)
        await pilot.press("down", "down", "enter")
        others = tokens.query_one("#others", OptionList)
        await until(pilot, lambda: others.has_focus)
        await pilot.press("down", "enter")
        await until(pilot, lambda: "Oother." in shown(screen))  # in place of "n" its neighbour "o"
        await until(pilot, lambda: screen.live is None, "the reply on the disk")
        assert len(await app.session.branches.siblings(screen.nodes[-1].id)) == 2


async def test_tokens_of_a_message_of_ones_own_can_be_seen_and_no_more(tmp_path: Path) -> None:
    async with opened(tmp_path, size=(80, 24)) as (app, pilot, screen):
        await say_to(pilot, screen, "hello")
        await pilot.press("ctrl+e")
        await pilot.pause()
        await pilot.press("up", "v")
        await tokens_of(app, pilot, len("User: hello\n\nAssistant:"))
        await pilot.press("n")
        await pilot.press("enter", "enter")
        await until(pilot, lambda: say("app.tokens.no_reply") in toasts(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)


async def test_without_a_reply_there_are_no_tokens(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        await pilot.press(*"/tokens", "enter")
        await until(pilot, lambda: say("app.tokens.no_reply_yet") in toasts(app))
        assert app.screen is screen


async def test_a_reply_that_goes_on_after_a_crash_says_how_it_is_sampled(tmp_path: Path) -> None:
    engine = FakeEngine([CRASH, LONG])
    async with opened(tmp_path, engine) as (app, pilot, screen):
        await pilot.press("a", "enter")
        await until(pilot, lambda: screen.nodes and screen.live is None)
        await app.session.library.run(as_killed)
        assert screen.thread_id
        await app.session.chats.configure(screen.thread_id, sampling={"temperature": 0.25})
        engine.delay = 0.05
        await pilot.press(*"/continue", "enter")
        await until(pilot, lambda: screen.live is not None and screen.live.text)
        status = screen.query_one(StatusLine)
        changed = say("app.status.resumed_changed", names=say("sampling.temperature.label"))
        await until(pilot, lambda: changed in str(status.render()))
        engine.jobs[-1].delay = 0
        await until(pilot, lambda: screen.live is None and changed not in str(status.render()))
