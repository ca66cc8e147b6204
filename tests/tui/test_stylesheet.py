"""Style rules that are kept and narrowed: every widget gets the styles that Textual's own sheet gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.css.stylesheet import Stylesheet

from rwkv_chat.tui.modes import MODES
from tests.tui.helpers import opened, say_to, until

if TYPE_CHECKING:
    from pathlib import Path

    from textual.dom import DOMNode

    from rwkv_chat.tui.app import RwkvChatApp


def looks(node: DOMNode) -> dict[str, Any]:
    """A widget's styles and those of its parts, by name."""
    parts = {name: styles.base.get_rules() for name, styles in node._component_styles.items()}  # pyright: ignore[reportAttributeAccessIssue]
    return {"": node._css_styles.get_rules(), **parts}


def plain(app: RwkvChatApp) -> Stylesheet:
    """Textual's own sheet of the same sources."""
    sheet = Stylesheet(variables=app.get_css_variables())
    sheet.source = dict(app.stylesheet.source)
    sheet.parse()
    return sheet


async def test_every_widget_looks_as_with_textuals_own(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        await say_to(pilot, screen, "hello")
        for mode in MODES:
            app.switch_mode(mode)
            await until(pilot, lambda mode=mode: app.current_mode == mode)
        sheet, seen = plain(app), 0
        for shown in [each for stack in app._screen_stacks.values() for each in stack]:
            for node in shown.walk_children(with_self=True):
                app.stylesheet.apply(node)
                ours = looks(node)
                sheet.apply(node)
                assert looks(node) == ours, node
                seen += len(ours)
        assert seen > 100


async def test_a_theme_that_was_left_is_not_parsed_again(tmp_path: Path) -> None:
    async with opened(tmp_path, theme="rwkv-dark") as (app, pilot, _):
        dark = list(app.stylesheet.rules)
        app.theme = "rwkv-light"
        await pilot.pause()
        light = list(app.stylesheet.rules)
        app.theme = "rwkv-dark"
        await pilot.pause()
        assert [id(each) for each in app.stylesheet.rules] == [id(each) for each in dark]
        assert not {id(each) for each in light} & {id(each) for each in dark}
