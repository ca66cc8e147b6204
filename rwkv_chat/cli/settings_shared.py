"""What the commands of `rwkv-chat settings` share."""

from __future__ import annotations

from rwkv_chat.cli.output import note
from rwkv_chat.explain import settings_sentence
from rwkv_chat.paths import Paths
from rwkv_chat.settings_file import SettingsFile


def settings_file() -> SettingsFile:
    """The person's file; what is wrong with it is told. Raises: FolderUnusable."""
    file = SettingsFile(Paths.find().make().settings_file)
    if file.warning:
        note(settings_sentence(file.warning))
    return file
