"""How a conversation is spelt, for the programs that a model is exported to; the words come as arguments."""

from __future__ import annotations

import json
from dataclasses import dataclass

SLOT = "{text}"


@dataclass(frozen=True, slots=True)
class Turns:
    """Each with "{text}" where the message stands; the default is what World and G1 models know.

    Attributes:
        opening: text before the first turn.  joiner: text between an answer and the next turn.
        user: ends where the answer begins.  assistant: how a finished answer follows it.
        stops: texts that end an answer.
    """

    user: str = "User: {text}\n\nAssistant:"
    assistant: str = " {text}"
    system: str = "System: {text}"
    joiner: str = "\n\n"
    opening: str = ""
    stops: tuple[str, ...] = ("\n\nUser:",)


WORLD = Turns()


def chat_template(turns: Turns) -> str:
    """The turns as a Jinja template over `messages`, as GGUF files carry it.

    A program without Jinja looks for the name of llama.cpp's own template in it, where that one fits.
    """
    lines = ["{#- rwkv-world -#}"] if turns == WORLD else []
    lines += [
        "{{- bos_token + " + _text(turns.opening) + " -}}",
        "{%- for message in messages -%}",
        "{%- set text = message['content'] | trim -%}",
        "{%- if message['role'] == 'assistant' -%}",
        "{{- " + _filled(turns.assistant) + " -}}",
        "{%- else -%}",
        "{%- if not loop.first -%}{{- " + _text(turns.joiner) + " -}}{%- endif -%}",
        "{%- if message['role'] == 'system' -%}",
        "{{- " + _filled(turns.system) + " -}}",
        "{%- else -%}",
        "{{- " + _filled(turns.user) + " -}}",
        "{%- endif -%}",
        "{%- endif -%}",
        "{%- endfor -%}",
    ]
    return "\n".join(lines)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _filled(slots: str) -> str:
    before, _, after = slots.partition(SLOT)
    return f"{_text(before)} + text + {_text(after)}"
