"""Tuning a model on a person's own conversations: plan, run, compare, keep.

A run is a folder and a process of its own. Nothing here computes: the process does, and tells in its log how
far it is; so a run outlives the window, and any window can look at it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from engine.tune.folder import Folder, read_config
from engine.tune.log import read_events
from engine.types import TokenizerRef, Unloaded
from rwkv_chat.session import jobs, tune_child, tune_planning
from rwkv_chat.session.errors import NotInPrivate, TuneOver, TuneRuns, TuneTooLarge
from rwkv_chat.session.tune_comparing import Comparing
from rwkv_chat.session.tune_export import Exporting
from rwkv_chat.session.tune_folder import read_about
from rwkv_chat.session.tune_planning import Room, Wish
from rwkv_chat.session.tune_probe import measured
from rwkv_chat.session.tune_results import Results
from rwkv_chat.session.tune_types import GOES_ON, Kept

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from engine.types import Progress, SamplingParams, TokenIds, TuneConfig, TuneEvent
    from rwkv_chat.paths import Paths
    from rwkv_chat.session.answering import Desk
    from rwkv_chat.session.border import LoadTokenizer, TokenizerLike
    from rwkv_chat.session.examples_types import Found, Looked, Selection
    from rwkv_chat.session.shelf_convert import Conversion
    from rwkv_chat.session.shelf_types import Converted
    from rwkv_chat.session.speaker import Speaker
    from rwkv_chat.session.state_types import Shared
    from rwkv_chat.session.states import States
    from rwkv_chat.session.tune_export import What
    from rwkv_chat.session.tune_folder import About
    from rwkv_chat.session.tune_runs import Runs
    from rwkv_chat.session.tune_types import (
        Count,
        Losses,
        Moment,
        Plan,
        PresetName,
        Said,
        Side,
        Tune,
        Voice,
    )
    from rwkv_chat.transcript import Thread

    Free = Callable[[str], int | None]
    Measure = Callable[[TuneConfig, list[int], Path], float | None]
    Convert = Callable[[Path, Path, Conversion], AsyncIterator[Progress | Converted]]

LOOK_SECONDS = 0.25
SPEED_FIELDS = ("model", "method", "base", "device")


def _nobody(_: object) -> None:
    pass


def free_there(device: str) -> int | None:
    """Bytes free on a device. May import torch."""
    from engine.weights.fit import free_bytes

    return free_bytes(device)


def _alike(one: TuneConfig, other: TuneConfig) -> bool:
    """Whether both go about as fast."""
    return all(getattr(one, name) == getattr(other, name) for name in SPEED_FIELDS)


class Tunes:
    """All of them raise LibraryError; those that name a run TuneUnknown, and TuneDamaged where its folder
    cannot be read.

    Attributes:
        private: of a private chat: nothing is begun.
        free: asks a device for its free bytes.  measure: see `tune_probe.measured`.
    """

    def __init__(
        self,
        desk: Desk,
        states: States,
        runs: Runs,
        paths: Paths,
        device: Callable[[], str],
        sampling: Callable[[], SamplingParams],
        convert: Convert,
        load_tokenizer: LoadTokenizer,
    ) -> None:
        """`device`: the setting.  `sampling`: how replies are sampled.  `convert`: see `Shelf.convert`."""
        self._desk, self._states, self._paths, self._device = desk, states, paths, device
        self.private = False
        self.free: Free = free_there
        self.measure: Measure = measured
        self.runs = runs
        self._load_tokenizer = load_tokenizer
        self._tokenizers: dict[TokenizerRef, TokenizerLike] = {}
        self._speeds: dict[tuple[object, ...], float | None] = {}
        self._results = Results(desk, self.runs)
        self._comparing = Comparing(desk, self._results, sampling)
        self._exporting = Exporting(self._results, convert)

    # ------------------------------------------------------------------ before the start

    async def look(self, selection: Selection, look: Callable[[Looked], object] = _nobody) -> Found:
        """What is in a selection, without a plan: see `plan`, which may be given it. Waits for the model."""
        return await tune_planning.looked(self._desk, selection, look)

    async def plan(
        self,
        selection: Selection,
        method: str = "state",
        preset: PresetName = "quick",
        *,
        name: str = "",
        found: Found | None = None,
        look: Callable[[Looked], object] = _nobody,
        **changes: Any,
    ) -> Plan:
        """What would be done with a selection: everything is read, nothing is written. Waits for the model.

        Args:
            found: what was found in the same selection before: it is not read again.
            look: told how far the reading is.
            changes: fields of `TuneConfig` that are not the preset's.

        Raises:
            NothingToTrain, SpeakersUnknown, ConversationsInvalid; InvalidParameter, InvalidRequest: a change
            that cannot be; EngineError, TemplateInvalid, OSError.
        """
        wish = Wish(selection, method, preset, name, changes, found)
        return await tune_planning.planned(self._desk, wish, self._device(), self._room, self._speed, look)

    def with_preset(self, plan: Plan, preset: PresetName) -> Plan:
        """The same with another preset; nothing is read again."""
        assert plan.basis is not None  # noqa: S101  `plan` made it
        return plan.basis.plan(preset, plan.name)

    def _room(self, device: str, speaker: Speaker) -> Room:
        there = speaker.info.device.partition(":")[0] == device.partition(":")[0] and device != "cpu"
        return Room(self.free(device), speaker.info.nbytes if there else 0)

    def _speed(self, config: TuneConfig, lengths: list[int]) -> float | None:
        """Tokens per second of the newest run that was like it, else as a few steps are measured, once."""
        for each in self.runs.listed():
            if each.tokens_per_second and _alike(read_config(Folder(each.folder)), config):
                return each.tokens_per_second
        key = (*(getattr(config, name) for name in SPEED_FIELDS), config.context, config.batch_size)
        if self._speeds.get(key) is None:
            self._speeds[key] = self.measure(config, lengths, self._paths.cache)
        return self._speeds[key]

    # ------------------------------------------------------------------ running

    async def start(self, plan: Plan, look: Callable[[Looked], object] = _nobody) -> Tune:
        """Write the run's folder and begin it, in a process of its own. Where chat and tuning do not both fit
        the device (`Plan.leaves`), the chat model leaves it first; the next message loads it again.

        Raises:
            ConsentMissing: other people's messages are in it, and nobody said that they agree.
            TuneTooLarge, DeviceTaken, NotInPrivate, TuneNotStarted; and what `plan` raises.
        """
        tune = await self.write(plan, look)
        await self._begin(tune, leaves=plan.leaves)
        return await self.show(tune.id)

    async def write(self, plan: Plan, look: Callable[[Looked], object] = _nobody) -> Tune:
        """The run's folder alone; `resume` begins it. Raises: see `start`."""
        if self.private:
            raise NotInPrivate
        if not plan.fits:
            raise TuneTooLarge(plan.name, plan.estimate.bytes_needed, plan.free or 0)
        await asyncio.to_thread(tune_child.check, self._paths.locks, plan.device)
        folder = await tune_planning.written(self._desk, plan, self._paths.tunes, look)
        return await self.show(folder.name)

    async def _begin(self, tune: Tune, *, leaves: bool) -> None:
        about = await asyncio.to_thread(read_about, tune.folder)
        if leaves:
            await self._leave()
        await asyncio.to_thread(tune_child.begin, tune.folder, self._paths.locks, about.device, tune.name)

    async def _leave(self) -> None:
        """The chat model gives its memory back; whoever needs it loads it again."""
        self._desk.models.unload()
        await jobs.outcome(self._desk.engine.unload(), Unloaded)

    async def list(self) -> tuple[Tune, ...]:
        """All runs, newest first."""
        return await asyncio.to_thread(self.runs.listed)

    async def find(self, name: str) -> Tune:
        """The run that is meant: by its id or name, or the beginning of one. Raises: TuneAmbiguous."""
        return await asyncio.to_thread(self.runs.find, name)

    async def show(self, id_: str) -> Tune:
        return await asyncio.to_thread(self.runs.read, id_)

    async def events(self, id_: str) -> AsyncIterator[TuneEvent]:
        """All that a run has told so far, and what it tells, until its process has ended."""
        folder, after = await asyncio.to_thread(self.runs.folder, id_), 0
        while True:
            running = await asyncio.to_thread(tune_child.runs, folder)  # before its log is read
            found, after = await asyncio.to_thread(read_events, folder, after)
            for each in found:
                yield each
            if not running:
                return
            if not found:
                await asyncio.sleep(LOOK_SECONDS)

    async def words(self, id_: str, tokens: TokenIds) -> str:
        """Tokens that a run tells of, as text. Raises: TokenizerInvalid, TokenizerMissing."""
        about = await asyncio.to_thread(self._about, id_)
        ref = TokenizerRef("json", about.tokenizer) if about.tokenizer else TokenizerRef()
        if ref not in self._tokenizers:
            self._tokenizers[ref] = await asyncio.to_thread(self._load_tokenizer, ref)
        return self._tokenizers[ref].decode_bytes(tokens).decode("utf-8", "replace")

    def _about(self, id_: str) -> About:
        return read_about(self.runs.folder(id_))

    async def ended(self, id_: str) -> Tune:
        """Wait until nobody is at a run any more."""
        async for _ in self.events(id_):
            pass
        return await self.show(id_)

    async def stop(self, id_: str) -> Tune:
        """Ask a run to end after its step, with a checkpoint and a result; `ended` waits for that.

        Raises:
            TuneOver: nobody is at it.
        """
        tune = await self.show(id_)
        if not tune.running:
            raise TuneOver(tune.name)
        await asyncio.to_thread(self.runs.stop, id_)
        return tune

    async def resume(self, id_: str) -> Tune:
        """Have a run go on from its last checkpoint, or begin one that has not begun. Where chat and tuning
        do not both fit the device (`chat_leaves`), the chat model leaves it first.

        Raises:
            TuneRuns, TuneOver, DeviceTaken, TuneNotStarted.
        """
        tune = await self.show(id_)
        if tune.running:
            raise TuneRuns(tune.name)
        if tune.status not in GOES_ON:
            raise TuneOver(tune.name)
        await self._begin(tune, leaves=await self.chat_leaves(id_))
        return await self.show(id_)

    async def chat_leaves(self, id_: str) -> bool:
        """Whether the chat model would leave the device first, if a run went on now."""
        return await asyncio.to_thread(self._chat_leaves, id_)

    def _chat_leaves(self, id_: str) -> bool:
        about, speaker = self._about(id_), self._desk.models.speaker
        if speaker is None or about.device == "cpu":
            return False
        return self._room(about.device, speaker).leaves(about.needed)

    async def remove(self, id_: str) -> None:
        """A run with its folder; what was kept of it stays. Raises: TuneRuns, OSError."""
        await asyncio.to_thread(self.runs.remove, id_)

    # ------------------------------------------------------------------ its result

    def losses(self, tune: Tune) -> Losses:
        """On what was held out: of the model alone, and of the tuned one."""
        return self._comparing.losses(tune)

    async def beside(
        self, id_: str, prompt: str, params: SamplingParams | None = None
    ) -> AsyncIterator[Said]:
        """A message answered by the model alone, then by the tuned one, with the same seed.

        Raises:
            TuneNotDone, TuneRuns, TuneOfOtherModel, EngineError.
        """
        async for each in self._comparing.beside(await self.show(id_), prompt, params):
            yield each

    async def moments(self, id_: str) -> AsyncIterator[Moment]:
        """Held-out moments to be judged blind, each with three answers: the person's own, the model's and the
        tuned one's.

        Raises:
            NoMoments, and see `beside`.
        """
        async for each in self._comparing.moments(await self.show(id_)):
            yield each

    async def judge(self, id_: str, index: int, place: int) -> Side:
        """The answer at `place` (0, 1, 2) of moment `index` was taken for the person's own; whose it was."""
        return await self._comparing.judge(await self.show(id_), index, place)

    async def count(self, id_: str) -> Count:
        """How often each was taken for the person's own."""
        return await self._comparing.count(await self.show(id_))

    async def keep(self, id_: str, name: str = "", thread: str = "") -> Kept:
        """The result as a persona of the library of states: a tuned state, or an adapter.

        Args:
            thread: a conversation; another one is opened beside it, at the same message, that speaks with
                the result.

        Raises: see `beside`.
        """
        tune = await self.show(id_)
        stored = await self._results.keep(tune, name)
        await asyncio.to_thread(self.runs.change, id_, kept=stored.id)
        persona = await self._states.get(stored.id)
        opened = await self._results.open_on(thread, stored) if thread else None
        return Kept(persona, opened)

    async def voices(self) -> tuple[Voice, ...]:
        """What a conversation may speak with beside the model alone, by name; see `speak_with`."""
        return await self._results.voices()

    async def speak_with(self, thread: str, voice: str) -> Thread:
        """Choose what a conversation speaks with from its next reply on: a voice by its id, "" for the model
        alone. Raises: see `States.speak_with`.
        """
        return await self._states.speak_with(thread, voice or None)

    async def export(
        self, id_: str, target: Path, what: What = "result", dtype: str = "stored"
    ) -> AsyncIterator[Progress | Shared]:
        """The result as files for other programs, with a model card: what was trained, or merged into the
        model; see `Exporting.export`. Whoever has them may learn what it has read.
        """
        async for each in self._exporting.export(await self.show(id_), target, what, dtype):
            yield each
