"""How one conversation is spoken with the model that is ready: template, think mode, what is remembered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwkv_chat import templates

if TYPE_CHECKING:
    from rwkv_chat.session.border import TokenizerLike
    from rwkv_chat.session.speaker import Speaker
    from rwkv_chat.templates import Template, ThinkMode
    from rwkv_chat.transcript import Thread

RAW = "completion"


@dataclass(frozen=True, slots=True)
class Manner:
    """What a conversation's choices come to.

    Attributes:
        keep: thoughts are remembered.
        coding: under what token ids of this tokenizer and template are kept.
    """

    template: Template
    tokenizer: TokenizerLike
    mode: ThinkMode
    keep: bool
    coding: str


def manner_of(thread: Thread, speaker: Speaker, usual: str = "") -> Manner:
    """A conversation's own choices first, then the settings' think mode (`usual`), then the family's. A text
    goes on as it stands, in a template without turns.

    The settings speak of all models, so they count only where the family knows the mode; a conversation's own
    choice counts wherever its template does.

    Raises:
        TemplateInvalid: its template is gone or broken.
    """
    family = speaker.family
    template = templates.template(thread.chosen_template) if thread.chosen_template else speaker.template
    if thread.kind == "text" and template.user != templates.SLOT:
        template = templates.template(RAW)
    of_settings = (usual,) if usual in family.modes else ()
    mode = template.mode(thread.mode, *of_settings, family.mode)
    vocabulary = speaker.coding.partition("/")[0]
    coding = f"{vocabulary}/{template.name}"
    return Manner(template, speaker.tokenizer, mode, thread.keep_reasoning, coding)
