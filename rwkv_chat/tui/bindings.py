"""The one table of keys: every binding with an id. No Textual here: the help text, the built-in model's
corpus and the docs are made from it too.

Texts stand in the catalogue: `keys.<id>.label` (footer, two words) and `keys.<id>.help` (one phrase).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rwkv_chat.phrases import either

_InChat = Literal["chat", "prompt", "message", "edit", "presets", "replies", "writing", "books"]
_Parts = Literal["tune", "tune_new", "compare", "settings", "log", "exact", "tokens"]
_Over = Literal["dialog", "confirm", "manner", "help", "welcome"]
Scope = Literal["app", "library", "models", "states"] | _Parts | _InChat | _Over


@dataclass(frozen=True, slots=True)
class KeyBinding:
    """One binding.

    Attributes:
        id: stable name, used by the user's key map.
        keys: Textual key names, comma separated; the first is the one shown.
        action: Textual action string.
        scope: which part owns it: the app, one of the screens, the prompt box, or what is asked over them.
        shown: whether the footer shows it.
        priority: taken before the focused widget sees the key.
    """

    id: str
    keys: str
    action: str
    scope: Scope
    shown: bool = False
    priority: bool = False


BINDINGS: tuple[KeyBinding, ...] = (
    KeyBinding("prompt.send", "enter", "send", "prompt"),
    KeyBinding("prompt.newline", "shift+enter,ctrl+j", "newline", "prompt"),
    KeyBinding("chat.stop", "escape", "stop", "chat", shown=True),
    KeyBinding("chat.new", "ctrl+n", "new_chat", "chat", shown=True, priority=True),
    KeyBinding("chat.rename", "f2", "rename_chat", "chat", priority=True),
    KeyBinding("chat.delete", "f8", "delete_chat", "chat", priority=True),
    KeyBinding("chat.undo_delete", "f9", "undo_delete", "chat", priority=True),
    KeyBinding("chat.regenerate", "f5", "regenerate", "chat", shown=True, priority=True),
    KeyBinding("chat.copy_reply", "f6", "copy_reply", "chat", priority=True),
    KeyBinding("chat.copy_block", "alt+y", "copy_block", "chat", priority=True),
    KeyBinding("chat.next", "ctrl+pagedown", "next_chat", "chat", priority=True),
    KeyBinding("chat.previous", "ctrl+pageup", "previous_chat", "chat", priority=True),
    KeyBinding("chat.scroll_up", "pageup", "scroll_transcript(-1)", "chat", priority=True),
    KeyBinding("chat.scroll_down", "pagedown", "scroll_transcript(1)", "chat", priority=True),
    KeyBinding("chat.first", "ctrl+home", "first", "chat", priority=True),
    KeyBinding("chat.last", "ctrl+end", "last", "chat", priority=True),
    KeyBinding("chat.toggle_list", "f3", "toggle_list", "chat", priority=True),
    KeyBinding("chat.toggle_sampling", "f4", "toggle_sampling", "chat", priority=True),
    KeyBinding("chat.thoughts", "ctrl+t", "toggle_thoughts", "chat", priority=True),
    KeyBinding("chat.messages", "ctrl+e", "messages", "chat", priority=True),
    KeyBinding("chat.undo", "ctrl+z", "undo", "chat", priority=True),
    KeyBinding("chat.redo", "ctrl+y", "redo", "chat", priority=True),
    KeyBinding("chat.manner", "f7", "choose_manner", "chat", priority=True),
    KeyBinding("chat.exact_prompt", "ctrl+r", "exact_prompt", "chat", priority=True),
    KeyBinding("chat.edit_outside", "alt+w", "edit_outside", "chat", priority=True),
    KeyBinding("chat.unfold", "alt+z", "unfold", "chat", priority=True),
    KeyBinding("chat.plain_view", "alt+v", "plain_view", "chat", priority=True),
    KeyBinding("chat.tokens", "ctrl+f", "tokens", "chat", priority=True),
    KeyBinding("message.edit", "e", "act('edit')", "message", shown=True),
    KeyBinding("message.regenerate", "r", "act('regenerate')", "message", shown=True),
    KeyBinding("message.alternatives", "a", "act('alternatives')", "message", shown=True),
    KeyBinding("message.branch", "b", "act('branch')", "message", shown=True),
    KeyBinding("message.go", "g", "act('go')", "message"),
    KeyBinding("message.previous", "left", "act('previous')", "message"),
    KeyBinding("message.next", "right", "act('next')", "message"),
    KeyBinding("message.begin", "w", "act('begin')", "message"),
    KeyBinding("message.continue", "c", "act('continue')", "message"),
    KeyBinding("message.copy", "y", "act('copy')", "message"),
    KeyBinding("message.block", "t", "act('block')", "message"),
    KeyBinding("message.links", "o", "act('links')", "message"),
    KeyBinding("message.bookmark", "m", "act('bookmark')", "message", shown=True),
    KeyBinding("message.pin", "p", "act('pin')", "message"),
    KeyBinding("message.tokens", "v", "act('tokens')", "message"),
    KeyBinding("message.persona", "s", "act('persona')", "message"),
    KeyBinding("message.capsule", "k", "act('capsule')", "message"),
    KeyBinding("message.delete", "delete,x", "act('delete')", "message", shown=True),
    KeyBinding("message.back", "escape", "leave", "message", shown=True),
    KeyBinding("edit.branch", "ctrl+s", "save(False)", "edit", priority=True),
    KeyBinding("edit.keep", "f2", "save(True)", "edit", priority=True),
    KeyBinding("presets.remove", "delete", "remove", "presets"),
    KeyBinding("replies.choose", "enter", "choose", "replies", shown=True),
    KeyBinding("replies.next", "right,tab", "move(1)", "replies", shown=True),
    KeyBinding("replies.previous", "left,shift+tab", "move(-1)", "replies"),
    KeyBinding("replies.scroll_down", "down,pagedown", "scroll(1)", "replies"),
    KeyBinding("replies.scroll_up", "up,pageup", "scroll(-1)", "replies"),
    KeyBinding("replies.back", "escape", "leave", "replies", shown=True),
    KeyBinding("writing.complete", "f5", "complete", "writing", shown=True, priority=True),
    KeyBinding("writing.alternatives", "f6", "alternatives", "writing", shown=True, priority=True),
    KeyBinding("writing.take_back", "f9", "take_back", "writing", shown=True, priority=True),
    KeyBinding("writing.exact_prompt", "ctrl+r", "exact_prompt", "writing", priority=True),
    KeyBinding("writing.stop", "escape", "stop", "writing", shown=True, priority=True),
    KeyBinding("books.begin", "enter", "begin", "books", shown=True),
    KeyBinding("books.pause", "p", "pause", "books", shown=True),
    KeyBinding("books.add", "a", "add", "books", shown=True),
    KeyBinding("books.remove", "delete,x", "remove", "books"),
    KeyBinding("books.back", "escape", "leave", "books", shown=True),
    KeyBinding("library.open", "enter", "open", "library"),
    KeyBinding("library.search", "slash", "search", "library", shown=True),
    KeyBinding("library.mark", "space", "mark", "library", shown=True),
    KeyBinding("library.mark_all", "m", "mark_all", "library"),
    KeyBinding("library.view", "v", "view", "library", shown=True),
    KeyBinding("library.tag", "t", "tag", "library", shown=True),
    KeyBinding("library.pin", "p", "pin", "library"),
    KeyBinding("library.archive", "a", "archive", "library"),
    KeyBinding("library.export", "e", "export", "library"),
    KeyBinding("library.import", "i", "import", "library"),
    KeyBinding("library.capsule", "c", "capsule", "library"),
    KeyBinding("library.confirm", "y", "confirm", "library"),
    KeyBinding("library.tune", "u", "tune", "library"),
    KeyBinding("library.delete", "delete,x", "delete", "library", shown=True),
    KeyBinding("library.restore", "r", "restore", "library"),
    KeyBinding("library.erase", "shift+delete", "erase", "library"),
    KeyBinding("library.back", "escape", "back", "library", shown=True),
    KeyBinding("models.act", "enter", "act", "models", shown=True),
    KeyBinding("models.pause", "p", "pause", "models", shown=True),
    KeyBinding("models.import", "i", "import", "models", shown=True),
    KeyBinding("models.verify", "v", "verify", "models"),
    KeyBinding("models.convert", "c", "convert", "models"),
    KeyBinding("models.remove", "delete,x", "remove", "models", shown=True),
    KeyBinding("models.filter", "slash", "filter", "models", shown=True),
    KeyBinding("models.back", "escape", "back", "models", shown=True),
    KeyBinding("models.online", "o", "online", "models", shown=True),
    KeyBinding("states.open", "enter", "open", "states", shown=True),
    KeyBinding("states.save", "s", "save", "states", shown=True),
    KeyBinding("states.view", "v", "view", "states", shown=True),
    KeyBinding("states.inspect", "l", "inspect", "states", shown=True),
    KeyBinding("states.mark", "space", "mark", "states"),
    KeyBinding("states.rename", "n", "rename", "states"),
    KeyBinding("states.describe", "d", "describe", "states"),
    KeyBinding("states.tag", "t", "tag", "states"),
    KeyBinding("states.rebuild", "r", "rebuild", "states"),
    KeyBinding("states.confirm", "y", "confirm", "states"),
    KeyBinding("states.export", "e", "export", "states", shown=True),
    KeyBinding("states.import", "i", "import", "states"),
    KeyBinding("states.remove", "delete,x", "remove", "states"),
    KeyBinding("states.hold", "p", "hold", "states"),
    KeyBinding("states.thin", "g", "thin", "states"),
    KeyBinding("states.budget", "b", "budget", "states"),
    KeyBinding("states.back", "escape", "back", "states", shown=True),
    KeyBinding("settings.change", "enter", "change", "settings", shown=True),
    KeyBinding("settings.next", "right", "step(1)", "settings", shown=True),
    KeyBinding("settings.previous", "left", "step(-1)", "settings"),
    KeyBinding("settings.reset", "r", "reset", "settings", shown=True),
    KeyBinding("settings.search", "slash", "search", "settings", shown=True),
    KeyBinding("settings.back", "escape", "back", "settings", shown=True),
    KeyBinding("log.search", "slash", "search", "log", shown=True),
    KeyBinding("log.copy", "c", "copy", "log", shown=True),
    KeyBinding("log.diagnostics", "d", "diagnostics", "log", shown=True),
    KeyBinding("log.back", "escape", "leave", "log", shown=True),
    KeyBinding("tokens.part", "enter", "part", "tokens", shown=True),
    KeyBinding("tokens.surprise", "n", "surprise(1)", "tokens", shown=True),
    KeyBinding("tokens.surprise_before", "p", "surprise(-1)", "tokens"),
    KeyBinding("tokens.close", "escape", "close", "tokens", shown=True),
    KeyBinding("tune.open", "enter", "open", "tune"),
    KeyBinding("tune.new", "n", "new", "tune", shown=True),
    KeyBinding("tune.stop", "s", "stop", "tune", shown=True),
    KeyBinding("tune.resume", "r", "resume", "tune", shown=True),
    KeyBinding("tune.compare", "c", "compare", "tune", shown=True),
    KeyBinding("tune.keep", "k", "keep", "tune", shown=True),
    KeyBinding("tune.export", "e", "export", "tune"),
    KeyBinding("tune.copy", "y", "copy", "tune"),
    KeyBinding("tune.remove", "delete,x", "remove", "tune"),
    KeyBinding("tune.back", "escape", "back", "tune", shown=True),
    KeyBinding("tune_new.next", "ctrl+j", "next", "tune_new", shown=True, priority=True),
    KeyBinding("tune_new.mark", "space", "mark", "tune_new"),
    KeyBinding("tune_new.back", "escape", "previous", "tune_new", shown=True),
    KeyBinding("compare.blind", "f4", "blind", "compare", shown=True, priority=True),
    KeyBinding("compare.first", "1", "judge(1)", "compare"),
    KeyBinding("compare.second", "2", "judge(2)", "compare"),
    KeyBinding("compare.third", "3", "judge(3)", "compare"),
    KeyBinding("compare.back", "escape", "leave", "compare", shown=True),
    KeyBinding("exact.view", "t", "next_view", "exact", shown=True),
    KeyBinding("exact.copy_text", "c", "copy_text", "exact", shown=True),
    KeyBinding("exact.copy_ids", "i", "copy_ids", "exact", shown=True),
    KeyBinding("exact.close", "escape", "close", "exact", shown=True),
    KeyBinding("dialog.leave", "escape", "leave", "dialog"),
    KeyBinding("confirm.next", "right,down", "move(1)", "confirm"),
    KeyBinding("confirm.previous", "left,up", "move(-1)", "confirm"),
    KeyBinding("manner.choose", "space", "choose", "manner"),
    KeyBinding("manner.leave", "escape,f7", "leave", "manner"),
    KeyBinding("help.leave", "escape,enter,q", "leave", "help"),
    KeyBinding("welcome.next", "enter,space", "go_on", "welcome"),
    KeyBinding("welcome.leave", "escape", "leave", "welcome"),
    KeyBinding("app.library", "ctrl+l", "switch_mode('library')", "app", shown=True, priority=True),
    KeyBinding("app.models", "ctrl+o", "switch_mode('models')", "app", shown=True, priority=True),
    KeyBinding("app.states", "ctrl+g", "switch_mode('states')", "app", priority=True),
    KeyBinding("app.settings", "f12", "switch_mode('settings')", "app", priority=True),
    KeyBinding("app.tune", "f10,alt+t", "switch_mode('tune')", "app", priority=True),
    KeyBinding("app.help", "f1", "toggle_help", "app", shown=True, priority=True),
    KeyBinding("app.palette", "ctrl+p", "command_palette", "app", priority=True),
    KeyBinding("app.interrupt", "ctrl+c", "help_quit", "app"),
    KeyBinding("app.quit", "ctrl+q", "quit", "app", shown=True, priority=True),
)


# A second way to what a terminal may keep for itself (`terminal_keys.py`), by id; a key map replaces both.
ALTERNATES: dict[str, str] = {
    "chat.new": "alt+n",
    "chat.rename": "alt+r",
    "chat.delete": "alt+d",
    "chat.undo_delete": "alt+u",
    "chat.regenerate": "alt+a",
    "chat.copy_reply": "alt+c",
    "chat.next": "alt+down",
    "chat.previous": "alt+up",
    "chat.scroll_up": "shift+pageup",
    "chat.scroll_down": "shift+pagedown",
    "chat.toggle_list": "alt+j",
    "chat.toggle_sampling": "alt+k",
    "chat.thoughts": "alt+i",
    "chat.messages": "alt+e",
    "chat.manner": "alt+m",
    "chat.exact_prompt": "alt+x",
    "edit.keep": "alt+k",
    "writing.complete": "alt+a",
    "writing.alternatives": "alt+v",
    "writing.take_back": "alt+u",
    "writing.exact_prompt": "alt+x",
    "tune_new.next": "alt+n",
    "compare.blind": "alt+k",
    "app.library": "alt+l",
    "app.models": "alt+o",
    "app.states": "alt+g",
    "app.settings": "alt+s",
    "app.help": "alt+h",
    "app.palette": "alt+p",
    "app.quit": "alt+q",
}


def all_keys(row: KeyBinding) -> str:
    """Its keys and the second way to them, comma separated."""
    other = ALTERNATES.get(row.id)
    return f"{row.keys},{other}" if other else row.keys


def scope(name: Scope) -> tuple[KeyBinding, ...]:
    """The rows of one scope, in table order."""
    return tuple(each for each in BINDINGS if each.scope == name)


_NAMES = {"pageup": "PageUp", "pagedown": "PageDown", "slash": "/", "full_stop": ".", "comma": ","}
_BRIEF = {"escape": "Esc", "delete": "Del", "left": "←", "right": "→", "up": "↑", "down": "↓"}


def shown_keys(keys: str) -> str:
    """Key names as people read them: "shift+enter,ctrl+j" -> "Shift+Enter or Ctrl+J"."""
    return either(_shown(key.strip()) for key in keys.split(","))


def brief_key(keys: str) -> str:
    """The first of them, where room is scarce: "delete,x" -> "Del"."""
    first = keys.partition(",")[0].strip()
    return "+".join(_BRIEF.get(part) or _name(part) for part in first.split("+"))


def _shown(key: str) -> str:
    return "+".join(_name(part) for part in key.split("+"))


def _name(part: str) -> str:
    return _NAMES.get(part, part.capitalize())
