"""The terminal interface: one app, one mode per main screen, one table of keys.

The session is opened before the app (a database and a settings file: no torch) and closed after it, so that
whatever ends the app, replies are kept. What the first frame can do without is imported after it, the
conversations come next, and then the model begins to load.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import threading
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import App
from textual.filter import Monochrome
from textual.worker import WorkerFailed

from rwkv_chat.paths import colours_wanted
from rwkv_chat.plain_text import pasted, title
from rwkv_chat.texts import say
from rwkv_chat.tui import applying
from rwkv_chat.tui.colourless import COLOURLESS
from rwkv_chat.tui.desk import Desk
from rwkv_chat.tui.keymap import ROWS, keys_of, scopes_of, split, trouble_words
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.leaving import Leaving
from rwkv_chat.tui.mishaps import Mishaps, traced
from rwkv_chat.tui.modes import MODES
from rwkv_chat.tui.screens.chat import ChatScreen
from rwkv_chat.tui.stylesheet import KeptStylesheet
from rwkv_chat.tui.terminal import VanishingFile
from rwkv_chat.tui.themes import DARK, THEMES, defaults
from rwkv_chat.tui.working import start_vital, start_work

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from textual.command import Provider
    from textual.driver import Driver
    from textual.filter import LineFilter
    from textual.types import AnimationLevel

    from rwkv_chat.session import Session

log = logging.getLogger(__name__)


QUIT_TOLD_SECONDS = 5.0
EVERYWHERE = ("app.help", "app.quit")
SIGNALS = ("SIGTERM", "SIGHUP")
PUSH_TITLE, POP_TITLE = "\x1b[22;2t", "\x1b[23;2t"


def _everything() -> type[Provider]:
    from rwkv_chat.tui.commands import Everything

    return Everything


class RwkvChatApp(App[int], inherit_bindings=False):
    """RWKV Chat in the terminal."""

    CSS_PATH = Path(__file__).with_name("app.tcss")  # absolute: a subclass may live elsewhere
    TITLE = say("app.title")
    DEFAULT_MODE = "chat"
    BINDINGS = textual_bindings("app")
    COMMANDS: ClassVar = {_everything}
    ENABLE_COMMAND_PALETTE = True

    def __init__(self, session: Session) -> None:
        self.session = session  # the first title asks for it
        super().__init__()
        self.no_color = not colours_wanted()
        self.desk = Desk(session)
        self.terminal: VanishingFile | None = None
        self._leaving = Leaving(self)
        self._lent = self._failed = False
        self._quit_told = -QUIT_TOLD_SECONDS  # when it was said what quits
        for name, screen in MODES.items():
            self.add_mode(name, partial(screen, self.desk))
        for theme in THEMES:
            self.register_theme(theme)
        self.usual_motion: AnimationLevel = self.animation_level
        self.theme = session.settings.theme or DARK.name
        self.stylesheet = KeptStylesheet(variables=self.get_css_variables())
        self._key_troubles = applying.keys(self)
        self.desk.on_change = partial(applying.apply, self)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's, but that no colours means no greys either."""
        found = [each for each in super().get_line_filters() if not isinstance(each, Monochrome)]
        return [*found, COLOURLESS] if self.no_color else found

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return defaults(self.current_theme)

    # ---------------------------------------------------------------- start and end

    def on_mount(self) -> None:
        self._catch_signals()
        asyncio.get_running_loop().set_exception_handler(Mishaps(self))
        self.send(PUSH_TITLE)
        self.theme_changed_signal.subscribe(self, lambda theme: self.remember_theme(theme.name))
        applying.apply(self, ("reduced_motion", *(() if self.session.settings.mouse else ("mouse",))))
        self.call_after_refresh(self.first_frame)

    def first_frame(self) -> None:
        """The first frame stands on the screen: now all else may be loaded."""
        start_vital(self, self._begin)

    async def _begin(self) -> None:
        await self.desk.prepare()
        gc.freeze()
        gc.enable()  # `open_tui` has paused it: nothing that is made for the first frame is garbage
        chat = self.screen_stack[0]
        if isinstance(chat, ChatScreen):
            await chat.begin()
        if not self.session.settings.first_run_done:
            await self._welcome()
        if self.session.private:
            self.notify(say("app.private"), timeout=8)
        if not self.session.windows.alone:
            self.notify(say("app.other_window"), timeout=8)
        self._tell_settings()
        self.desk.start()

    def _tell_settings(self) -> None:
        """What is wrong with the settings file and the key map in it."""
        texts = [trouble_words(each) for each in self._key_troubles]
        if self.session.settings_warning:
            from rwkv_chat.explain import settings_sentence

            texts.insert(0, settings_sentence(self.session.settings_warning))
        if texts:
            self.notify("\n".join(texts), severity="warning", timeout=15, markup=False)

    async def _welcome(self) -> None:
        from rwkv_chat.tui.screens.welcome import WelcomeScreen

        card, folder = self.session.models.current, str(self.session.paths.data)
        await self.push_screen(
            WelcomeScreen(card.name, folder, self.desk.starters, builtin=card.builtin), self._welcomed
        )

    async def _welcomed(self, wanted: str | None) -> None:
        await self.desk.change(first_run_done=True)
        if wanted:
            self.desk.get_and_use(wanted)

    async def on_unmount(self) -> None:
        self.send(POP_TITLE)
        asyncio.get_running_loop().set_exception_handler(None)  # nobody looks any more: the log is enough

    def exit(self, result: int | None = None, return_code: int = 0, message: Any = None) -> None:
        """Leave: from here on, replies are kept but no longer drawn."""
        self.desk.forget_screens()
        super().exit(result, return_code, message)

    async def action_quit(self) -> None:
        self._leaving.ask()

    def _catch_signals(self) -> None:
        """A closed terminal or a polite kill ends the program as Ctrl+Q does."""
        loop = asyncio.get_running_loop()
        for name in SIGNALS:
            if hasattr(signal, name):
                with contextlib.suppress(
                    NotImplementedError, RuntimeError, ValueError
                ):  # Windows, other threads
                    loop.add_signal_handler(getattr(signal, name), partial(self.exit, 0))

    def _build_driver(self, *args: Any, **kwargs: Any) -> Driver:
        """As Textual's own, with a terminal that may vanish."""
        driver = super()._build_driver(*args, **kwargs)
        file = getattr(driver, "_file", None)
        if file is not None and not self.is_headless:
            loop = asyncio.get_running_loop()
            self.terminal = VanishingFile(file, lambda: loop.call_soon_threadsafe(self.exit, 0))
            driver._file = self.terminal  # noqa: SLF001  # pyright: ignore  no public way
        return driver

    def panic(self, *renderables: Any) -> None:
        """Textual's way out of a thread's error: not with its traceback, and without fuss if nobody looks."""
        kind, lines = traced(renderables[0] if renderables else None)
        log.critical("a thread of the interface failed: %s\n%s", kind, lines)
        if self.terminal is not None and self.terminal.gone:
            self.exit(0)
        else:
            self._fail(kind)

    def _handle_exception(self, error: Exception) -> None:
        """The last resort: the traceback goes to the log, a person gets one sentence."""
        cause = error.error if isinstance(error, WorkerFailed) else error
        log.critical("the interface failed", exc_info=cause)
        if self.is_headless:
            super()._handle_exception(error)
        else:
            self._fail(type(cause).__name__)

    def _fail(self, kind: str) -> None:
        """End, and say why: once, since one error often brings others."""
        if not self._failed:
            self._failed = True
            self.exit(1, message=say("app.error.fatal", kind=kind, log=self.session.paths.log_file))

    async def on_event(self, event: events.Event) -> None:
        """What is pasted steers nothing, wherever it goes; a screen that asks for a key gets it."""
        if isinstance(event, events.Paste) and not event.is_forwarded:
            event.text = pasted(event.text)
        if isinstance(event, events.Key) and (take := getattr(self.screen, "taken", None)) is not None:
            take(event)
            return
        if isinstance(event, events.Key) and self.screen.is_modal and (action := self._everywhere(event.key)):
            await self.run_action(action)
            return
        await super().on_event(event)

    def _everywhere(self, key: str) -> str | None:
        """The action of a key that works over an overlay, too: Textual gives that its own keys alone."""
        rows = (ROWS[name] for name in EVERYWHERE)
        return next((row.action for row in rows if key in split(keys_of(row, self.desk.keymap))), None)

    # ---------------------------------------------------------------- screens

    @property
    def chat(self) -> ChatScreen | None:
        """The chat screen, where it was shown."""
        first = next(iter(self._screen_stacks.get("chat", ())), None)
        return first if isinstance(first, ChatScreen) else None

    async def speak(self, language: str) -> None:
        """Another language, at once."""
        from rwkv_chat.tui.speaking import speak

        await speak(self, language, MODES)

    # ---------------------------------------------------------------- actions

    def action_problem(self, name: str) -> None:
        """What can be done about a problem: see `problems.ACTIONS`."""
        match name:
            case "retry":
                self.desk.load_again()
            case "free":
                start_work(self, self._free)
            case "log":
                self.action_log()
            case "diagnostics":
                start_work(self, self.action_diagnostics)

    async def _free(self) -> None:
        await self.desk.free_memory()
        self.notify(say("app.problem.freed"), markup=False)

    def action_log(self) -> None:
        from rwkv_chat.tui.screens.log import LogScreen

        if not isinstance(self.screen, LogScreen):
            self.push_screen(LogScreen(self.desk))

    async def action_diagnostics(self) -> None:
        """Copy what helps to find a fault."""
        from rwkv_chat.diagnostics import report

        text = await asyncio.to_thread(report, self.session.paths)
        self.copy_to_clipboard(text)
        self.notify(say("app.problem.copied", number=text.count("\n") + 1), markup=False)

    def action_toggle_help(self) -> None:
        from rwkv_chat.tui.screens.help import HelpScreen

        if isinstance(self.screen, HelpScreen):
            self.screen.dismiss(None)
        else:
            self.push_screen(HelpScreen(self.desk.keymap, scopes_of(self.screen)))

    def action_help_quit(self) -> None:
        """Ctrl+C with nothing selected: stops a reply, and says at other times what quits, one at a time."""
        if isinstance(self.screen, ChatScreen) and self.screen.live is not None:
            self.screen.action_stop()
        elif monotonic() - self._quit_told > QUIT_TOLD_SECONDS:
            self._quit_told = monotonic()
            self.notify(say("app.quit_by"), timeout=QUIT_TOLD_SECONDS, markup=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is no way to where one is: the Models screen's footer has room for its own keys."""
        return not (action == "switch_mode" and parameters == (self.current_mode,))

    def remember_theme(self, name: str) -> None:
        if name != (self.session.settings.theme or DARK.name):
            start_work(self, partial(self.desk.change, theme=name))

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        applying.blink(self, event.widget)

    # ---------------------------------------------------------------- the terminal

    def watch_title(self, value: str) -> None:
        """The window's title: one line without controls."""
        name = title(value)
        shown = name if name == self.TITLE else f"{name} · {self.TITLE}"
        if self.session.private:
            shown += f" ({say('app.status.private')})"
        self.send(f"\x1b]2;{shown}\x07")

    def copy_to_clipboard(self, text: str) -> None:
        """Through the terminal and through the system's own tool; how much it was is told."""
        from rwkv_chat.paths import surroundings
        from rwkv_chat.plain_text import clean
        from rwkv_chat.tui import clipboard

        self._clipboard = text = clean(text)
        places = surroundings()
        self.send(clipboard.sequence(text, tmux="tmux" in places))
        if not self.is_headless:
            tools = clipboard.tools(places)
            start_work(self, asyncio.to_thread(clipboard.hand_over, text, tools))
        lines = len(text.splitlines())
        told = say("prompt.copy.lines", number=f"{lines:,}") if lines > 1 else say("prompt.copy.line")
        self.notify(told, timeout=3, markup=False)

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """The terminal is another program's for a while; all goes on, undrawn."""
        self._lent = True
        try:
            with self.batch_update(), self.suspend():
                yield
        finally:
            self._lent = False

    def send(self, sequence: str) -> None:
        """A control sequence of ours, where there is a terminal that is not another program's just now."""
        if self._driver is not None and not self.is_headless and not self._lent:
            self._driver.write(sequence)

    def let_go(self) -> None:
        """Ends the thread that reads keys, if Textual has not. Where a terminal goes away while the program
        ends, that thread finds the end of its input again and again: it would keep a process, and a core.
        """
        over = getattr(self._driver, "exit_event", None)
        if isinstance(over, threading.Event):
            over.set()


def run(
    model: Path | None = None, overrides: Mapping[str, Any] | None = None, *, private: bool = False
) -> int:
    """Open the interface and stay until it is left; the exit code.

    Args:
        overrides: settings for this run.  private: nothing that is said is written.
    """
    return asyncio.run(_run(model, overrides, private=private))


async def _run(model: Path | None, overrides: Mapping[str, Any] | None, *, private: bool) -> int:
    from rwkv_chat.session.session import open_session

    # a process: torch's import and a busy reply hold its interpreter lock, not the one that typing needs
    session = await open_session(
        model=model, worker="process", overrides=overrides, private=private, house=False
    )
    return await stay(RwkvChatApp(session))


async def stay(app: RwkvChatApp) -> int:
    """Run the app to its end and close its session, whatever ended it; the exit code."""
    try:
        try:
            code = await app.run_async()
        finally:
            app.let_go()
            await app.desk.close()
    finally:
        await app.session.close()
    return code if code is not None else app.return_code or 0
