"""Tools in prompts: lists, calls and results as text, and calls in a reply as data. Nothing is executed.

The forms stand in the table `[tools]` of a template's file.
"""

from __future__ import annotations

import ast
import functools
import json
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rwkv_chat.paths import resource
from rwkv_chat.template_files import FOLDER
from rwkv_chat.templates import TemplateInvalid

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

LARGEST_CALL = 1 << 16  # characters; a longer fence is no call
_MARKED = re.compile(r"\*\*Tool Call:\*\*\s*```json\s*(.*?)```", re.DOTALL)
_LEGACY = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_FENCE = re.compile(r"```json\s*(.*?)```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Tool:
    """What a model may call; `parameters` is a JSON schema of an object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a model wants called."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolForm:
    """How one template writes tools.

    Attributes:
        tool: one tool: {name}, {description}, {parameters} (its schema), {signature} (names and types).
        before, after: lines around the list.
        call, result: a past call ({call}) in an assistant's turn, and its result ({result}) as a turn.
        indent: of JSON; None for one line.
    """

    tool: str
    call: str
    result: str
    before: str = ""
    after: str = ""
    indent: int | None = None

    def listing(self, tools: Sequence[Tool], system: str = "") -> str:
        """The text of a system turn that offers these tools."""
        parts = (system, self.before, *map(self._tool, tools), self.after.strip("\n"))
        return "\n".join(each for each in parts if each)

    def calls(self, calls: Sequence[ToolCall]) -> str:
        """The text of an assistant's turn that made these calls."""
        return "\n".join(self.call.replace("{call}", self._json(_plain(each))) for each in calls)

    def answer(self, result: object) -> str:
        """The turn that gives a call's result back (any JSON value), up to where the model goes on."""
        return self.result.replace("{result}", self._json(result))

    def _tool(self, tool: Tool) -> str:
        values = {
            "name": tool.name,
            "description": tool.description,
            "parameters": json.dumps(tool.parameters, indent=2, ensure_ascii=False),
            "signature": _signature(tool.parameters),
        }
        return re.sub(r"\{(\w+)\}", lambda found: values[found.group(1)], self.tool)

    def _json(self, value: object) -> str:
        return json.dumps(value, indent=self.indent, ensure_ascii=False)


def _plain(call: ToolCall) -> dict[str, Any]:
    return {"name": call.name, "arguments": dict(call.arguments)}


def _signature(parameters: Mapping[str, Any]) -> str:
    """`city: string, days: integer`, from a schema's properties."""
    properties = parameters.get("properties", {})
    return ", ".join(f"{name}: {each.get('type', 'any')}" for name, each in properties.items())


@functools.cache
def form_of(template: str) -> ToolForm | None:
    """The form of the shipped template called `template`; None where it knows no tools.

    Raises:
        TemplateInvalid: the table is not one.
    """
    path = resource(FOLDER) / f"{template}.toml"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8")).get("tools")
        return None if values is None else ToolForm(**values)
    except (OSError, TypeError, ValueError) as error:
        raise TemplateInvalid(str(path), str(error)) from error


# ------------------------------------------------------------------------------------------------ reading


def calls_in(text: str, known: Collection[str] = ()) -> tuple[ToolCall, ...]:
    """The calls in a reply, in order.

    A call is a JSON object with a name after `**Tool Call:**` or in `<tool_call>`; a bare JSON fence only
    where its name is one of `known`. What is not one is text and nothing else.
    """
    found: dict[int, ToolCall] = {}
    taken: list[tuple[int, int]] = []
    for start, end, body, bare in _bodies(text):
        call = None if any(a < end and start < b for a, b in taken) else _call(body)
        if call is not None and (not bare or call.name in known):
            found[start] = call
            taken.append((start, end))
    return tuple(found[start] for start in sorted(found))


def _bodies(text: str) -> Iterator[tuple[int, int, str, bool]]:
    """(start, end, inside, bare) of everything that may be a call; the surest kinds first."""
    for pattern in (_MARKED, _LEGACY, _FENCE):
        for match in pattern.finditer(text):
            yield match.start(), match.end(), match.group(1), pattern is _FENCE


def _call(body: str) -> ToolCall | None:
    value = _value(body.strip())
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    arguments = value.get("arguments", {})
    if isinstance(arguments, str):
        arguments = _value(arguments)
    return ToolCall(value["name"], arguments) if isinstance(arguments, dict) else None


def _value(body: str) -> object:
    """JSON, or a Python literal as small models write it; None for anything else."""
    if len(body) > LARGEST_CALL:
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            return read(body)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return None
