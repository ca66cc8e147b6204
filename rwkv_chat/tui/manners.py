"""Templates and think modes as a person may choose them, and what the model may misread: for the chat
screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat import templates
from rwkv_chat.lint import lint, sentence
from rwkv_chat.session.manner import manner_of
from rwkv_chat.templates import TemplateInvalid
from rwkv_chat.transcript import unbegun
from rwkv_chat.tui.screens.manner import Way, Ways

if TYPE_CHECKING:
    from rwkv_chat.session.manner import Manner
    from rwkv_chat.session.speaker import Speaker
    from rwkv_chat.transcript import Thread
    from rwkv_chat.tui.choices import Choices


def chosen_manner(choices: Choices, speaker: Speaker, usual: str) -> Manner | None:
    """What the choices come to with a model; None where its template cannot be read."""
    try:
        return manner_of(as_thread(choices), speaker, usual)
    except TemplateInvalid:
        return None


def usual_mode(speaker: Speaker, usual: str, choices: Choices) -> str:
    """The think mode in force where none is chosen. Raises: TemplateInvalid."""
    return manner_of(as_thread(choices), speaker, usual).mode.name


def warnings(manner: Manner | None, text: str) -> list[str]:
    """What the model may misread in a message."""
    found = lint(manner.template, text) if text.strip() and manner is not None else ()
    return [sentence(each) for each in found]


def as_thread(choices: Choices) -> Thread:
    """A new conversation with these choices."""
    return unbegun(choices.template, choices.mode, keep_reasoning=choices.keep_reasoning)


def ways(own: str) -> Ways:
    """Every template that can be read. Raises: TemplateInvalid, of the model's own."""
    found = {own: _way(own)}
    for name in templates.names():
        try:
            found.setdefault(name, _way(name))
        except TemplateInvalid:
            continue
    return Ways({name: found[name] for name in sorted(found)}, own)


def _way(name: str) -> Way:
    template = templates.template(name)
    return Way(template.title or template.name, tuple(each.name for each in template.modes))
