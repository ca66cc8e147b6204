"""Other replies in the open conversation: again, several at once, gone on with, beside it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from rwkv_chat.texts import say
from rwkv_chat.tui.screens.asides import AsidesScreen
from rwkv_chat.tui.screens.telling import telling

if TYPE_CHECKING:
    from collections.abc import Callable

    from rwkv_chat.session import Turn
    from rwkv_chat.session.branches import Branches
    from rwkv_chat.transcript import Thread
    from rwkv_chat.tui.screens.messages import Act
    from rwkv_chat.tui.turns import LiveReply
    from rwkv_chat.tui.widgets.prompt import PromptBox

Kind = Literal["reply", "several", "aside"]
USUAL_ALTERNATIVES = 3


class AnswersScreen(AsidesScreen):
    """Base of the chat screen, which shows turns (`turn_event`)."""

    @property
    def branches(self) -> Branches:
        return self.desk.session.branches

    @property
    def prompt(self) -> PromptBox:
        raise NotImplementedError

    def idle(self) -> Thread | None:
        """The open conversation, unless a reply is being written in it; None is said."""
        if self.live is not None:
            self.notify(say("app.busy"), markup=False)
            return None
        if self.thread is None:
            self.notify(say("app.tree.nothing_open"), markup=False)
        return self.thread

    async def shown_again(self) -> None:
        """The open conversation as it is now, and the list."""
        if self.thread is not None:
            await self.refresh_list()
            await self.open_thread(self.thread)

    def answer(self, act: Act, thread: Thread) -> None:
        """Another reply to a message (or in place of a reply)."""
        chats, node = self.chats, act.node.id
        match act.what:
            case "regenerate":
                self.follow(lambda: chats.regenerate(thread.id, node=node))
            case "continue":
                self.call_later(self.go_on)
            case "begin":
                from rwkv_chat.tui.screens.dialogs import Ask

                self.app.push_screen(Ask(say("app.tree.begin")), partial(self._begun, thread, node))
            case "alternatives":
                self.alternatives(USUAL_ALTERNATIVES, node)

    def _begun(self, thread: Thread, node: str, words: str | None) -> None:
        if words:
            self.follow(lambda: self.chats.regenerate(thread.id, node=node, begin=words))

    @telling
    async def go_on(self, typed: str = "") -> bool:
        """Have the reply go on that was cut; after a crash, as it would have gone on."""
        if (thread := self.idle()) is None:
            return False
        turn = await self.chats.resume(thread.id)
        return self.follow(lambda: turn or self.chats.continue_reply(thread.id), typed=typed) is not None

    def follow(
        self, make: Callable[[], Turn], question: str = "", kind: Kind = "reply", typed: str = ""
    ) -> LiveReply | None:
        """Begin a turn; None, and a sentence, where that cannot be now. `typed` as of `LiveReply`."""
        from rwkv_chat.explain import sentence
        from rwkv_chat.session.errors import SessionError

        try:
            return self.desk.turns.follow(make(), question, kind, typed)
        except SessionError as error:
            self.notify(sentence(error), severity="warning", markup=False)
            return None

    def alternatives(self, number: int, node: str | None = None) -> bool:
        """Several replies to the last message (or to another) at once; one of them is chosen."""
        from rwkv_chat.tui.screens.replies import RepliesScreen

        if (thread := self.idle()) is None:
            return False
        asked = self._question(node)
        live = self.follow(
            lambda: self.chats.alternatives(thread.id, number, node=node), asked, kind="several"
        )
        if live is not None:
            self.app.push_screen(RepliesScreen(live, asked, number), partial(self._chosen, live))
        return live is not None

    def _question(self, node: str | None) -> str:
        """The message that is answered, for the head of what is shown."""
        nodes = self.nodes
        if node is not None and any(each.id == node for each in nodes):
            nodes = nodes[: [each.id for each in nodes].index(node) + 1]
        return next((each.message.text for each in reversed(nodes) if each.message.role == "user"), "")

    @telling
    async def _chosen(self, live: LiveReply, number: int | None) -> None:
        """One of the replies becomes the branch; all of them are kept."""
        await self.desk.turns.stop(live.thread)
        answered = live.answered
        if answered is not None and number is not None and number < len(answered.alternatives):
            await self.branches.switch(live.thread, answered.alternatives[number].id)
        await self.shown_again()
        self.prompt.focus()

    def aside(self, text: str) -> bool:
        """Asked from the present memory, and forgotten."""
        from rwkv_chat.tui.screens.replies import RepliesScreen

        if self.live is not None:
            self.notify(say("app.busy"), markup=False)
            return False
        ask = partial(self.chats.aside, self.thread_id, text)
        live = self.follow(ask, text, kind="aside", typed=f"/aside {text}")
        if live is not None:
            self.app.push_screen(RepliesScreen(live, text), lambda _: self.focus_prompt())
        return live is not None

    def focus_prompt(self) -> None:
        self.prompt.focus()
