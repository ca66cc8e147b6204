"""Run by test_drawing_budget.py inside a pseudo-terminal: the real app over a fake engine, with a long
conversation that no model has read. It is opened, scrolled from end to end, loses the focus and gets it back,
while its tokens are counted and the engine reads them; its text is shown as plain Static widgets; letters are
typed while nothing happens and while a reply streams. Writes what it measured as JSON.

    python -m tests.tui.long_chat HOME MESSAGES LETTERS OUT
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import events
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Markdown, Static

from engine.tokenizer import load_tokenizer
from engine.types import FeedRequest
from rwkv_chat.library import threads
from rwkv_chat.library.database import connect
from rwkv_chat.paths import Paths
from rwkv_chat.tui.app import RwkvChatApp
from rwkv_chat.tui.screens.chat import ChatScreen
from tests import fakes
from tests.fakes import FakeEngine, FakeJob, FakeReply, fake_session
from tests.tui.own_time import own_time
from tests.tui.texts import CHARACTERS_PER_TOKEN, MESSAGE, TEXTS, TOKENS_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.app import ComposeResult

    from engine.types import GenerateRequest, ScoreRequest
    from rwkv_chat.session import Session

EVENTS_PER_SECOND = 20
LETTERS = "".join(map(chr, range(0x0410, 0x0450))) + "".join(map(chr, range(0x0391, 0x03A2)))  # in no text
PATIENCE = 120.0
READ_DELAY = 0.02  # seconds for a quarter of a part: the reading goes on while one scrolls


class Stalls:
    """The longest time for which the event loop did nothing else."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._last = own_time()
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(0.002)
            self._look()

    def _look(self) -> None:
        now = own_time()
        self.longest, self._last = max(self.longest, now - self._last), now

    async def of(self, work: Callable[[], Awaitable[Any]]) -> float:
        """While something is done, until all of it is drawn."""
        await asyncio.sleep(0.05)
        self.longest = 0.0
        await work()
        await asyncio.sleep(0.05)
        return self.longest


class Memory:
    """Bytes of this process since this was made; 0 where the system does not say."""

    def __init__(self) -> None:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
        self._before = _kilobytes("VmRSS")

    def grown(self) -> float:
        return (_kilobytes("VmRSS") - self._before) * 1024.0

    def peak(self) -> float:
        return (_kilobytes("VmHWM") - self._before) * 1024.0


def _kilobytes(field: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(each.split()[1]) for each in lines if each.startswith(f"{field}:")), 0)


class LightEngine(FakeEngine):
    """Keeps nothing of what it is given to read: all that was read before comes with each part.

    Attributes:
        read: tokens so far.
    """

    read = 0

    def submit(self, request: GenerateRequest | FeedRequest | ScoreRequest) -> FakeJob:
        job = super().submit(request)
        self.read += len(request.prompt) if isinstance(request, FeedRequest) else 0
        self.feeds.clear()
        self.jobs.clear()
        return job


class Plain(Screen[None]):
    """The same messages, each as one Static widget."""

    def __init__(self, texts: list[str]) -> None:
        super().__init__()
        self.texts = texts

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield from (Static(text, markup=False) for text in self.texts)


