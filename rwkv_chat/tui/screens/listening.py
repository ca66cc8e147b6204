"""What a running reply tells, shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.phrases import sentences
from rwkv_chat.texts import say
from rwkv_chat.tui.screens.sending import SendingScreen

if TYPE_CHECKING:
    from rwkv_chat.session import Answered, TurnEvent, TurnFailed
    from rwkv_chat.transcript import Node
    from rwkv_chat.tui.turns import LiveReply


class ListeningScreen(SendingScreen):
    """Base of the chat screen."""

    async def turn_event(self, live: LiveReply, event: TurnEvent) -> None:
        """One event of a reply, here or in a conversation that is not shown."""
        from engine.types import NotSaved, Prefilled
        from rwkv_chat.session.events import Answered, Committed, ReplyGrew, TurnFailed, WaitingForModel

        if live.kind == "aside":
            self.tell_failed(live, event)
            self._arrived(live, event)
            return
        current = live.thread == self.thread_id
        shown = current and self.shown_id == self.thread_id
        match event:
            case Committed():
                if current:
                    await self.open_thread(event.thread)
                await self.refresh_list()
            case ReplyGrew() if live.kind == "several":
                pass  # they are shown side by side, above this screen
            case ReplyGrew() if shown:
                thought = event.part == "reasoning"
                self.transcript.grow(event.text, thought=thought, seconds=live.thought_seconds)
            case Prefilled() | WaitingForModel() if shown:
                self.transcript.hint(self.meter.hint(live))
            case NotSaved():
                self.tell_not_saved(event)
            case Answered():
                await self._answered(event, shown=shown)
                self.send_waiting(live, well=not live.stopping and event.reason != "repeats")
            case TurnFailed():
                self.send_waiting(live, well=False)
                await self._failed(live, event, shown=current)
        self._arrived(live, event)
        self.meter.take(event)
        if shown and self.meter.due(event):
            self.show_status()

    def _arrived(self, live: LiveReply, event: TurnEvent) -> None:
        """What was typed need not be kept as a draft any more: it is on the disk, answered, or given back."""
        from rwkv_chat.session.events import Answered, Committed, TurnFailed

        if isinstance(event, Committed):
            self.change_kept(live.thread)
        if live.question and isinstance(event, Committed | TurnFailed):
            self.desk.drafts.gone_out(live.question)
        if live.typed and isinstance(event, Answered | TurnFailed):
            self.desk.drafts.gone_out(live.typed)

    async def _answered(self, event: Answered, *, shown: bool) -> None:
        if shown and event.node is not None and not event.alternatives:
            self.nodes = (*self._before(event.node), event.node)
            self.transcript.finish(self.entry_of(event.node))
            self.gauge()
        elif shown:
            await self.open_thread(event.thread)
        await self.refresh_list()

    def _before(self, node: Node) -> tuple[Node, ...]:
        """The nodes up to the parent of `node`."""
        ids = [each.id for each in self.nodes]
        return self.nodes[: ids.index(node.parent) + 1] if node.parent in ids else self.nodes

    async def _command_failed(self, live: LiveReply, event: TurnFailed) -> None:
        """What was typed stands in the prompt again."""
        from rwkv_chat.explain import sentence

        if self.thread is not None:
            await self.open_thread(self.thread)
        self.back(live.typed)
        self.notify(sentence(event.error), severity="warning", markup=False)

    async def _failed(self, live: LiveReply, event: TurnFailed, *, shown: bool) -> None:
        from rwkv_chat.explain import explain, sentence
        from rwkv_chat.tui.prose.entry import Entry

        words = explain(event.error)
        lost = bool(live.question) and live.kind == "reply" and not live.committed
        if not shown:
            self.notify(sentence(event.error), severity="error", markup=False)
            if lost:
                there = any(each.id == live.thread for each in self.threads)
                self.desk.drafts.give_back(live.thread if there else None, live.question)
            return
        if live.typed and not live.text:
            await self._command_failed(live, event)
            return
        retry = "" if lost else say("app.error.retry")
        if lost:
            self.back(live.question)
        if self.thread is not None:
            await self.open_thread(self.thread)
        elif lost:
            self.thread_id = None
        text = sentences(words.what, words.advice, retry)
        self.show_empty(empty=False)
        self.transcript.drop("unanswered")
        self.transcript.add(Entry("error", "error", text, words.title))
