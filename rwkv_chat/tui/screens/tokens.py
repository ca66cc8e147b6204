"""How likely each token of a message was, what else could have stood there, and another reply from one on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from rwkv_chat.texts import say
from rwkv_chat.tui.cells import cell
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.prose.exact import token_text
from rwkv_chat.tui.screens.telling import telling
from rwkv_chat.tui.widgets.key_footer import KeyFooter
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from textual.app import ComposeResult

    from engine.types import Prefilled, TokenIds
    from rwkv_chat.session.token_scores import Candidate, Form, TokenRow, TokenRows

TOKEN_CELLS = 12
SURPRISING = 4.0  # bits: less likely than one in sixteen
HEIGHTS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Parting:
    """Another reply is wanted that begins with these tokens; `drawn`: see `Chats.with_tokens`."""

    lead: TokenIds
    drawn: bool


class TokensScreen(Screen[Parting | None]):
    """Over the chat: tokens at the left, what else could have stood there at the right."""

    CSS_PATH = "tokens.tcss"
    BINDINGS = textual_bindings("tokens")
    AUTO_FOCUS = "#tokens"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (72, "-wide")]  # noqa: RUF012  declared by Textual

    def __init__(self, scores: AsyncIterator[Prefilled | TokenRows], *, can_part: bool) -> None:
        """`can_part`: it is a reply, so that there can be another one."""
        super().__init__()
        self._scores, self._can_part = scores, can_part
        self.rows: list[TokenRow] = []
        self._first = self._total = 0
        self._form: Form = "remembered"

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(say("app.tokens.title"), classes="title", id="tokens-title", markup=False)
            yield Static(say("app.tokens.reading"), id="tokens-counts", markup=False)
            with Horizontal(id="tokens-columns"):
                yield OptionList(id="tokens", compact=True)
                with Vertical(id="others-column"):
                    yield Static("", id="others-title", markup=False)
                    yield OptionList(id="others", compact=True)
                    yield Static("", id="others-hint", markup=False)
        yield KeyFooter()

    def on_mount(self) -> None:
        start_work(self, self._read)

    @telling
    async def _read(self) -> None:
        async for event in self._scores:
            if hasattr(event, "rows"):
                self._take(event)  # pyright: ignore[reportArgumentType]  the other kind is progress
            else:
                self._counts(say("app.tokens.progress", done=f"{event.done:,}", total=f"{event.total:,}"))  # pyright: ignore[reportAttributeAccessIssue]
        if not self.rows:
            self._counts(say("app.tokens.none"))

    def _take(self, told: TokenRows) -> None:
        """More tokens."""
        if not self.rows:
            self._first = told.first
        self._total, self._form = told.total, told.form
        at = self._first + len(self.rows)
        self.rows += told.rows
        listed = self.query_one("#tokens", OptionList)
        listed.add_options([Option(_line(at + number, row)) for number, row in enumerate(told.rows)])
        if listed.highlighted is None:
            listed.highlighted = 0
        self._counts(self._summary())

    def _summary(self) -> str:
        bits = sum(each.bits for each in self.rows) / len(self.rows)
        counts = say(
            "app.tokens.counts",
            tokens=f"{len(self.rows) + self._first:,}",
            total=f"{self._total:,}",
            bits=f"{bits:.2f}",
            perplexity=f"{math.exp2(min(bits, 60)):,.1f}",
        )
        return counts if self._form == "remembered" else f"{counts}\n{say(f'app.tokens.{self._form}')}"

    def _counts(self, text: str) -> None:
        self.query_one("#tokens-counts", Static).update(text)

    # ---------------------------------------------------------------- one token

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        if event.option_list.id == "tokens":
            self._show(self.rows[event.option_index])

    def _show(self, row: TokenRow) -> None:
        """What else could have stood there."""
        text = cell(token_text(row.id, row.piece), TOKEN_CELLS).rstrip()
        self.query_one("#others-title", Static).update(say("app.tokens.in_place", token=text))
        others = self.query_one("#others", OptionList)
        others.set_options([Option(_other(each, chosen=each.id == row.id)) for each in row.others])
        others.highlighted = 0 if row.others else None
        rank = say("app.tokens.rank", rank=f"{row.rank + 1:,}", id=row.id)
        hint = say("app.tokens.part") if self._can_part else ""
        self.query_one("#others-hint", Static).update(f"{rank}\n{hint}")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option_list.id == "tokens":
            self.query_one("#others", OptionList).focus()
        else:
            self.action_part()

    def action_part(self) -> None:
        """Another reply, with the highlighted token in place of the one that stands there."""
        at, other = (self.query_one(f"#{each}", OptionList).highlighted for each in ("tokens", "others"))
        if at is None or other is None:
            return
        if not self._can_part or self._first:
            self.notify(say("app.tokens.no_reply"), markup=False)
            return
        lead = (*(each.id for each in self.rows[:at]), self.rows[at].others[other].id)
        self.dismiss(Parting(lead, self._form == "drawn"))

    def action_surprise(self, step: int) -> None:
        """To the next token that was not to be expected."""
        listed = self.query_one("#tokens", OptionList)
        at = listed.highlighted or 0
        places = range(at + 1, len(self.rows)) if step > 0 else range(at - 1, -1, -1)
        found = next((each for each in places if self.rows[each].bits >= SURPRISING), None)
        if found is None:
            self.notify(say("app.tokens.no_surprise"), markup=False)
        else:
            listed.highlighted = found
            listed.focus()

    def action_close(self) -> None:
        self.dismiss(None)


def _line(number: int, row: TokenRow) -> Content:
    height = HEIGHTS[min(len(HEIGHTS) - 1, int(row.bits))]
    style = "$warning" if row.bits >= SURPRISING else "$muted"
    text = cell(token_text(row.id, row.piece), TOKEN_CELLS)
    bits = say("app.tokens.bits", bits=f"{row.bits:4.1f}")
    number_shown = Content.styled(f"{number:>4} ", "$muted")
    return number_shown + Content(text) + Content.styled(f" {bits} {height} {_percent(row.share)}", style)


def _other(candidate: Candidate, *, chosen: bool) -> Content:
    text = cell(token_text(candidate.id, candidate.piece), TOKEN_CELLS)
    mark = "• " if chosen else "  "
    return Content(f"{mark}{text} ") + Content.styled(_percent(candidate.share), "$muted")


def _percent(share: float) -> str:
    return f"{share:6.1%}" if share >= 0.0005 else " <0.1%"
