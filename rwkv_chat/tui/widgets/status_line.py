"""One line: which model, how fast, how much it remembers in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from textual.content import Content
from textual.widgets import Static

from rwkv_chat.explain import size
from rwkv_chat.plain_text import title
from rwkv_chat.texts import say

Phase = Literal["starting", "loading", "ready", "reading", "thinking", "writing", "stopping", "failed"]
COLOURS: dict[Phase, str] = {
    "starting": "$muted",
    "loading": "$warning",
    "ready": "$success",
    "reading": "$accent",
    "thinking": "$accent",
    "writing": "$accent",
    "stopping": "$warning",
    "failed": "$error",
}
GAP = "   "


@dataclass(frozen=True, slots=True)
class Status:
    """What the line says; empty values are left out.

    Attributes:
        share: how far the phase is, 0…1 (loading, reading), None where unknown.
        prefill, decode: tokens per second.
        state_bytes: size of one conversation's state.
        source: where the state of the last reply came from.
        manner: what was chosen of think mode and template.
        download: how far downloads, and texts that are read, are, in words.
        absorbed: how much of the conversation the model has taken in, in words.
        private: nothing of what is said is written.
        device, memory: where the model is, and bytes that it takes up there.
    """

    model: str
    phase: Phase = "starting"
    share: float | None = None
    tier: str = ""
    prefill: float = 0.0
    decode: float = 0.0
    state_bytes: int = 0
    source: str = ""
    manner: str = ""
    download: str = ""
    absorbed: str = ""
    private: bool = False
    device: str = ""
    memory: int = 0


class StatusLine(Static):
    """Shows a `Status`; what does not fit is left out from the end."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self._status = Status("")

    def show(self, status: Status) -> None:
        if status != self._status:
            self._status = status
            self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        content = _first(self._status)
        for part in _parts(self._status):
            longer = content + Content.styled(GAP + part, "$muted")
            if longer.cell_length > self.content_size.width:
                break
            content = longer
        self.update(content, layout=False)


def _first(status: Status) -> Content:
    phase = say(f"app.status.{status.phase}")
    if status.share is not None:
        phase += f" {status.share:.0%}"
    dot = Content.styled("● ", COLOURS[status.phase])
    first = dot + Content.styled(title(status.model), "bold") + Content.styled(f"  {phase}", "$muted")
    if status.private:
        first += Content.styled(GAP + say("app.status.private"), "bold $warning")
    return first


def _parts(status: Status) -> list[str]:
    return [
        *([status.download] if status.download else []),
        *([status.manner] if status.manner else []),
        *([say("app.status.decode", rate=_rate(status.decode))] if status.decode else []),
        *([status.absorbed] if status.absorbed else []),
        *([say("app.status.state", size=size(status.state_bytes))] if status.state_bytes else []),
        *([say(f"app.status.source.{status.source}")] if status.source else []),
        *([say("app.status.prefill", rate=_rate(status.prefill))] if status.prefill else []),
        *([status.tier] if status.tier else []),
        *([_memory(status)] if status.memory else []),
    ]


def _memory(status: Status) -> str:
    return say("app.status.memory", device=status.device, size=size(status.memory))


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
