"""Any sequence of tree operations on the real engine, and what must hold after each and at the end: see
`test_tree_property`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.store.snapshot import layout_of, read
from engine.store.statestore import place
from engine.types import StateKey
from rwkv_chat.library import nodes, trees
from rwkv_chat.session import Answered, HasRead, Reading, SessionError
from tests.chat.real import GREEDY

if TYPE_CHECKING:
    import asyncio
    import sqlite3
    from collections.abc import Coroutine

    from engine.types import TokenIds, Usage
    from rwkv_chat.session import Session, Turn
    from rwkv_chat.transcript import Node, Thread

SHORT = replace(GREEDY, max_tokens=5, temperature=1.0)
WORDS = st.sampled_from(("one", "zwei", "三つ", "a\n\nb", "<think>", "User: x", "👩‍🚀!"))
PLACE = st.integers(0, 99)


@dataclass
class World:
    """A session, its loop, and the model again, to replay chains on."""

    session: Session
    runner: asyncio.Runner
    model: Any

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def run(self, work: Any, *args: Any) -> Any:
        return self.wait(self.session.library.run(work, *args))


class TreeMachine(RuleBasedStateMachine):
    """One conversation and its branches."""

    world: World

    @initialize(text=WORDS, system=st.sampled_from(("", "Be kind")), keep=st.booleans())
    def begin(self, text: str, system: str, keep: bool) -> None:
        self.texts: dict[str, str] = {}
        self.counts = {"states": 0}
        chats = self.world.session.chats
        self.thread: str = self._turn(lambda: chats.send(None, text, SHORT, system=system)).thread.id
        if keep:
            self.world.wait(chats.configure(self.thread, keep_reasoning=True))

    # ------------------------------------------------------------------ turns

    @rule(text=WORDS, begin=st.sampled_from(("", "Sure, ")), mode=st.sampled_from(("none", "fast", "free")))
    def send(self, text: str, begin: str, mode: str) -> None:
        chats = self.world.session.chats
        self.world.wait(chats.configure(self.thread, mode=mode))
        self._turn(lambda: chats.send(self.thread, text, SHORT, begin=begin))

    @rule(at=PLACE, seed=st.integers(0, 3))
    def regenerate(self, at: int, seed: int) -> None:
        params, node = replace(SHORT, seed=seed), self._any(at)
        self._turn(lambda: self.world.session.chats.regenerate(self.thread, params, node=node))

    @rule(number=st.integers(2, 3), chosen=PLACE)
    def alternatives(self, number: int, chosen: int) -> None:
        end = self._turn(lambda: self.world.session.chats.alternatives(self.thread, number, SHORT))
        if end is not None and end.alternatives:
            node = end.alternatives[chosen % len(end.alternatives)]
            self.world.wait(self.world.session.branches.switch(self.thread, node.id))

    @rule()
    def go_on(self) -> None:
        self._turn(lambda: self.world.session.chats.continue_reply(self.thread, SHORT))

    @rule(text=WORDS)
    def aside(self, text: str) -> None:
        before = self._everything()
        self._turn(lambda: self.world.session.chats.aside(self.thread, text, SHORT))
        assert self._everything() == before

    @rule(at=PLACE, text=WORDS, keep=st.booleans())
    def edit(self, at: int, text: str, keep: bool) -> None:
        if (node := self._any(at)) is None:
            return
        session, before = self.world.session, self._everything()
        work = session.branches.edit(self.thread, node, text, keep_following=keep, params=SHORT)
        self._either(work)
        told = {each.id: each.message for each in self._everything()}
        assert all(told[each.id] == each.message for each in before)  # the old branch stays as it was

    # ------------------------------------------------------------------ pointers

    @rule(at=PLACE, way=st.sampled_from(("go", "switch")))
    def move(self, at: int, way: str) -> None:
        if (node := self._any(at)) is not None:
            self.world.wait(getattr(self.world.session.branches, way)(self.thread, node))

    @rule(at=PLACE)
    def branch(self, at: int) -> None:
        if (node := self._any(at)) is not None:
            made: Thread = self.world.wait(self.world.session.branches.branch(self.thread, node))
            self.thread = made.id

    @rule(at=PLACE)
    def delete(self, at: int) -> None:
        if (node := self._any(at)) is not None:
            others = self._others()
            self.world.wait(self.world.session.branches.delete_branch(self.thread, node))
            assert self._others() == others

    @rule()
    def undo_and_redo(self) -> None:
        session, before = self.world.session, self._tip()
        try:
            self.world.wait(session.branches.undo(self.thread))
        except SessionError:
            return
        self.world.wait(session.branches.redo(self.thread))
        assert self._tip() == before

    @rule()
    def undo(self) -> None:
        try:
            self.world.wait(self.world.session.branches.undo(self.thread))
        except SessionError:
            assert self._tip() is None or not self._asked()

    # ------------------------------------------------------------------ memory

    @rule(at=PLACE, on=st.booleans())
    def pin(self, at: int, on: bool) -> None:
        if (node := self._any(at)) is not None:
            self.world.wait(self.world.session.branches.pin(node, on))

    @rule(turns=st.integers(0, 2))
    def refresh(self, turns: int) -> None:
        async def work() -> Reading:
            return self.world.session.branches.refresh(self.thread, turns)

        self._either(work())

    @rule(tokens=st.integers(1, 80))
    def remember_last(self, tokens: int) -> None:
        self._either(self.world.session.branches.remember_last(self.thread, tokens))

    # ------------------------------------------------------------------ what holds

    @invariant()
    def the_tip_lives(self) -> None:
        if hasattr(self, "thread") and (tip := self._tip()) is not None:
            assert self.world.run(nodes.get, tip).deleted is None

    def teardown(self) -> None:
        if not hasattr(self, "thread"):
            return
        self.world.wait(self.world.session.chats.settled(self.thread))
        self._every_state_is_its_chain_replayed()
        self._the_conversation_goes_on()

    def _every_state_is_its_chain_replayed(self) -> None:
        speaker = self.world.wait(self.world.session.models.speaking())
        codings: list[str] = self.world.run(_codings, self.thread)
        zero = self.world.model.zero_state(1)
        for node in self._everything():
            for coding in codings:
                path = self.world.run(nodes.memory, node.id, coding)
                last = path[-1].node
                if last.prefix is None or any(each.node.tokens is None for each in path):
                    continue
                tokens = tuple(token for each in path for token in each.node.tokens or ())
                key = StateKey(speaker.info.id, speaker.info.tier, "", "", last.prefix)
                file = place(self.world.session.paths.states, key)
                if not file.is_file():
                    continue
                snapshot = read(file, key, layout_of(zero), zero.arch)
                assert (snapshot.length, snapshot.pending) == (
                    len(tokens),
                    tokens[len(tokens) - len(snapshot.pending) :],
                )
                self._same(snapshot.state, tokens[: len(tokens) - len(snapshot.pending)])
                self.counts["states"] += 1

    def _same(self, state: Any, tokens: TokenIds) -> None:
        expected = self.world.model.zero_state(1)
        if tokens:
            with torch.inference_mode():
                _, expected = self.world.model.forward(torch.tensor([tokens]), expected)
        for name, found in state.tensors.items():
            torch.testing.assert_close(found, expected.tensors[name].float(), rtol=1e-3, atol=1e-4)

    def _the_conversation_goes_on(self) -> None:
        """And nothing is fed again where the state of the place was saved."""
        session, tip = self.world.session, self._tip()
        speaker = self.world.wait(session.models.speaking())
        self.world.wait(session.chats.configure(self.thread, mode="none"))
        known = False
        if tip is not None:
            path = self.world.run(nodes.memory, tip, speaker.coding)
            last = path[-1]
            keys = (last.node.prefix,) if last.node.prefix and not last.tail else ()
            known = bool(session.turns.desk.engine.known(speaker.info, keys))
        end = self._turn(lambda: session.chats.send(self.thread, "and now?", SHORT))
        assert end is not None
        usage: Usage | None = end.usage
        assert usage is not None
        assert usage.history_tokens == 0 or not known

    # ------------------------------------------------------------------ inside

    def _turn(self, begin: Any) -> Any:
        async def work() -> Answered | None:
            turn: Turn = begin()
            end = await turn.result()
            if isinstance(end, Answered):
                return end
            assert isinstance(end.error, SessionError), end.error
            return None

        return self.world.wait(work())

    def _either(self, begin: Coroutine[Any, Any, Turn | Reading]) -> None:
        async def work() -> None:
            end = await (await begin).result()
            assert isinstance(end, Answered | HasRead) or isinstance(end.error, SessionError), end

        self.world.wait(work())

    def _everything(self) -> tuple[Node, ...]:
        return self.world.run(trees.tree, self.thread).nodes

    def _any(self, at: int) -> str | None:
        """One of the messages on the way to the tip, or elsewhere in the tree."""
        ids = [each.id for each in self._everything()]
        return ids[at % len(ids)] if ids else None

    def _tip(self) -> str | None:
        return self.world.run(nodes.tip, self.thread)

    def _asked(self) -> bool:
        path = self.world.run(nodes.path, self._tip())
        return any(each.node.message.role == "user" for each in path)

    def _others(self) -> list[list[str]]:
        """What other conversations of the tree show."""
        found: list[str] = self.world.run(_of_tree, self.thread)
        paths = (self.world.run(_path_of, each) for each in found if each != self.thread)
        return [[each.node.id for each in path] for path in paths]


def _codings(db: sqlite3.Connection, thread: str) -> list[str]:
    found = db.execute(
        "SELECT DISTINCT coding FROM node_tokens JOIN nodes ON nodes.id = node WHERE tree = "
        "(SELECT tree FROM threads WHERE id = ?)",
        (thread,),
    )
    return [row[0] for row in found]


def _of_tree(db: sqlite3.Connection, thread: str) -> list[str]:
    found = db.execute(
        "SELECT id FROM threads WHERE tree = (SELECT tree FROM threads WHERE id = ?) ORDER BY id", (thread,)
    )
    return [row[0] for row in found]


def _path_of(db: sqlite3.Connection, thread: str) -> tuple[nodes.StoredNode, ...]:
    return nodes.path(db, nodes.tip(db, thread))
