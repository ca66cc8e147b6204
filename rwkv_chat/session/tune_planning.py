"""From a selection to a plan, and from a plan to a run's folder."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.durable import into_place, sync_within
from engine.tune import estimate, rows
from engine.tune.folder import Folder, write_probes
from rwkv_chat.library import state_use
from rwkv_chat.session import examples
from rwkv_chat.session.examples_types import Found, Looked
from rwkv_chat.session.examples_voice import branches_of, voice_of
from rwkv_chat.session.shelf_device import device_of
from rwkv_chat.session.titles import title_from
from rwkv_chat.session.tune_command import command_of
from rwkv_chat.session.tune_folder import MOMENTS, About, toml_of, write_about, write_json
from rwkv_chat.session.tune_moments import Choosing
from rwkv_chat.session.tune_presets import PRESETS, config_of
from rwkv_chat.session.tune_types import Cost, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from engine.types import Estimate, ModelInfo, Row, TuneConfig
    from rwkv_chat.session.answering import Desk
    from rwkv_chat.session.cards import ModelCard
    from rwkv_chat.session.examples_reading import ReadBranch
    from rwkv_chat.session.examples_types import Part, Selection, Voice
    from rwkv_chat.session.speaker import Speaker
    from rwkv_chat.session.tune_types import PresetName

    Look = Callable[[Looked], object]

PRIVATE = 0o700


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: `changes` are fields of `TuneConfig`; `found`: what is known of the selection."""

    selection: Selection
    method: str
    preset: PresetName
    name: str
    changes: Mapping[str, Any]
    found: Found | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """What a device has, and who is on it.

    Attributes:
        free: bytes free there, None where nobody knows.  held: bytes of the chat model, if it is there.
    """

    free: int | None
    held: int

    def leaves(self, needed: int) -> bool:
        """The chat model leaves first: with it there, tuning does not fit."""
        return self.free is not None and self.held > 0 and needed > self.free

    def fits(self, needed: int) -> bool:
        return self.free is None or needed <= self.free + self.held


async def planned(
    desk: Desk,
    wish: Wish,
    setting: str,
    room: Callable[[str, Speaker], Room],
    speed: Callable[[TuneConfig, list[int]], float | None],
    look: Look,
) -> Plan:
    """Raises: see `Tunes.plan`."""
    speaker = await desk.models.identified()
    card = desk.models.current
    found = wish.found or await looked(desk, wish.selection, look)
    device = await asyncio.to_thread(device_of, setting)
    width = speaker.info.spec.n_embd
    config = config_of(wish.preset, wish.method, card.path, found, device, width, **wish.changes)
    tokens_per_second = await asyncio.to_thread(speed, config, _lengths(found))
    there = await asyncio.to_thread(room, device, speaker)
    name = title_from(wish.name) or f"{wish.method} {time.strftime('%Y-%m-%d %H:%M')}"
    drawn = Drawn(wish, found, card, speaker.info, device, there, tokens_per_second)
    return drawn.plan(wish.preset, name)


async def looked(desk: Desk, selection: Selection, look: Look) -> Found:
    """Raises: see `Tunes.look`."""
    voice = voice_of(await desk.models.identified(), selection.template)
    branch = branches_of(desk.library, voice)
    return await asyncio.to_thread(_found, selection, voice, branch, _on_loop(look))


@dataclass(frozen=True, slots=True)
class Drawn:
    """All that a plan is made of."""

    wish: Wish
    found: Found
    card: ModelCard
    info: ModelInfo
    device: str
    room: Room
    speed: float | None

    def plan(self, preset: PresetName, name: str) -> Plan:
        wish, card, (config, needed) = self.wish, self.card, self._estimated(preset)
        path = None if card.builtin else card.path
        return Plan(
            name=name,
            selection=wish.selection,
            found=self.found,
            model=card.path,
            model_name=card.name,
            model_id=self.info.id,
            config=config,
            preset=preset,
            estimate=needed,
            device=self.device,
            free=self.room.free,
            command=command_of(wish.selection, wish.method, preset, name, path, wish.changes),
            practice=card.builtin,
            leaves=self.device != "cpu" and self.room.leaves(needed.bytes_needed),
            fits=self.room.fits(needed.bytes_needed),
            threads=tuple(dict.fromkeys(each.thread for each in wish.selection.branches)),
            costs=tuple(self._cost(each) for each in PRESETS),
            basis=self,
        )

    def _cost(self, preset: PresetName) -> Cost:
        config, needed = self._estimated(preset)
        return Cost(preset, config.steps, needed.minutes)

    def _estimated(self, preset: PresetName) -> tuple[TuneConfig, Estimate]:
        of = self.wish
        width, path = self.info.spec.n_embd, self.card.path
        config = config_of(preset, of.method, path, self.found, self.device, width, **of.changes)
        lengths = _lengths(self.found)
        return config, estimate(config, self.info.spec, lengths, tokens_per_second=self.speed)


