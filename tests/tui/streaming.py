"""Run by test_drawing_budget.py inside a pseudo-terminal: the real app over a fake engine that streams one
long reply at 150 tokens a second. Writes what it measured as JSON.

    python -m tests.tui.streaming HOME KIND SECONDS OUT
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from rwkv_chat.session.events import Answered, ReplyGrew
from rwkv_chat.tui.app import RwkvChatApp
from tests.fakes import FakeEngine, FakeReply, fake_session
from tests.tui.own_time import own_time
from tests.tui.texts import CHARACTERS_PER_TOKEN, TEXTS, TOKENS_PER_SECOND

EVENTS_PER_SECOND = 20


class MeasuredApp(RwkvChatApp):
    """Sends one message after the first frame, and leaves when it is answered."""

    def first_frame(self) -> None:
        super().first_frame()
        self.started: tuple[float, float] | None = None
        self.screen_of_chat = self.screen
        self.run_worker(self.begin())

    async def begin(self) -> None:
        while not getattr(self.screen_of_chat, "begun", False):  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0.01)
        await asyncio.sleep(1.0)  # start-up is not streaming
        listener = self.desk.turns.listener
        assert listener is not None

        async def measured(live, event):
            await listener(live, event)
            if isinstance(event, ReplyGrew) and self.started is None:
                self.started = own_time(), time.process_time()
            if isinstance(event, Answered):
                self.finish(event)

        self.desk.turns.listener = measured
        self.screen.send("Go on.")  # pyright: ignore[reportAttributeAccessIssue]

    def finish(self, event: Answered) -> None:
        assert self.started is not None
        wall = own_time() - self.started[0]
        cpu = time.process_time() - self.started[1]
        text = event.node.message.text if event.node else ""
        Path(sys.argv[4]).write_text(json.dumps({"wall": wall, "cpu": cpu, "characters": len(text)}))
        self.exit(0)


async def main() -> None:
    home, kind, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    length = int(seconds * TOKENS_PER_SECOND * CHARACTERS_PER_TOKEN)
    text = TEXTS[kind](length)
    chunk = TOKENS_PER_SECOND * CHARACTERS_PER_TOKEN // EVENTS_PER_SECOND
    engine = FakeEngine([FakeReply(text)], delay=1 / EVENTS_PER_SECOND, chunk=chunk)
    session = await fake_session(home, engine)
    await session.change_settings(first_run_done=True)
    await MeasuredApp(session).run_async()
    await session.close()


if __name__ == "__main__":
    asyncio.run(main())