class MeasuredApp(RwkvChatApp):
    """Measures once the conversations are there, and leaves."""

    def __init__(self, session: Session, engine: LightEngine) -> None:
        super().__init__(session)
        self.engine = engine

    def first_frame(self) -> None:
        super().first_frame()
        self.found: dict[str, float] = {}
        self.run_worker(self.measure())

    async def measure(self) -> None:
        screen = self.screen_stack[0]
        assert isinstance(screen, ChatScreen)
        await wait(lambda: screen.begun and self.desk.model.ready)
        await asyncio.sleep(1.0)  # start-up is over
        await self._long(screen, Stalls())
        await self._typing(screen)
        write_found(self.found)
        self.exit(0)

    async def _long(self, screen: ChatScreen, stalls: Stalls) -> None:
        found, memory = self.found, Memory()
        chosen = next(each for each in screen.threads if each.title == "long")
        found["open"] = await stalls.of(lambda: screen.open_thread(chosen))
        found["scroll"] = await stalls.of(lambda: self._scroll(screen))
        found["focus"] = await stalls.of(self._focus)
        await wait(lambda: self.engine.read and screen.absorbed and not screen._readings)
        found["read"] = self.engine.read
        found["grown"], found["peak"] = memory.grown(), memory.peak()
        found["markdown"] = len(self.query(Markdown))
        found["laid_out"] = screen.transcript.sheet.last - screen.transcript.sheet.first
        texts = [each.message.text for each in screen.nodes]
        found["messages"] = len(texts)
        found["plain"] = await stalls.of(lambda: self._plain(texts))
        await screen.open_thread(None)

    async def _scroll(self, screen: ChatScreen) -> None:
        """To the first message, in steps of what is laid out, and page by page through a part of it."""
        view = screen.transcript
        while view.sheet.first or view.scroll_offset.y:
            view.scroll_to(y=0, animate=False)
            await asyncio.sleep(0.001)
        for _ in range(50):
            view.scroll_pages(1)
            await asyncio.sleep(0.005)
        while not (view.sheet.at_end and view.is_vertical_scroll_end):
            view.scroll_to(y=view.max_scroll_y, animate=False)
            await asyncio.sleep(0.001)

    async def _focus(self) -> None:
        self.post_message(events.AppBlur())
        await wait(lambda: not self.app_focus)
        await asyncio.sleep(0.05)
        self.post_message(events.AppFocus())
        await wait(lambda: self.app_focus)

    async def _plain(self, texts: list[str]) -> None:
        plain = Plain(texts)
        await self.push_screen(plain)
        box = plain.query_one(VerticalScroll)
        await wait(lambda: box.max_scroll_y > 0)
        for share in range(10, -1, -1):
            box.scroll_to(y=box.max_scroll_y * share // 10, animate=False)
            await asyncio.sleep(0.005)
        await self.pop_screen()

    # ---------------------------------------------------------------- typing

    async def _typing(self, screen: ChatScreen) -> None:
        screen.prompt.focus()
        count = int(sys.argv[3])
        self.found["idle"] = worst(await self._letters(screen, count))
        screen.send("Go on.")
        await wait(lambda: screen.live is not None and len(screen.live.text) > 100)
        self.found["busy"] = worst(await self._letters(screen, count))
        assert screen.live is not None, "the reply ended before the letters"
        screen.action_stop()
        await wait(lambda: screen.live is None)

    async def _letters(self, screen: ChatScreen, count: int) -> list[float]:
        """Seconds from a key to its drawing, each."""
        found: list[float] = []
        driver = self._driver
        assert driver is not None
        write, drawn = driver.write, asyncio.Event()
        wanted = [""]

        def watched(data: str) -> None:
            write(data)
            if wanted[0] and wanted[0] in data:
                drawn.set()

        driver.write = watched  # pyright: ignore[reportAttributeAccessIssue]
        for place in range(count):
            screen.prompt.text = ""
            await asyncio.sleep(0.03)
            wanted[0] = letter = LETTERS[place % len(LETTERS)]
            drawn.clear()
            start = own_time()
            self.post_message(events.Key(letter, letter))
            await asyncio.wait_for(drawn.wait(), PATIENCE)
            found.append(own_time() - start)
            wanted[0] = ""
        driver.write = write
        return found


def worst(seconds: list[float]) -> float:
    """The 99th percentile."""
    return sorted(seconds)[max(0, round(len(seconds) * 0.99) - 1)]


def write_found(found: dict[str, float]) -> None:
    Path(sys.argv[4]).write_text(json.dumps(found))


async def wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        await asyncio.sleep(0.005)


def write_long(home: Path, messages: int) -> None:
    """A conversation whose replies have Markdown of every kind."""
    text = TEXTS["mixed"](MESSAGE)
    with closing(connect(Paths.under(home).make().database)) as db:
        db.execute("BEGIN")
        thread, tip = threads.new_id(), None
        made = "INSERT INTO threads (id, tree, title, updated) VALUES (?, ?, 'long', 1)"
        db.execute(made, (thread, thread))
        for at in range(messages):
            role = "assistant" if at % 2 else "user"
            values = f"n{at}", thread, tip, role, f"Message {at}.\n\n{text}"
            db.execute("INSERT INTO nodes (id, tree, parent, role, text) VALUES (?, ?, ?, ?, ?)", values)
            tip = f"n{at}"
        db.execute("UPDATE threads SET tip = ? WHERE id = ?", (tip, thread))
        db.execute("COMMIT")


async def main() -> None:
    home = Path(sys.argv[1])
    write_long(home, int(sys.argv[2]))
    fakes.SPEC = replace(fakes.SPEC, vocab_size=65_536)  # the text is counted in tokens of a real vocabulary
    chunk = TOKENS_PER_SECOND * CHARACTERS_PER_TOKEN // EVENTS_PER_SECOND
    endless = FakeReply(TEXTS["mixed"](chunk * EVENTS_PER_SECOND * 120))
    engine = LightEngine([endless], delay=1 / EVENTS_PER_SECOND, chunk=chunk, feed_delay=READ_DELAY)
    session = await fake_session(home, engine)
    session._load_tokenizer = load_tokenizer
    await session.change_settings(first_run_done=True)
    await MeasuredApp(session, engine).run_async()
    await session.close()


if __name__ == "__main__":
    asyncio.run(main())
