"""A reply that the program's death cut goes on as the reply that it would have been."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from engine import row
from rwkv_chat.paths import Paths
from rwkv_chat.session import ReplyGrew, writing
from tests.chat.real import GREEDY, answered, ask, model_folder, open_real, told
from tests.children import warm

if TYPE_CHECKING:
    from pathlib import Path

    from rwkv_chat.session import Session

LIVELY = replace(
    GREEDY, temperature=1.0, top_p=0.9, presence_penalty=0.3, seed=11, bans=(0,), max_tokens=20_000
)
PATIENCE = 60.0


def speak(home: Path, model: Path) -> None:
    """Answers until it is killed."""
    row.MARK_SECONDS = writing.GROWTH_SECONDS = 0.1
    asyncio.run(_speak(home, model))


async def _speak(home: Path, model: Path) -> None:
    session = await open_real(home, model)
    await session.models.identified()
    async for event in session.chats.send(None, "Go on", LIVELY):
        if isinstance(event, ReplyGrew):
            (home / "shown").write_text(json.dumps(event.tokens))


async def test_after_a_kill_a_reply_goes_on_as_it_would_have(tmp_path: Path, opened: list[Session]) -> None:
    model, home = model_folder(tmp_path / "model"), tmp_path / "home"
    child = warm().Process(target=speak, args=(home, model))  # pyright: ignore[reportAttributeAccessIssue]
    child.start()
    states, until = Paths.under(home).states / "passing", time.monotonic() + PATIENCE
    seen: set[str] = set()
    while len(seen) < 4:
        assert child.is_alive()
        assert time.monotonic() < until
        seen |= {each.name for each in states.glob("*.safetensors")}
        await asyncio.sleep(0.01)
    child.kill()
    child.join()

    session = await open_real(home, model)
    opened.append(session)
    (thread,) = await session.chats.threads()
    cut = (await told(session, thread.id)).nodes[-1]
    assert cut.status == "growing"
    written = len(cut.tokens or ())
    assert written > 10
    params = replace(LIVELY, seed=None, max_tokens=60)  # its own seed is known
    end = await answered(session.chats.continue_reply(thread.id, params))
    assert end.usage is not None
    assert end.usage.history_tokens < written, "it went on from a state on the way"
    whole = (await told(session, thread.id)).nodes[-1].tokens or ()
    assert len(whole) == written + 60

    plain = await open_real(tmp_path / "plain", model)
    opened.append(plain)
    never = await ask(plain, None, "Go on", replace(LIVELY, max_tokens=len(whole)))
    assert (await told(plain, never.thread.id)).nodes[-1].tokens == whole
    texts = [(await told(s, t)).texts[-1] for s, t in ((session, thread.id), (plain, never.thread.id))]
    assert texts[0] == texts[1]
