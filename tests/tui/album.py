"""Pictures of the running app, compared with those that were taken before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_textual_snapshot import SVGImageExtension

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion
    from textual.pilot import Pilot

    from rwkv_chat.tui.app import RwkvChatApp


class Album:
    """Compares pictures by name and tells all that differ at the end."""

    def __init__(self, app: RwkvChatApp, pilot: Pilot[Any], snapshot: SnapshotAssertion) -> None:
        self.app, self.pilot = app, pilot
        self.snapshot = snapshot.use_extension(SVGImageExtension)
        self.different: list[str] = []

    async def take(self, name: str) -> None:
        for each in (*self.app.query("TextArea"), *self.app.screen.query("Input")):
            each.cursor_blink = False  # pyright: ignore[reportAttributeAccessIssue]
        while any(each.group == "gauge" and each.is_running for each in self.app.workers):
            await self.pilot.pause()  # the status line is not what it will be yet
        while any(screen.query("Button.-active") for screen in self.app.screen_stack):
            await self.pilot.pause(0.02)  # a button that was clicked looks so for a moment
        await self.pilot.pause()
        await self.pilot.pause()
        picture = self.app.export_screenshot(title="RWKV Chat")
        if picture != self.snapshot(name=name):
            self.different.append(name)
