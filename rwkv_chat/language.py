"""The language that the settings name, before anything is said: help texts and keys are worded on import."""

from __future__ import annotations

from rwkv_chat import texts


def choose() -> None:
    """Speak as the settings say; English where there is nothing to choose, or no settings."""
    if len(texts.languages()) == 1:
        return
    from rwkv_chat.paths import Paths
    from rwkv_chat.settings_file import SettingsFile

    texts.use(SettingsFile(Paths.find().settings_file).values.language)
