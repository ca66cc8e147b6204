"""A reply that the program's death cut goes on as the reply that it would have been."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from engine import row
from rwkv_chat.library import sampled
from rwkv_chat.paths import Paths
from rwkv_chat.session import writing
from tests.chat.real import GREEDY, answered, ask, model_folder, open_real
from tests.children import warm

if TYPE_CHECKING:
    from pathlib import Path

    from engine.types import SamplingParams
    from rwkv_chat.session import Session
    from rwkv_chat.transcript import ChatMessage, Node

LIVELY = replace(
    GREEDY, temperature=1.0, top_p=0.9, presence_penalty=0.3, seed=11, bans=(0,), max_tokens=20_000
)
SHORT = replace(LIVELY, max_tokens=5)
MORE = 60  # tokens that a cut reply goes on for
PATIENCE = 60.0


@dataclass(frozen=True)
class Case:
    """How the reply is asked for that is cut."""

    mode: str = "none"
    keep: bool = False
    number: int = 1


CASES = {
    "plain": Case(),
    "thoughts forgotten": Case("free"),
    "asked to think": Case("lot"),
    "thoughts kept": Case("free", keep=True),
    "alternatives": Case(number=3),
    "alternatives that think": Case("bit", number=2),
}


def speak(home: Path, model: Path, case: Case) -> None:
    """Answers until it is killed."""
    row.MARK_SECONDS, writing.GROWTH_SECONDS = 0.25, 0.04  # the text is there before its state, as ever
    asyncio.run(_speak(home, model, case))


async def _speak(home: Path, model: Path, case: Case) -> None:
    session = await open_real(home, model)
    await session.models.identified()
    thread = await _begun(session, case)
    if case.number > 1:
        await answered(session.chats.alternatives(thread, case.number, LIVELY))
    await answered(session.chats.send(thread, "Go on", LIVELY))


async def _begun(session: Session, case: Case) -> str:
    """A conversation in which a reply is now asked for in the case's way."""
    thread = (await ask(session, None, "One", SHORT)).thread.id
    await session.chats.configure(thread, template="classic", mode=case.mode, keep_reasoning=case.keep)
    if case.number > 1:
        await ask(session, thread, "Go on", SHORT)
        await session.chats.settled(thread)
    return thread


async def _cut(home: Path, model: Path, case: Case) -> None:
    """Leaves a home whose replies were growing when the program died, with states on their way."""
    child = warm().Process(target=speak, args=(home, model, case))  # pyright: ignore[reportAttributeAccessIssue]
    child.start()
    states, until = Paths.under(home).states / "passing", time.monotonic() + PATIENCE
    seen: set[str] = set()
    while len(seen) < 3 * case.number:
        assert child.is_alive()
        assert time.monotonic() < until
        seen |= {each.name for each in states.glob("*.safetensors")}
        await asyncio.sleep(0.01)
    child.kill()
    child.join()


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
async def test_after_a_kill_a_reply_goes_on_as_it_would_have(
    tmp_path: Path, opened: list[Session], case: Case
) -> None:
    model, home = model_folder(tmp_path / "model"), tmp_path / "home"
    await _cut(home, model, case)
    session, plain = await open_real(home, model), await open_real(tmp_path / "plain", model)
    opened += [session, plain]
    (thread,) = await session.chats.threads()
    cut = [each for each in await session.branches.siblings(str(thread.tip)) if each.status == "growing"]
    assert len(cut) == case.number
    other = await _begun(plain, case)
    for each in cut:
        whole, length = await _gone_on(session, thread.id, each, alone=case.number == 1)
        assert whole == await _never_cut(
            plain, other, case, replace(LIVELY, seed=each.seed, max_tokens=length)
        )


async def _gone_on(session: Session, thread: str, cut: Node, *, alone: bool) -> tuple[ChatMessage, int]:
    """What a cut reply says after so many tokens."""
    await session.branches.switch(thread, cut.id)
    await session.chats.settled(thread)
    length = (await session.library.run(sampled.drawn, cut.id)).length
    assert length > 0
    end = await answered(session.chats.continue_reply(thread, replace(LIVELY, seed=None, max_tokens=MORE)))
    assert end.node is not None
    assert end.usage is not None
    assert end.usage.reply_tokens == MORE
    if alone:  # several write their states one after the other: the last may have none at the kill
        assert end.usage.history_tokens < length, "it went on from a state on the way"
    siblings = {each.id for each in await session.branches.siblings(end.node.id)}
    assert cut.id not in siblings, "all of it is in the new one"
    return end.node.message, length + MORE


async def _never_cut(session: Session, thread: str, case: Case, params: SamplingParams) -> ChatMessage:
    turn = session.chats.regenerate(thread, params) if case.number > 1 else None
    end = await (answered(turn) if turn else ask(session, thread, "Go on", params))
    assert end.node is not None
    assert end.usage is not None
    assert end.usage.reply_tokens == params.max_tokens
    return end.node.message
