"""How the open conversation is sampled, what becomes of a reply that repeats itself, and its tokens."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from rwkv_chat.own_words import LISTS, texts_of
from rwkv_chat.phrases import listed
from rwkv_chat.settings import sampling_with
from rwkv_chat.stronger import stronger
from rwkv_chat.texts import say
from rwkv_chat.tui.screens.copying import CopyingScreen
from rwkv_chat.tui.screens.telling import telling
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.types import SamplingParams
    from rwkv_chat.session import TurnEvent
    from rwkv_chat.transcript import Node, Thread
    from rwkv_chat.tui.screens.presets import Picked
    from rwkv_chat.tui.screens.tokens import Parting
    from rwkv_chat.tui.turns import LiveReply
    from rwkv_chat.tui.widgets.repeat_bar import RepeatBar
    from rwkv_chat.tui.widgets.sampling_panel import PanelValues, SamplingPanel


class SamplingScreen(CopyingScreen):
    """Base of the chat screen."""

    # ---------------------------------------------------------------- the panel

    @property
    def panel(self) -> SamplingPanel | None:
        """The sampling panel; None until it is shown for the first time."""
        from rwkv_chat.tui.widgets.sampling_panel import SamplingPanel

        return next(iter(self.query(SamplingPanel)), None)

    async def made_panel(self) -> SamplingPanel:
        """The panel, mounted when it is first shown: it has half of the screen's widgets."""
        if (there := self.panel) is not None:
            return there
        from rwkv_chat.tui.widgets.sampling_panel import SamplingPanel

        panel = SamplingPanel(self._values(), id="sampling")
        await self.query_one("#columns").mount(panel)
        # the panel's inputs ask for their places before the layout, and then nobody is told of a new size
        self.call_after_refresh(self.transcript.on_resize)
        return panel

    def show_sampling(self) -> None:
        """The values in force stand in the panel, if it is there."""
        if (panel := self.panel) is not None:
            panel.show(self._values())

    def _values(self) -> PanelValues:
        from rwkv_chat.presets import offered
        from rwkv_chat.tui.widgets.sampling_panel import PanelValues

        own = self.choices.own
        params = sampling_with(self.desk.params, own)
        texts = {name: texts_of(own, name) for name in LISTS}
        fitting = (each.title for each in offered(self._presets) if _is(params, each.values))
        return PanelValues(params, texts, next(fitting, ""), chat=bool(own))

    @property
    def _presets(self) -> Path:
        return self.desk.session.paths.presets

    @telling
    async def on_sampling_panel_changed(self, event: SamplingPanel.Changed) -> None:
        value = list(event.value) if isinstance(event.value, tuple) else event.value
        if event.name in LISTS:
            start_work(self, partial(self._tell_unknown, event.name, event.value))
        await self._sample({**self.choices.own, event.name: value})

    async def on_sampling_panel_asked(self, event: SamplingPanel.Asked) -> None:
        match event.what:
            case "preset":
                self.action_presets()
            case "everywhere":
                await self._everywhere()
            case "reset":
                await self._reset()

    async def _sample(self, own: Mapping[str, Any]) -> None:
        """Sample the open conversation so; a reply that is being written goes on so."""
        if self.thread is None:
            self.pending = replace(self.pending, own=own)
        else:
            self.thread = await self.chats.configure(self.thread.id, sampling=own)
        self.show_sampling()

    async def take_values(self, values: Mapping[str, Any]) -> None:
        """The same with some of the values changed."""
        await self._sample({**self.choices.own, **values})

    @telling
    async def _everywhere(self) -> None:
        """What this conversation has of its own holds for all of them."""
        own = self.choices.own
        await self.desk.sample(sampling_with(self.desk.params, own))
        await self._sample({name: own[name] for name in LISTS if name in own})
        self.notify(say("app.sampling.everywhere_done"), markup=False)

    @telling
    async def _reset(self) -> None:
        """Away with what this conversation has of its own; where it has nothing, with what all have."""
        if self.choices.own:
            await self._sample({})
        else:
            await self.desk.sample(self.desk.session.models.current.sampling)
            self.show_sampling()

    async def _tell_unknown(self, name: str, texts: tuple[str, ...]) -> None:
        """Of bans, those that the model has no token for. They are encoded off the loop, which may take its
        time.
        """
        from rwkv_chat.own_words import BANS, banned

        speaker = self.desk.session.models.speaker
        if name != BANS or speaker is None:
            return
        if unknown := (await asyncio.to_thread(banned, texts, speaker.tokenizer)).unknown:
            self.notify(say("app.sampling.no_token", texts=listed(unknown)), severity="warning", markup=False)

    # ---------------------------------------------------------------- presets

    def action_presets(self) -> None:
        from rwkv_chat.presets import offered
        from rwkv_chat.tui.screens.presets import PresetsDialog

        self.app.push_screen(PresetsDialog(offered(self._presets)), self._preset_picked)

    @telling
    async def _preset_picked(self, picked: Picked | None) -> None:
        from rwkv_chat import presets
        from rwkv_chat.tui.screens.dialogs import Ask

        if picked is None:
            return
        if picked.preset is None:
            self.app.push_screen(Ask(say("app.presets.name")), self._preset_named)
        elif picked.what == "delete":
            presets.delete(self._presets, picked.preset)
            self.notify(say("app.presets.deleted", name=picked.preset.title), markup=False)
            self.show_sampling()
        else:
            await self.take_values(picked.preset.values)
            self.notify(say("app.presets.used", name=picked.preset.title), markup=False)

    @telling
    async def _preset_named(self, name: str | None) -> None:
        from dataclasses import asdict

        from rwkv_chat import presets

        if not name:
            return
        values = asdict(self._values().params)
        values.pop("seed")  # of one reply, not of a way to sample
        kept = presets.save(self._presets, name, values)
        self.notify(say("app.presets.saved", name=kept.title), markup=False)
        self.show_sampling()

    @telling
    async def do_preset(self, name: str) -> bool:
        """By its name or title; without one, the list."""
        from rwkv_chat.presets import named

        found = named(name, self._presets) if name else None
        if found is not None:
            await self.take_values(found.values)
            self.notify(say("app.presets.used", name=found.title), markup=False)
        elif name:
            self.notify(say("app.presets.unknown", name=name), severity="warning", markup=False)
            return False
        else:
            self.action_presets()
        return True

    # ---------------------------------------------------------------- what repeats itself

    @property
    def repeat_bar(self) -> RepeatBar:
        from rwkv_chat.tui.widgets.repeat_bar import RepeatBar

        return self.query_one(RepeatBar)

    def show_conversation(self) -> None:
        super().show_conversation()
        self.repeat_bar.display = False
        self.show_sampling()

    async def turn_event(self, live: LiveReply, event: TurnEvent) -> None:
        await super().turn_event(live, event)
        from rwkv_chat.session.events import Answered

        repeats = isinstance(event, Answered) and event.reason == "repeats" and live.kind == "reply"
        if repeats and live.thread == self.thread_id == self.shown_id:
            self.repeat_bar.offer()

    @telling
    async def on_repeat_bar_chosen(self, event: RepeatBar.Chosen) -> None:
        self.prompt.focus()
        thread = self.idle()
        if event.what == "stop" or thread is None:
            return
        if event.what == "raise":
            await self.take_values(stronger(sampling_with(self.desk.params, self.choices.own)))
        on = event.what == "go_on"
        self.follow(lambda: self.chats.continue_reply(thread.id, repeating=on))

    # ---------------------------------------------------------------- tokens

    @telling
    async def action_tokens(self) -> None:
        """Of the last reply."""
        await self.show_tokens(None)

    async def show_tokens(self, node: Node | None) -> None:
        """The tokens of a message of the open conversation; None: of its last reply."""
        thread = self.thread
        if thread is None or self.desk.session.models.speaker is None:
            self.notify(say("app.tokens.waiting" if thread else "app.tokens.no_reply_yet"), markup=False)
            return
        if node is None:
            nodes = (await self.chats.open(thread.id)).nodes
            node = next((each for each in reversed(nodes) if each.message.role == "assistant"), None)
        if node is None:
            self.notify(say("app.tokens.no_reply_yet"), markup=False)
            return
        from rwkv_chat.tui.screens.tokens import TokensScreen

        scores = self.chats.token_scores(thread.id, node.id)
        screen = TokensScreen(scores, can_part=node.message.role == "assistant")
        self.app.push_screen(screen, partial(self._parted, thread, node))

    def _parted(self, thread: Thread, node: Node, parting: Parting | None) -> None:
        self.prompt.focus()
        if parting is not None and self.idle() is not None:
            self.follow(lambda: self.chats.with_tokens(thread.id, node, parting.lead, drawn=parting.drawn))

    async def do_tokens(self) -> bool:
        await self.action_tokens()
        return True


def _is(params: SamplingParams, values: Mapping[str, Any]) -> bool:
    return all(getattr(params, name) == value for name, value in values.items())
