"""What the States screen says of one persona, of one conversation's states, of all together."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from textual.content import Content

from rwkv_chat.dates import date_of
from rwkv_chat.explain import size
from rwkv_chat.phrases import listed
from rwkv_chat.plain_text import clean, title
from rwkv_chat.texts import say
from rwkv_chat.tui.widgets.library_list import LibraryRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.types import StateProfile
    from rwkv_chat.session.state_types import Changes, ChatUse, Persona, PersonaState, StatesUse

STEPS = "▁▂▃▄▅▆▇█"  # the smallest of a picture to its largest
MOST_HEADS = 24  # in a line of a picture


def persona_row(persona: Persona) -> LibraryRow:
    nbytes = sum(each.nbytes for each in persona.states)
    made = size(nbytes) if nbytes else "–"
    return LibraryRow(
        persona.id, persona.name, made, persona.tags, who=say(f"app.states.kind.{persona.kind}")
    )


def chat_row(use: ChatUse) -> LibraryRow:
    name = use.title.strip() or say("app.untitled")
    return LibraryRow(use.thread, name, size(use.nbytes), pinned=use.held)


def summary(use: StatesUse) -> str:
    """Room on the disk and in memory, and how often a state was there."""
    found = f"{use.hit_rate:.0%}" if use.hit_rate is not None else "–"
    return say(
        "app.states.summary",
        disk=size(use.disk_bytes),
        disk_budget=size(use.disk_budget),
        named=size(use.held_bytes),
        ram=size(use.ram_bytes),
        ram_budget=size(use.ram_budget),
        found=found,
    )


def persona_facts(persona: Persona) -> Content:
    """Everything that is known of it, a line each."""
    lines = [Content.styled(title(persona.name), "bold")]
    if persona.description:
        lines.append(Content(clean(persona.description)))
    if persona.tags:
        lines.append(Content.styled(" ".join(f"#{title(each)}" for each in persona.tags), "$accent"))
    lines.append(_fact("kind", say(f"app.states.kind.{persona.kind}")))
    lines.append(_fact("made", date_of(persona.created)))
    if persona.messages:
        lines.append(_fact("messages", f"{persona.messages:,}"))
    if persona.template:
        lines.append(_fact("template", persona.template))
    if persona.sampling:
        lines.append(_fact("sampling", listed(f"{name} {value}" for name, value in persona.sampling.items())))
    lines += [_fact("model", _state(each)) for each in persona.states]
    if persona.text:
        lines += [Content(""), Content.styled(clean(persona.text), "$muted")]
    return Content("\n").join(lines)


def _state(state: PersonaState) -> str:
    words = [title(state.model_name) or state.model[:12], state.tier]
    words.append(say("app.states.tokens", tokens=f"{state.tokens:,}"))
    words.append(size(state.nbytes) if state.nbytes else say("app.states.not_here"))
    if not state.trusted:
        words.append(say("app.states.unverified"))
    return listed(words)


def chat_facts(use: ChatUse) -> Content:
    lines = [
        Content.styled(title(use.title) or say("app.untitled"), "bold"),
        _fact("states", f"{use.states:,}"),
        _fact("size", size(use.nbytes)),
    ]
    if use.shared:
        lines.append(_fact("shared", say("app.states.shared", size=size(use.shared))))
    if use.held:
        lines.append(Content(say("app.states.held")))
    return Content("\n").join(lines)


def profile_facts(profile: StateProfile) -> Content:
    """The strength of each layer's memory, head by head: a picture."""
    head = [
        _fact("tokens", f"{profile.length:,}"),
        _fact("size", size(profile.nbytes)),
        Content(""),
        Content(say("app.states.norms")),
    ]
    return Content("\n").join([*head, *_picture(profile.norms)])


def change_facts(changes: Changes, one: str, other: str) -> Content:
    head = Content(say("app.states.changes", one=title(one), other=title(other)))
    if not changes.heads:
        return Content("\n").join([head, Content(say("app.states.not_comparable"))])
    mean = fmean(value for layer in changes.heads for value in layer)
    return Content("\n").join(
        [head, Content(say("app.states.mean", share=f"{mean:.0%}")), *_picture(changes.heads)]
    )


def _picture(layers: Sequence[Sequence[float]]) -> list[Content]:
    """A line for each layer, a bar for each head (or for some heads together)."""
    rows = [_gathered(each) for each in layers]
    most = max((value for row in rows for value in row), default=0.0)
    return [
        Content.styled(f"{place:>3} ", "$muted")
        + Content.styled("".join(_step(value, most) for value in row), "$accent")
        + Content.styled(f" {fmean(row):.3g}", "$muted")
        for place, row in enumerate(rows)
        if row
    ]


def _gathered(values: Sequence[float]) -> list[float]:
    """At most so many bars: means of as many heads as it takes."""
    each = -(-len(values) // MOST_HEADS)
    return [fmean(values[at : at + each]) for at in range(0, len(values), each)] if values else []


def _step(value: float, most: float) -> str:
    if not most > 0 or value != value:
        return STEPS[0]
    return STEPS[min(len(STEPS) - 1, int(value / most * len(STEPS)))]


def _fact(name: str, value: str) -> Content:
    return Content.styled(say(f"app.states.fact.{name}") + "  ", "$muted") + Content(value)
