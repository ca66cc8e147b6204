"""Numbers of the last and the running reply, as the status line shows them."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from rwkv_chat.explain import resumed_words
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from engine.types import Usage
    from rwkv_chat.session import TurnEvent
    from rwkv_chat.tui.desk import Desk
    from rwkv_chat.tui.turns import LiveReply
    from rwkv_chat.tui.widgets.status_line import Status


REFRESH_SECONDS = 0.5


class Meter:
    """Speeds and where the state came from."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._usages: dict[str, Usage] = {}  # by conversation: its last reply's
        self._shown = 0.0
        self._last: TurnEvent | None = None

    def take(self, event: TurnEvent) -> None:
        from rwkv_chat.session.events import Answered

        if isinstance(event, Answered) and event.usage is not None:
            self._usages[event.thread.id] = event.usage

    def due(self, event: TurnEvent) -> bool:
        """Whether the line should be drawn anew: a growing reply changes it at most a few times a second."""
        from rwkv_chat.session.events import ReplyGrew

        now, before = monotonic(), self._last
        self._last = event
        goes_on = isinstance(event, ReplyGrew) and isinstance(before, ReplyGrew) and event.part == before.part
        if goes_on and now - self._shown < REFRESH_SECONDS:
            return False
        self._shown = now
        return True

    def status(self, thread: str | None, live: LiveReply | None) -> Status:
        """The line for a conversation (None: a new one) and the reply being written in it, if any."""
        status = self._speeds(self.desk.idle_status(), self._usages.get(thread or ""))
        if live is not None and live.stopping:
            return replace(status, phase="stopping")
        if live is None or live.waiting or not self.desk.model.ready:
            return status
        if live.reasoning and not live.text:
            return replace(status, phase="thinking", decode=live.rate)
        if live.rate or live.text:
            return replace(status, phase="writing", decode=live.rate)
        done = live.prefilled.done / live.prefilled.total if live.prefilled and live.prefilled.total else None
        return replace(status, phase="reading", share=done)

    def _speeds(self, status: Status, usage: Usage | None) -> Status:
        if usage is None:
            return status
        fed = usage.prompt_tokens + usage.history_tokens
        return replace(
            status,
            prefill=fed / usage.prefill_seconds if usage.prefill_seconds > 0 else 0.0,
            decode=usage.reply_tokens / usage.decode_seconds if usage.decode_seconds > 0 else 0.0,
            source=usage.source,
        )

    def resumed(self, live: LiveReply | None) -> str:
        """Of a reply that a crash cut and that goes on: whether it is sampled as it was."""
        if live is None or live.resumed is None:
            return ""
        return resumed_words(live.resumed.changed)

    def hint(self, live: LiveReply) -> str:
        """What stands in place of a reply until its first word comes."""
        if live.stopping:
            return say("app.hint.stopping")
        if live.waiting or not self.desk.model.ready:
            return say("app.hint.waiting")
        if live.prefilled is not None and live.prefilled.rebuilt:
            return say("app.hint.rebuilding", done=live.prefilled.done, total=live.prefilled.total)
        return say("app.hint.reading")
