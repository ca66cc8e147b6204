"""The language that the settings name, before anything is said: help texts and keys are worded on import."""

from __future__ import annotations

from rwkv_chat import texts


def choose() -> None:
    """Speak as the settings say; English where there is nothing to choose, or no settings."""
    from rwkv_chat.paths import Paths

    file = Paths.find().settings_file
    try:
        named = b"language" in file.read_bytes()
    except OSError:
        return
    if not named:  # as for most people: reading settings costs the help a tenth of its time
        return
    from rwkv_chat.settings_file import SettingsFile

    texts.use(SettingsFile(file).values.language)
