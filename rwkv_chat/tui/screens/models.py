"""The models: those on this machine, those that can be downloaded, and what is known of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, Static

from rwkv_chat.explain import sentence, size
from rwkv_chat.session.shelf_types import Offer, ShelfEntry
from rwkv_chat.texts import say
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.screens.shelf_look import LookingScreen
from rwkv_chat.tui.shelf_details import BY_ENTER, companion_of, entry_details, offer_details
from rwkv_chat.tui.shelf_rows import key_of, sections
from rwkv_chat.tui.widgets.key_footer import KeyFooter
from rwkv_chat.tui.widgets.model_details import Details, ModelDetails
from rwkv_chat.tui.widgets.model_table import ModelHeading, ModelTable

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from rwkv_chat.tui.desk import Desk
    from rwkv_chat.tui.screens.shelf import Model

WIDE = 104  # cells; below, the details stand under the table
SMALL = 72  # cells; below, the line at the top has no room for more than the filter


class ModelsScreen(LookingScreen):
    """The mode behind Ctrl+O."""

    CSS_PATH = "models.tcss"
    BINDINGS = textual_bindings("models")
    AUTO_FOCUS = "#models"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012  declared by Textual

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._fresh = True  # nothing was highlighted yet

    def compose(self) -> ComposeResult:
        with Horizontal(id="models-top"):
            yield Static(say("app.models.title"), classes="title", id="models-title", markup=False)
            yield Input(placeholder=say("app.models.filter"), id="filter", compact=True)
            yield Button(say("app.models.online"), id="online", compact=True)
            yield Static(id="disk", markup=False)
        with Horizontal(id="models-body"):
            with Vertical(id="models-list"):
                yield ModelHeading(id="models-heading", markup=False)
                yield ModelTable(id="models")
            yield ModelDetails(id="details")
        yield Static(id="outcome", markup=False)
        yield KeyFooter()

    def on_resize(self) -> None:
        """Where there is no room for all of the first line, the search has it."""
        self.set_class(self.size.width < SMALL, "-small")

    def on_mount(self) -> None:
        self.desk.watchers.append(self.show_models)
        self.desk.pulls.watchers.append(self.show_models)
        self.desk.pulls.on_end = self.pull_ended

    def on_screen_resume(self) -> None:
        self.reload()

    # ---------------------------------------------------------------- what is shown

    def show_models(self, select: str | None = None) -> None:
        typed = self.query_one("#filter", Input).value
        table = self.query_one(ModelTable)
        table.show(
            sections(
                self.entries,
                self.offers,
                self.desk.pulls.states,
                in_use=self.in_use,
                loading=self._loading(),
                typed=typed,
            )
        )
        self._highlight(table, select)
        self._show_details()
        self._show_disk()
        self._look_into_chosen()

    def _highlight(self, table: ModelTable, select: str | None) -> None:
        """The row asked for; at first what is advised, or the model in use."""
        if select is not None:
            table.select(select)
        elif self._fresh and self.entries:
            self._fresh = False
            advised = next((key_of(each) for each in self.offers if each.advice), None)
            builtin = self.desk.session.models.current.builtin
            table.select(advised if builtin and advised is not None else self.in_use)

    def _loading(self) -> str:
        """How far the model in use is, "" once it is ready."""
        state = self.desk.model
        if state.error is not None:
            return say("app.status.failed")
        if state.ready:
            return ""
        share = f" {state.share:.0%}" if state.share is not None else ""
        return say("app.status.loading") + share

    def chosen(self) -> Model | None:
        return self.find(self.query_one(ModelTable).current)

    def _show_details(self) -> None:
        self.query_one(ModelDetails).show(self._details(self.chosen()))

    def _details(self, model: Model | None) -> Details:
        if isinstance(model, Offer):
            return offer_details(model, self.desk.pulls.states.get(model.name))
        if model is None:
            return Details(say("app.models.nothing_chosen"))
        share = self.verifying.get(key_of(model))
        pace = say("app.models.verifying") if share is not None else ""
        error = self.desk.model.error if key_of(model) == self.in_use else None
        return entry_details(
            model,
            in_use=key_of(model) == self.in_use,
            info=self.infos.get(key_of(model)),
            progress=share,
            pace=pace,
            problem=sentence(error) if error is not None else "",
        )

    def _look_into_chosen(self) -> None:
        if isinstance(model := self.chosen(), ShelfEntry):
            self.look_into(model)

    def _show_disk(self) -> None:
        """What the models here take, and what is free."""
        taken = sum(each.nbytes for each in self.entries)
        free = size(self.free) if self.free is not None else "?"
        self.query_one("#disk", Static).update(say("app.models.disk", taken=size(taken), free=free))

    def say_outcome(self, text: str, *, wrong: bool = False) -> None:
        outcome = self.query_one("#outcome", Static)
        outcome.set_class(wrong, "-wrong")
        outcome.update(Content(text))

    # ---------------------------------------------------------------- what is done

    def on_keyed_list_looked(self) -> None:
        self._show_details()
        self._look_into_chosen()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.look_online()

    def on_keyed_list_chosen(self) -> None:
        self.action_act()

    def on_model_details_wanted(self, event: ModelDetails.Wanted) -> None:
        self.do(event.action)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.show_models()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one(ModelTable).focus()

    def do(self, action: str) -> None:
        """One action on the highlighted model."""
        self.say_outcome("")  # what was said of another one
        match action, self.chosen():
            case "use", ShelfEntry() as entry:
                self.use(None if entry.source == "built-in" else entry.path, entry.name)
            case "companion", ShelfEntry() as entry:
                self.pull(companion_of(entry))
            case "verify", ShelfEntry() as entry:
                self.verify(entry)
            case "convert", ShelfEntry() as entry:
                self.convert_model(entry)
            case "remove", ShelfEntry() as entry:
                self.remove_model(entry)
            case "use_here", Offer(here=path, name=name) if path is not None:
                self.use(path, name)
            case "get" | "resume" | "retry", Offer() as offer:
                self.pull(offer.name)
            case "replace", Offer() as offer:
                self.replace_pull(offer.name)
            case "pause", Offer() as offer:
                self.desk.pulls.pause(offer.name)

    def action_act(self) -> None:
        """What Enter does: the first of the actions that the details show."""
        actions = self._details(self.chosen()).actions
        if actions and actions[0][0] in BY_ENTER:
            self.do(actions[0][0])

    def action_pause(self) -> None:
        """Pause the highlighted download, or go on with it."""
        self._do_if_offered("pause", "resume", "retry")

    def _do_if_offered(self, *names: str) -> None:
        """The first of these actions that the details show."""
        offered = [name for name, _ in self._details(self.chosen()).actions]
        name = next((each for each in names if each in offered), None)
        if name is not None:
            self.do(name)

    def action_import(self) -> None:
        self.import_models()

    def action_online(self) -> None:
        self.look_online()

    def action_verify(self) -> None:
        self._do_if_offered("verify")

    def action_convert(self) -> None:
        self._do_if_offered("convert")

    def action_remove(self) -> None:
        self._do_if_offered("remove")

    def action_filter(self) -> None:
        self.query_one("#filter", Input).focus()

    def action_back(self) -> None:
        """Out of the filter first, then to the chat."""
        box = self.query_one("#filter", Input)
        if box.has_focus or box.value:
            box.value = ""
            self.query_one(ModelTable).focus()
        else:
            self.say_outcome("")
            self.app.switch_mode("chat")