def _on_loop(look: Look) -> Look:
    """`look`, called on the event loop from the thread that reads."""
    loop = asyncio.get_running_loop()
    return lambda looked: loop.call_soon_threadsafe(look, looked)


def _found(selection: Selection, voice: Voice, branch: ReadBranch, look: Look) -> Found:
    last = None
    for each in examples.survey(selection, voice, branch):
        if isinstance(each, Looked):
            look(each)
        else:
            last = each
    assert last is not None  # noqa: S101  survey's own promise
    return last


def _lengths(found: Found) -> list[int]:
    """Of the training rows, as far as they are known: the longest, and the mean of the others."""
    number, tokens = max(1, found.train.examples), found.train.tokens
    longest = min(found.longest, max(1, tokens))
    others = (tokens - longest) // max(1, number - 1)
    return [longest, *[max(1, others)] * (number - 1)]


# ------------------------------------------------------------------------------------------------ the folder


async def written(desk: Desk, plan: Plan, root: Path, look: Look) -> Path:
    """The folder of a run that has not begun. Whatever fails, nothing is left behind.

    Raises:
        ConsentMissing, and what `Tunes.plan` raises.
    """
    speaker = await desk.models.identified()
    voice = voice_of(speaker, plan.selection.template)
    branch = branches_of(desk.library, voice)
    trees = [await desk.library.run(state_use.tree, each) for each in plan.threads]
    about = _about(plan, voice, speaker.info.tokenizer.path or "", tuple(dict.fromkeys(trees)))
    return await asyncio.to_thread(_write, plan, root, about, voice, branch, _on_loop(look))


def _about(plan: Plan, voice: Voice, tokenizer: str, trees: tuple[str, ...]) -> About:
    return About(
        name=plan.name,
        preset=plan.preset,
        created=time.time(),
        model=str(plan.model),
        model_name=plan.model_name,
        model_id=plan.model_id,
        coding=voice.coding,
        tokenizer=tokenizer,
        template=voice.template.name,
        command=plan.command,
        practice=plan.practice,
        threads=plan.threads,
        trees=trees,
        device=plan.device,
        conversations=plan.found.conversations,
        turns=plan.found.turns,
        tokens=plan.estimate.tokens,
        needed=plan.estimate.bytes_needed,
    )


def _write(plan: Plan, root: Path, about: About, voice: Voice, branch: ReadBranch, look: Look) -> Path:
    name = secrets.token_hex(6)
    part = root / f".new-{name}"
    try:
        part.mkdir(mode=PRIVATE)
        folder, choosing = Folder(part), Choosing(voice)
        _write_rows(plan, folder, choosing, examples.parted(plan.selection, voice, plan.found, branch), look)
        write_probes(folder, choosing.probes())
        write_json(part / MOMENTS, choosing.told())
        folder.config.write_text(toml_of(plan.config), encoding="utf-8")
        write_about(part, about)
        sync_within(part)
        into_place(part, root / name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return root / name


def _write_rows(
    plan: Plan, folder: Folder, choosing: Choosing, found: Iterator[tuple[Part, Row] | Looked], look: Look
) -> None:
    """Both parts in one reading."""
    with ExitStack() as files:
        add = {"train": files.enter_context(rows.writing(folder.train))}
        if plan.found.validation.examples:
            add["validation"] = files.enter_context(rows.writing(folder.valid))
        for each in found:
            if isinstance(each, Looked):
                look(each)
                continue
            part, row = each
            add[part](row)
            if part == "validation":
                choosing.watch(row)
