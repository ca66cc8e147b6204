"""Themes: those that the settings name are there, and texts can be read in ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual.color import Color

from rwkv_chat.settings import THEMES
from rwkv_chat.tui.themes import CONTRAST_DARK, CONTRAST_LIGHT, DARK, LIGHT
from tests.tui.helpers import opened

if TYPE_CHECKING:
    from pathlib import Path

    from textual.theme import Theme

INKS = ("foreground", "primary", "secondary", "accent", "success", "warning", "error")
GROUNDS = ("background", "surface", "panel")


async def test_the_themes_of_the_settings_are_those_that_there_are(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, _, _):
        assert set(THEMES) - {""} == set(app.available_themes)


def ratio(one: str, other: str) -> float:
    """Contrast as WCAG 2 has it, 1…21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in _rgb(colour)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def _rgb(colour: str) -> tuple[float, float, float]:
    return Color.parse(colour).normalized


@pytest.mark.parametrize(
    ("theme", "least"),
    [(DARK, 4.5), (LIGHT, 4.5), (CONTRAST_DARK, 7.0), (CONTRAST_LIGHT, 7.0)],
    ids=lambda each: getattr(each, "name", None),
)
def test_inks_stand_out_from_their_ground(theme: Theme, least: float) -> None:
    inks = {name: getattr(theme, name) for name in INKS} | {"muted": theme.variables["muted"]}
    weak = [
        (name, ground, round(ratio(ink, getattr(theme, ground)), 2))
        for name, ink in inks.items()
        for ground in GROUNDS
        if ratio(ink, getattr(theme, ground)) < least
    ]
    assert weak == []
