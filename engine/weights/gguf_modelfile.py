"""The Modelfile that makes a GGUF file known to Ollama: template, stop texts and sampling.

Read from Ollama's `docs/modelfile.md`, `docs/template.md`, `parser/parser.go` and `template/template.go`: the
template is Go's; a value in three quotes may hold line ends and is taken as it is; there are no escapes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from engine.errors import InvalidRequest
from engine.weights.gguf_tokens import BEGIN
from engine.weights.place import in_place_of
from engine.weights.turns import SLOT, WORLD, Turns

if TYPE_CHECKING:
    from pathlib import Path

    from engine.types import SamplingParams

CONTEXT = 32_768  # tokens of a prompt that Ollama does not cut; the model's state is as large for any number
SUFFIX = ".Modelfile"
# what Ollama calls a sampling parameter; the decay of penalties has no place there
_PARAMETERS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "num_predict": "max_tokens",
}


def modelfile(gguf: Path, turns: Turns = WORLD, sampling: SamplingParams | None = None) -> str:
    """The text of the Modelfile that stands beside `gguf`.

    Raises:
        InvalidRequest: the file's name cannot be written there.
    """
    if any(letter in gguf.name for letter in '"\r\n'):
        raise InvalidRequest("a file name that Ollama can read")
    lines = [f'FROM "./{gguf.name}"', f"TEMPLATE {_quoted(template(turns))}"]
    lines += [f"PARAMETER stop {_quoted(text)}" for text in turns.stops]
    lines += [f"PARAMETER num_ctx {CONTEXT}", "PARAMETER repeat_penalty 1"]
    if sampling is not None:
        lines += [f"PARAMETER {theirs} {getattr(sampling, ours):g}" for theirs, ours in _PARAMETERS.items()]
    return "\n".join(lines) + "\n"


def modelfile_path(gguf: Path) -> Path:
    """Where the Modelfile of a GGUF stands."""
    return gguf.with_suffix(SUFFIX)


def write_modelfile(
    gguf: Path, turns: Turns = WORLD, sampling: SamplingParams | None = None, *, overwrite: bool = False
) -> Path:
    """Writes it beside `gguf`; returns its path.

    Raises:
        FileInTheWay: one stands there, and `overwrite` is not said.  DiskFailed, InvalidRequest.
    """
    path, text = modelfile_path(gguf), modelfile(gguf, turns, sampling)
    with in_place_of(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path


def template(turns: Turns) -> str:
    """The turns as a Go template over `.Messages`; token 0 begins the conversation."""
    assistant, system, user = (_filled(text) for text in (turns.assistant, turns.system, turns.user))
    return (
        f"{BEGIN.decode()}{_literal(turns.opening)}"
        "{{ range $i, $m := .Messages }}"
        f'{{{{ if eq $m.Role "assistant" }}}}{assistant}'
        f"{{{{ else }}}}{{{{ if $i }}}}{_literal(turns.joiner)}{{{{ end }}}}"
        f'{{{{ if eq $m.Role "system" }}}}{system}{{{{ else }}}}{user}{{{{ end }}}}'
        "{{ end }}{{ end }}"
    )


def _filled(slots: str) -> str:
    before, _, after = slots.partition(SLOT)
    return f"{_literal(before)}{{{{ $m.Content }}}}{_literal(after)}"


def _literal(text: str) -> str:
    """Text as it is, but inside an action where Go or the Modelfile would read more into it."""
    if "{{" in text or '"' in text:
        return "{{ " + json.dumps(text, ensure_ascii=False) + " }}"
    return text


def _quoted(text: str) -> str:
    """A value in three quotes.  Raises InvalidRequest where it holds them itself."""
    if '"""' in text or text.endswith('"'):
        raise InvalidRequest("a text that a Modelfile can hold")
    return f'"""{text}"""'
