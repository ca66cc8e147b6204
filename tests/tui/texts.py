"""Long replies to stream: mixed Markdown, one long list, one long code fence."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TOKENS_PER_SECOND, CHARACTERS_PER_TOKEN = 150, 4
MESSAGE = 1_200  # characters of each message in a long conversation

BLOCK = """## Part {n}

A recurrent model reads **one token** at a time and keeps *everything it needs* in a state of one size: the
{n}th word costs exactly what the first one did. See `state_{n}` and the [notes](https://example.org/{n}).

- the first thing about part {n} is that it is short
- the second is a little longer, so that it has to wrap when the column is not wide enough for it

```python
def part_{n}(state: dict[str, int]) -> int:
    # count what was seen
    return sum(state.values()) + {n}
```

| key | value |
| --- | --- |
| part | {n} |

"""
ITEM = "- item {n}: a point with **some** weight and `code_{n}`, long enough to wrap in a narrow column\n"
LINE = "    total_{n} = compute(value_{n}, scale={n}) + previous  # step {n} of many\n"


def mixed(length: int) -> str:
    return _repeated(BLOCK, length)


def one_list(length: int) -> str:
    return _repeated(ITEM, length)


def one_fence(length: int) -> str:
    return "```python\n" + _repeated(LINE, length - 20) + "```\n"


def one_paragraph(length: int) -> str:
    return _repeated("word {n} of a paragraph that never ends and ", length)


TEXTS: dict[str, Callable[[int], str]] = {
    "mixed": mixed,
    "list": one_list,
    "fence": one_fence,
    "paragraph": one_paragraph,
}


def _repeated(template: str, length: int) -> str:
    parts: list[str] = []
    while sum(map(len, parts)) < length:
        parts.append(template.replace("{n}", str(len(parts) + 1)))
    return "".join(parts)[:length]
