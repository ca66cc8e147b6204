"""The first start, in three pages: what runs now, what this machine could run, where everything stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import ContentSwitcher, OptionList, Static
from textual.widgets.option_list import Option

from rwkv_chat.plain_text import clean
from rwkv_chat.texts import say
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.app import ComposeResult

    from rwkv_chat.tui.starters import Starter

PAGES = ("now", "models", "data")


class WelcomeScreen(ModalScreen[str]):
    """Shown once; Enter goes on, Esc leaves. The result is the name of a model to get, "" for none."""

    CSS_PATH = "welcome.tcss"
    BINDINGS = textual_bindings("welcome")
    AUTO_FOCUS = ""

    def __init__(
        self, model: str, folder: str, find: Callable[[], Awaitable[tuple[Starter, ...]]], *, builtin: bool
    ) -> None:
        """`folder`: where conversations stay. `find`: models to begin with, none where nobody knows any."""
        super().__init__()
        self.model, self.folder, self.builtin, self.find = clean(model), clean(folder), builtin, find
        self.starters: tuple[Starter, ...] = ()
        self.chosen = ""
        self._shown = False

    def compose(self) -> ComposeResult:
        with Vertical(id="welcome"):
            yield Static(say("app.title"), id="welcome-title", markup=False)
            with ContentSwitcher(initial=PAGES[0], id="welcome-pages"):
                with Vertical(id="now"):
                    yield from self._now()
                with Vertical(id="models"):
                    yield from self._models()
                with Vertical(id="data"):
                    yield from self._data()
            yield Static(id="welcome-go-on", markup=False)

    def _now(self) -> ComposeResult:
        kind = "guide" if self.builtin else "model"
        yield Static(say("app.welcome.what"), markup=False)
        yield Static(say("app.welcome.running"), classes="heading", markup=False)
        yield Static(Content(say(f"app.welcome.{kind}", model=self.model)))

    def _models(self) -> ComposeResult:
        yield Static(say("app.welcome.real"), classes="heading", markup=False)
        yield Static(say("app.welcome.looking"), id="welcome-fits", markup=False)
        yield OptionList(Option(say("app.welcome.later")), id="starters", compact=True)
        yield Static(say("app.welcome.how"), markup=False, classes="after")

    def _data(self) -> ComposeResult:
        yield Static(say("app.welcome.yours"), classes="heading", markup=False)
        yield Static(Content(say("app.welcome.data", folder=self.folder)), id="welcome-folder")
        yield Static(id="welcome-coming", markup=False)

    def on_mount(self) -> None:
        self._show(0)
        start_work(self, self._find)

    async def _find(self) -> None:
        self.starters = await self.find()
        rows = self.query_one("#starters", OptionList)
        rows.add_options([Option(Content(each.words)) for each in self.starters])
        fits = say("app.welcome.fits") if self.starters else say("app.welcome.fits_none")
        self.query_one("#welcome-fits", Static).update(Content(fits))

    # ---------------------------------------------------------------- the pages

    @property
    def page(self) -> int:
        return PAGES.index(self.query_one(ContentSwitcher).current or PAGES[0])

    def _show(self, page: int) -> None:
        self.query_one(ContentSwitcher).current = PAGES[page]
        hint = say("app.welcome.choose" if PAGES[page] == "models" else "app.welcome.go_on")
        place = say("app.welcome.page", page=page + 1, pages=len(PAGES))
        self.query_one("#welcome-go-on", Static).update(Content(f"{place} · {hint}"))
        if PAGES[page] == "models":
            rows = self.query_one("#starters", OptionList)
            rows.highlighted = rows.highlighted or 0
            rows.focus()
        else:
            self.set_focus(None)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        at = event.option_index - 1
        self.chosen = self.starters[at].name if at >= 0 else ""
        coming = say("app.welcome.coming", model=clean(self.chosen)) if self.chosen else ""
        self.query_one("#welcome-coming", Static).update(Content(coming))
        self._show(self.page + 1)

    def on_screen_resume(self) -> None:
        """Whoever went to the models from here, and comes back, was welcomed."""
        if self._shown:
            self.dismiss("")
        self._shown = True

    def on_click(self) -> None:
        if PAGES[self.page] != "models":
            self.action_go_on()

    def action_go_on(self) -> None:
        if self.page + 1 < len(PAGES):
            self._show(self.page + 1)
        else:
            self.dismiss(self.chosen)

    def action_leave(self) -> None:
        self.dismiss(self.chosen)
