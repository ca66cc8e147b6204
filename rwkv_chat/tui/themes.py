"""The program's own two themes: a calm dark one and a light one.

The three grounds are almost grey, so that a terminal of 256 colours still tells them apart.
"""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="rwkv-dark",
    primary="#7AA2C8",
    secondary="#8C9BB0",
    accent="#D9A86C",
    success="#7FB79A",
    warning="#D9A86C",
    error="#D9777A",
    foreground="#D5DAE2",
    background="#121417",
    surface="#1C1E22",
    panel="#282B30",
    dark=True,
    variables={
        "muted": "#8B95A5",
        "footer-key-foreground": "#D9A86C",
        "input-selection-background": "#7AA2C8 35%",
    },
)

LIGHT = Theme(
    name="rwkv-light",
    primary="#2F5F8F",
    secondary="#526178",
    accent="#86490A",
    success="#226544",
    warning="#86490A",
    error="#A02F35",
    foreground="#23282F",
    background="#FAFAFA",
    surface="#F0F0EE",
    panel="#E3E3E0",
    dark=False,
    variables={
        "muted": "#5A616B",
        "footer-key-foreground": "#86490A",
        "input-selection-background": "#2F5F8F 25%",
    },
)

CONTRAST_DARK = Theme(
    name="contrast-dark",
    primary="#8CC8FF",
    secondary="#C8D2E0",
    accent="#FFD166",
    success="#7CFFB2",
    warning="#FFD166",
    error="#FF9A9A",
    foreground="#FFFFFF",
    background="#000000",
    surface="#000000",
    panel="#22262B",
    dark=True,
    variables={
        "muted": "#D0D6E0",
        "footer-key-foreground": "#FFD166",
        "input-selection-background": "#8CC8FF 45%",
    },
)

CONTRAST_LIGHT = Theme(
    name="contrast-light",
    primary="#00347A",
    secondary="#2B3440",
    accent="#6A3500",
    success="#00501E",
    warning="#6A3500",
    error="#8A0010",
    foreground="#000000",
    background="#FFFFFF",
    surface="#FFFFFF",
    panel="#E4E7EB",
    dark=False,
    variables={
        "muted": "#2B3440",
        "footer-key-foreground": "#6A3500",
        "input-selection-background": "#00347A 30%",
    },
)

THEMES = (DARK, LIGHT, CONTRAST_DARK, CONTRAST_LIGHT)
ANSI_MUTED = {True: "ansi_white", False: "ansi_bright_black"}  # on a dark ground, on a light one


def defaults(theme: Theme) -> dict[str, str]:
    """Variables that our style sheets use, for themes that are not ours."""
    own = DARK if theme.dark else LIGHT
    return {"muted": ANSI_MUTED[theme.dark] if theme.ansi else own.variables["muted"]}
