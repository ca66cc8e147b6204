"""The Models screen over a shelf without files: what it shows, and what is done by key and by mouse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.cells import cell_len
from textual.widgets import Button, Input, Label, Static

from engine.errors import (
    DownloadFailed,
    FileInTheWay,
    ModelGone,
    ModelNotFound,
    Offline,
    TokenizerMissing,
    UnsupportedFormat,
    WeightsCorrupt,
)
from rwkv_chat.explain import sentence
from rwkv_chat.session.shelf_types import Found
from rwkv_chat.tui.cells import cell
from rwkv_chat.tui.screens.convert_dialog import AskTarget
from rwkv_chat.tui.screens.dialogs import Confirm
from rwkv_chat.tui.screens.import_dialog import AskPath, completed, typed_path
from rwkv_chat.tui.screens.models import ModelsScreen
from rwkv_chat.tui.widgets.model_details import ModelDetails
from rwkv_chat.tui.widgets.model_table import ModelTable, columns
from rwkv_chat.tui.widgets.status_line import StatusLine
from tests.tui.helpers import NARROW, SMALL, WIDE, opened, until
from tests.tui.shelf import FakeShelf, local, offer, some_models

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from rwkv_chat.tui.app import RwkvChatApp

SIZES = pytest.mark.parametrize("size", [WIDE, NARROW, SMALL], ids=["120x40", "80x24", "60x20"])


async def models(app: RwkvChatApp, pilot: Pilot[Any]) -> ModelsScreen:
    await pilot.press("ctrl+o")
    await until(pilot, lambda: isinstance(app.screen, ModelsScreen) and app.screen.entries, "the models")
    assert isinstance(app.screen, ModelsScreen)
    return app.screen


def table(screen: ModelsScreen) -> str:
    shown = screen.query_one(ModelTable)
    return "\n".join(str(shown.get_option_at_index(at).prompt) for at in range(shown.option_count))


def row(screen: ModelsScreen, name: str) -> str:
    return next(line for line in table(screen).splitlines() if line.startswith(name))


def details(screen: ModelsScreen) -> str:
    pane = screen.query_one(ModelDetails)
    buttons = [str(each.label) for each in pane.query(Button)]
    return "\n".join([str(each.render()) for each in pane.query(Static) if each.display] + buttons)


def outcome(screen: ModelsScreen) -> str:
    return str(screen.query_one("#outcome", Static).render())


# ---------------------------------------------------------------------------------------------- looking


@SIZES
async def test_every_model_is_listed_with_its_size_and_state(size: tuple[int, int], tmp_path: Path) -> None:
    async with opened(tmp_path, size=size, shelf=some_models()) as (app, pilot, _):
        screen = await models(app, pilot)
        assert "in use" in row(screen, "Fake guide")
        assert "missing" in row(screen, "gone")
        assert "900 MB" in row(screen, "rwkv7-g1d-0.4b")
        assert "too big" in row(screen, "g1h-13.3b")
        assert "advised" in row(screen, "g1h-2.9b")
        assert "paused" in row(screen, "g1h-1.5b")
        assert "here" in row(screen, "g1h-0.4b")
        width = screen.query_one(ModelTable).scrollable_content_region.width
        assert {cell_len(line) <= width for line in table(screen).splitlines()} == {True}
        assert "10.2 GB in models" in str(screen.query_one("#disk", Static).render())


async def test_the_advised_model_is_chosen_at_first_with_both_numbers(tmp_path: Path) -> None:
    async with opened(tmp_path, shelf=some_models()) as (app, pilot, _):
        screen = await models(app, pilot)
        await until(pilot, lambda: "g1h-2.9b" in details(screen))
        text = details(screen)
        assert "Recommended for this machine" in text
        assert "bf16 on cpu: 6.2 GB of 11.4 GB" in text
        assert "too big" in text
        assert "8,192 tokens" in text


async def test_moving_shows_the_details_of_each(tmp_path: Path) -> None:
    async with opened(tmp_path, shelf=some_models()) as (app, pilot, _):
        screen = await models(app, pilot)
        screen.query_one(ModelTable).select("here:/home/ada/models/gone.pth")
        await until(pilot, lambda: "/gone cannot be loaded" in details(screen))
        await pilot.press("up")
        await until(pilot, lambda: "RWKV-x060-World-3B-中文小说" in details(screen))
        assert "import, used where it lies" in details(screen)


async def test_the_filter_leaves_what_matches_and_escape_takes_it_away(tmp_path: Path) -> None:
    async with opened(tmp_path, shelf=some_models()) as (app, pilot, chat):
        screen = await models(app, pilot)
        await pilot.press("slash", *"hf-rwkv6")
        await until(pilot, lambda: "g1h" not in table(screen))
        assert "中文" in table(screen)
        assert "nothing that matches" in table(screen)
        await pilot.press("enter")
        assert screen.focused is screen.query_one(ModelTable)
        await pilot.press("escape")
        await until(pilot, lambda: "g1h-13.3b" in table(screen))
        assert app.screen is screen
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is chat)


async def test_a_missing_tokenizer_is_got_by_its_button(tmp_path: Path) -> None:
    lacking = local("RWKV-4-Pile-169M", 0.3, error=TokenizerMissing("/x/a.pth", "20B_tokenizer.json"))
    other = local("another", 0.3, error=TokenizerMissing("/x/b.pth", "vocab.txt"))
    shelf = FakeShelf((lacking, other), (offer("g1h-1.5b", 3.06),))
    async with opened(tmp_path, size=WIDE, shelf=shelf) as (app, pilot, _):
        screen = await models(app, pilot)
        screen.query_one(ModelTable).select("here:/home/ada/models/another.pth")
        await until(pilot, lambda: "vocab.txt" in details(screen))
        assert "Get " not in details(screen)
        await pilot.press("up")
        await until(pilot, lambda: "Get 20B_tokenizer.json (Enter)" in details(screen))
        await pilot.press("enter")
        await until(pilot, lambda: "20B_tokenizer.json" in shelf.pulls)
        shelf.pulls["20B_tokenizer.json"].finish()
        await until(pilot, lambda: "20B_tokenizer.json is here." in outcome(screen))


async def test_the_footer_has_no_way_to_where_one_is(tmp_path: Path) -> None:
    async with opened(tmp_path, shelf=some_models()) as (app, pilot, chat):
        assert "app.models" in {each.binding.id for each in chat.active_bindings.values()}
        screen = await models(app, pilot)
        shown = {each.binding.id for each in screen.active_bindings.values()}
        assert "app.models" not in shown
        assert {"models.online", "models.back", "app.quit"} <= shown


async def test_what_a_header_tells_is_shown_once_it_was_read(tmp_path: Path) -> None:
    shelf = some_models()
    shelf.converted = ((Path("/home/ada/models/.rwkv7-g1d-0.4b.pth.bf16.layout"), 901_000_000),)
    async with opened(tmp_path, shelf=shelf) as (app, pilot, _):
        screen = await models(app, pilot)
        screen.query_one(ModelTable).select("here:/home/ada/models/rwkv7-g1d-0.4b.pth")
        await until(pilot, lambda: "bf16 (398 tensors), fp32 (2" in " ".join(details(screen).split()))
        text = " ".join(details(screen).split())
        assert "13.0 MB for each conversation" in text
        assert "901 MB for quicker loading" in text


@SIZES
async def test_the_hub_is_asked_for_what_the_list_does_not_know(
    size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example")
    shelf = some_models()
    shelf.only_online = [offer("g1z-1.5b", 3.06, live=True)]
    async with opened(tmp_path, size=size, shelf=shelf) as (app, pilot, _):
        screen = await models(app, pilot)
        await pilot.press("o")
        await until(pilot, lambda: "mirror.example also holds g1z-1.5b." in outcome(screen))
        await until(pilot, lambda: "g1z-1.5b" in details(screen))
        shelf.only_online = []
        await pilot.press("o")
        await until(pilot, lambda: "holds no model that is not in the list" in outcome(screen))


async def test_without_a_connection_looking_online_says_so(tmp_path: Path) -> None:
    shelf = some_models()
    shelf.error = Offline("huggingface.co")
    async with opened(tmp_path, size=WIDE, shelf=shelf) as (app, pilot, _):
        screen = await models(app, pilot)
        await pilot.click("#online")
        await until(pilot, lambda: "huggingface.co cannot be reached" in outcome(screen))
        assert "g1h-2.9b" in table(screen)


async def test_names_of_models_are_no_markup_and_steer_nothing(tmp_path: Path) -> None:
    evil = "[bold red]x[/] \x1b[31mred\u202e\nline"
    shelf = FakeShelf((local(evil, 1.0),), (offer(evil, 1.0),))
    async with opened(tmp_path, shelf=shelf) as (app, pilot, _):
        screen = await models(app, pilot)
        screen.query_one(ModelTable).select(f"offer:{evil}")
        await until(pilot, lambda: "[bold red]x[/]" in details(screen))
        for text in (table(screen), details(screen)):
            assert "\x1b" not in text
            assert "\u202e" not in text
        assert len(table(screen).splitlines()) == 5


# ---------------------------------------------------------------------------------------------- downloads


@SIZES
async def test_a_download_runs_is_paused_goes_on_and_ends(size: tuple[int, int], tmp_path: Path) -> None:
    shelf = some_models()
    async with opened(tmp_path, size=size, shelf=shelf) as (app, pilot, chat):
        screen = await models(app, pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "waiting" in row(screen, "g1h-2.9b"))
        first = shelf.pulls["g1h-2.9b"]
        first.grow(590_000_000)
        await until(pilot, lambda: "getting 10%" in row(screen, "g1h-2.9b"))
        assert "590 MB of 5.9 GB" in details(screen)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is chat)
        first.grow(2_950_000_000)
        await until(pilot, lambda: "50%" in str(chat.query_one(StatusLine).render()), "the status line")
        await models(app, pilot)
        assert "getting 50%" in row(screen, "g1h-2.9b")
        await pilot.press("p")
        await until(pilot, lambda: "paused" in row(screen, "g1h-2.9b"))
        assert "what came is kept" in details(screen)
        await pilot.press("p")
        await until(pilot, lambda: shelf.pulls["g1h-2.9b"] is not first)
        shelf.pulls["g1h-2.9b"].finish()
        await until(pilot, lambda: "g1h-2.9b is here" in outcome(screen))


async def test_several_downloads_wait_and_run_beside_one_another(tmp_path: Path) -> None:
    shelf = some_models()
    async with opened(tmp_path, shelf=shelf) as (app, pilot, _):
        screen = await models(app, pilot)
        await pilot.press("enter", "down", "enter")
        await until(pilot, lambda: len(shelf.pulls) == 2)
        shelf.pulls["g1h-2.9b"].grow(5_900_000_000 // 4)
        await until(pilot, lambda: "getting 25%" in row(screen, "g1h-2.9b"))
        assert "waiting" in row(screen, "g1h-1.5b")
        assert [each.name for each in app.desk.pulls.active] == ["g1h-2.9b", "g1h-1.5b"]


async def test_a_broken_download_says_why_and_can_be_tried_again(tmp_path: Path) -> None:
    shelf = some_models()
    async with opened(tmp_path, shelf=shelf) as (app, pilot, _):
        screen = await models(app, pilot)
        await pilot.press("enter")
        await until(pilot, lambda: shelf.pulls)
        first = shelf.pulls["g1h-2.9b"]
        first.fail(DownloadFailed("https://example.org/\x1b[31m", 10, 100))
        await until(pilot, lambda: "failed" in row(screen, "g1h-2.9b"))
        assert "broke off" in details(screen)
        assert "\x1b" not in details(screen)
        assert "The download broke off" in outcome(screen)
        await until(pilot, lambda: "Try again" in details(screen))
        await pilot.press("enter")
        await until(pilot, lambda: shelf.pulls["g1h-2.9b"] is not first)


async def test_without_a_connection_that_is_said_and_what_is_here_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = some_models()
    used: list[Path | None] = []
    async with opened(tmp_path, shelf=shelf) as (app, pilot, _):

        async def use(path: Path | None) -> None:
            used.append(path)

        monkeypatch.setattr(app.session.models, "use", use)
        screen = await models(app, pilot)
        await pilot.press("enter")
        await until(pilot, lambda: shelf.pulls)
        shelf.pulls["g1h-2.9b"].fail(Offline("huggingface.co"))
        await until(pilot, lambda: "failed" in row(screen, "g1h-2.9b"))
        assert sentence(Offline("huggingface.co"))[:40] in details(screen).replace("\n", " ")
        screen.query_one(ModelTable).select("here:/home/ada/models/rwkv7-g1d-0.4b.pth")
        await pilot.press("enter")
        await until(pilot, lambda: used)


async def test_a_model_that_is_gone_offers_the_newer_one(tmp_path: Path) -> None:
    shelf = some_models()
    async with opened(tmp_path, shelf=shelf) as (app, pilot, _):
        screen = await models(app, pilot)
        screen.query_one(ModelTable).select("offer:raven-14b")
        await pilot.press("enter")
        await until(pilot, lambda: shelf.pulls)
        shelf.pulls["raven-14b"].fail(ModelGone("raven-14b", "g1h-13.3b"))
        await until(pilot, lambda: "Get the newer one instead (Enter)" in details(screen))
        await pilot.press("enter")
        await until(pilot, lambda: "g1h-13.3b" in shelf.pulls)
        assert screen.query_one(ModelTable).current == "offer:g1h-13.3b"


async def test_a_download_that_cannot_begin_is_told(tmp_path: Path) -> None:
    shelf = some_models()
    shelf.error = ModelNotFound("/nowhere")
    async with opened(tmp_path, shelf=shelf) as (app, pilot, _):
        screen = await models(app, pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "/nowhere" in outcome(screen))


# ---------------------------------------------------------------------------------------------- what is here


async def test_a_model_is_used_by_enter_and_by_its_button(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[Path | None] = []
    async with opened(tmp_path, shelf=some_models()) as (app, pilot, _):

        async def use(path: Path | None) -> None:
            used.append(path)

        monkeypatch.setattr(app.session.models, "use", use)
        screen = await models(app, pilot)
        screen.query_one(ModelTable).select("here:/home/ada/models/rwkv7-g1d-0.4b.pth")
        await pilot.press("enter")
        await until(pilot, lambda: "Now using rwkv7-g1d-0.4b" in outcome(screen))
        await until(pilot, lambda: "Use it" in details(screen))
        await pilot.click(screen.query_one(ModelDetails).query(Button).first())
        await until(pilot, lambda: len(used) == 2)
        assert used == [Path("/home/ada/models/rwkv7-g1d-0.4b.pth")] * 2


async def test_a_model_that_cannot_be_read_is_told_and_the_old_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, shelf=some_models()) as (app, pilot, _):

        async def use(path: Path | None) -> None:
            raise WeightsCorrupt(str(path), "byte 8", "a header", "\x1b[31mtext")

        monkeypatch.setattr(app.session.models, "use", use)
        screen = await models(app, pilot)
        screen.query_one(ModelTable).select("here:/home/ada/models/rwkv7-g1d-0.4b.pth")
        await pilot.press("enter")
        await until(pilot, lambda: screen.query_one("#outcome").has_class("-wrong"))
        assert "rwkv7-g1d-0.4b.pth" in outcome(screen)
        assert "\x1b" not in outcome(screen)
        assert "in use" in row(screen, "Fake guide")


async def test_removing_asks_and_says_how_much(tmp_path: Path) -> None:
    shelf = some_models()
    async with opened(tmp_path, size=SMALL, shelf=shelf) as (app, pilot, _):
        screen = await models(app, pilot)
        screen.query_one(ModelTable).select("here:/home/ada/models/rwkv7-g1d-0.4b.pth")
        await pilot.press("delete")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        assert "900 MB" in str(app.screen.query_one(".dialog-question", Static).render())
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        assert shelf.removed == []
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.click("#yes")
        await until(pilot, lambda: shelf.removed == [("rwkv7-g1d-0.4b", True)])
        await until(pilot, lambda: "rwkv7-g1d" not in table(screen))


async def test_files_that_are_not_ours_stay(tmp_path: Path) -> None:
    shelf = some_models()
    async with opened(tmp_path, shelf=shelf) as (app, pilot, _):
        screen = await models(app, pilot)
        screen.query_one(ModelTable).select("here:/home/ada/models/gone.pth")
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        assert "stay where they are" in str(app.screen.query_one(".dialog-question", Static).render())
        await pilot.press("left", "enter")
        await until(pilot, lambda: shelf.removed == [("gone", False)])
        await until(pilot, lambda: app.screen is screen)


async def test_the_built_in_model_stays(tmp_path: Path) -> None:
    async with opened(tmp_path, shelf=some_models()) as (app, pilot, _):
        screen = await models(app, pilot)
        screen.query_one(ModelTable).select("here:/nowhere/fake.safetensors")
        await pilot.press("x", "v")
        await pilot.pause()
        assert app.screen is screen
        assert screen.verifying == {}


async def test_a_file_is_verified_with_progress(tmp_path: Path) -> None:
    shelf = some_models()
    async with opened(tmp_path, shelf=shelf) as (app, pilot, _):
        screen = await models(app, pilot)
        screen.query_one(ModelTable).select("here:/home/ada/models/rwkv7-g1d-0.4b.pth")
        await pilot.press("v")
        await until(pilot, lambda: "12%" in details(screen))
        shelf.verifying.set()
        await until(pilot, lambda: "is whole" in outcome(screen))
        assert "12%" not in details(screen)


# ---------------------------------------------------------------------------------------------- convert


async def asked_where(app: RwkvChatApp, pilot: Pilot[Any], target: str) -> None:
    screen = app.screen
    screen.query_one(ModelTable).select("here:/home/ada/models/rwkv7-g1d-0.4b.pth")
    await pilot.press("c")
    await until(pilot, lambda: isinstance(app.screen, AskTarget))
    app.screen.query_one("#path", Input).value = target
    await pilot.press("enter")


async def test_a_model_is_written_in_another_format(tmp_path: Path) -> None:
    shelf = some_models()
    async with opened(tmp_path, shelf=shelf) as (app, pilot, _):
        screen = await models(app, pilot)
        await asked_where(app, pilot, "/x/mine.GGUF")
        await until(pilot, lambda: "Writing mine.GGUF … 50%" in outcome(screen))
        shelf.writing.set()
        await until(pilot, lambda: "mine.GGUF is written: 2.0 MB. Ollama's Modelfile" in outcome(screen))
    (source, target, wish), *_ = shelf.wished
    assert (source.name, target, wish.format) == ("rwkv7-g1d-0.4b.pth", Path("/x/mine.GGUF"), "gguf")
    assert not wish.overwrite


async def test_a_name_that_names_no_format_is_asked_for_again(tmp_path: Path) -> None:
    async with opened(tmp_path, shelf=(shelf := some_models())) as (app, pilot, _):
        await models(app, pilot)
        await asked_where(app, pilot, "/x/mine.onnx")
        hint = app.screen.query_one(".dialog-hint", Label)
        await until(pilot, lambda: "End the name with" in str(hint.render()))
        await pilot.press("escape")
    assert shelf.wished == []


async def test_a_file_that_stands_in_the_way_is_told(tmp_path: Path) -> None:
    shelf = some_models()
    shelf.error = FileInTheWay("/x/mine.st")
    async with opened(tmp_path, shelf=shelf) as (app, pilot, _):
        screen = await models(app, pilot)
        await asked_where(app, pilot, "/x/mine.st")
        await until(pilot, lambda: "mine.st" in outcome(screen) and "Writing" not in outcome(screen))


# ---------------------------------------------------------------------------------------------- import


async def asked(app: RwkvChatApp, pilot: Pilot[Any], path: str) -> None:
    await pilot.press("i")
    await until(pilot, lambda: isinstance(app.screen, AskPath))
    app.screen.query_one("#path", Input).value = path


async def test_a_file_is_imported_and_chosen(tmp_path: Path) -> None:
    shelf = some_models()
    shelf.found = [Found(Path("/x/new.pth"), "model", local("new", 2.0))]
    async with opened(tmp_path, shelf=shelf) as (app, pilot, _):
        screen = await models(app, pilot)
        await asked(app, pilot, " '/x/new.pth' ")
        await pilot.press("enter")
        await until(pilot, lambda: "Added new." in outcome(screen))
        await until(pilot, lambda: screen.query_one(ModelTable).current == "here:/home/ada/models/new.pth")


async def test_a_folder_is_imported_and_what_is_no_model_is_counted(tmp_path: Path) -> None:
    shelf = some_models()
    shelf.found = [
        Found(Path("/x/a.pth"), "model", local("a", 2.0)),
        Found(Path("/x/b.pth"), "model", local("b", 2.0)),
        Found(Path("/x/c.pth"), "tuned-state", error=UnsupportedFormat("/x/c.pth", "tuned-state")),
    ]
    async with opened(tmp_path, shelf=shelf) as (app, pilot, _):
        screen = await models(app, pilot)
        await asked(app, pilot, "/x")
        await pilot.click("#copy")
        await until(pilot, lambda: "Added a, b. Left out: tuned state × 1." in outcome(screen))


async def test_what_is_no_model_is_refused_with_a_sentence(tmp_path: Path) -> None:
    shelf = some_models()
    async with opened(tmp_path, shelf=shelf) as (app, pilot, _):
        screen = await models(app, pilot)
        await asked(app, pilot, "/nowhere/at/all.pth")
        await pilot.press("enter")
        await until(pilot, lambda: screen.query_one("#outcome").has_class("-wrong"))
        assert "/nowhere/at/all.pth" in outcome(screen)


async def test_tab_completes_a_path(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "中文 model.pth").touch()
    async with opened(tmp_path / "home", shelf=some_models()) as (app, pilot, _):
        await models(app, pilot)
        await asked(app, pilot, "")
        box = app.screen.query_one("#path", Input)
        await pilot.press(*f"{tmp_path}/wei")
        await until(pilot, lambda: box._suggestion)
        await pilot.press("tab")
        await until(pilot, lambda: box.value == f"{tmp_path}/weights/")
        await pilot.press("中")
        await until(pilot, lambda: box._suggestion)
        await pilot.press("tab")
        await until(pilot, lambda: box.value == f"{tmp_path}/weights/中文 model.pth")
        await pilot.press("tab")
        assert box.has_focus is False
        await pilot.press("escape")


async def test_a_path_under_nobodys_home_is_refused_with_a_sentence(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, _):
        screen = await models(app, pilot)
        await asked(app, pilot, "~nobody-of-this-name/m.pth")
        await pilot.press("enter")
        await until(pilot, lambda: screen.query_one("#outcome").has_class("-wrong"))
        assert "~nobody-of-this-name/m.pth" in outcome(screen)


def test_completion_of_what_is_not_there() -> None:
    for typed in ("", "  ", "/nowhere/at/all/x", "~nobody-of-this-name/x", "\0"):
        assert completed(typed) is None


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("  '/a b/c.pth' ", "/a b/c.pth"),
        (r"/a\ b/c.pth", "/a b/c.pth"),
        ("file:///a%20b/c.pth", "/a b/c.pth"),
        ("~/c.pth", str(Path.home() / "c.pth")),
    ],
)
def test_a_path_may_be_dropped_into_the_box(text: str, path: str) -> None:
    assert typed_path(text) == Path(path)
    assert typed_path(" '' ") is None


# ---------------------------------------------------------------------------------------------- drawing


@pytest.mark.parametrize("width", [30, 50, 62, 72, 120])
@pytest.mark.parametrize("name", ["short", "x" * 300, "中文模型" * 40, "🙂" * 50, ""])
def test_a_cell_is_as_wide_as_its_column(name: str, width: int) -> None:
    fit = columns(width)
    for each in (fit.name, fit.kind, fit.size, fit.memory, fit.state):
        assert cell_len(cell(name, each)) == each
        assert cell_len(cell(name, each, right=True)) == each


def test_the_fake_has_what_the_shelf_has() -> None:
    from rwkv_chat.session.shelf import Shelf

    public = {name for name in vars(FakeShelf) if not name.startswith("_")}
    assert public <= {name for name in vars(Shelf) if not name.startswith("_")}
