"""The model alone and what was tuned of it, side by side: in replies, in numbers, and blind."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.types import Failed, Finished, GenerateRequest, Piece
from rwkv_chat import templates
from rwkv_chat.library.nodes import StoredNode
from rwkv_chat.session import chain
from rwkv_chat.session.errors import NoMoments
from rwkv_chat.session.examples_voice import voice_of
from rwkv_chat.session.replying import SEEDS
from rwkv_chat.session.tune_folder import read_about
from rwkv_chat.session.tune_moments import Moments
from rwkv_chat.session.tune_results import Tried
from rwkv_chat.session.tune_types import Count, Losses, Moment, Said
from rwkv_chat.transcript import ChatMessage, Node

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from engine.types import SamplingParams, TokenIds
    from rwkv_chat.session.answering import Desk
    from rwkv_chat.session.examples_types import Voice
    from rwkv_chat.session.tune_results import Results
    from rwkv_chat.session.tune_types import Side, Tune

SHOWN_BEFORE = 1_200  # letters of a conversation before a moment
BLIND_TOKENS = 160


class Comparing:
    """All of it raises what `Results` does."""

    def __init__(self, desk: Desk, results: Results, sampling: Callable[[], SamplingParams]) -> None:
        self._desk, self._results, self._sampling = desk, results, sampling

    def losses(self, tune: Tune) -> Losses:
        return Losses(tune.first, tune.best)

    async def beside(
        self, tune: Tune, prompt: str, params: SamplingParams | None = None
    ) -> AsyncIterator[Said]:
        """A message answered by the model alone, then by the tuned one, with the same seed."""
        tried = await self._results.tried(tune)
        voice = await self._voice(tune)
        sampled = _seeded(params or self._sampling())
        tokens = await asyncio.to_thread(_asked, voice, prompt)
        for side, of in _sides(tried):
            async for text in self._replied(voice, tokens, sampled, of):
                yield Said(side, text)

    async def moments(self, tune: Tune) -> AsyncIterator[Moment]:
        """The held-out moments, each when its answers are there. Raises: NoMoments."""
        tried = await self._results.tried(tune)
        voice = await self._voice(tune)
        found = await asyncio.to_thread(Moments, tune.folder)
        if not found.held_out:
            raise NoMoments(tune.name)
        sampled = replace(_seeded(self._sampling()), max_tokens=BLIND_TOKENS)
        for index, held in enumerate(found.held_out):
            said: dict[Side, str] = {"real": _words(held.answer, voice)}
            for side, of in _sides(tried):
                parts = [each async for each in self._replied(voice, held.prompt, sampled, of)]
                said[side] = "".join(parts).strip()
            one, two, three = (said[each] for each in found.order(index))
            before = _text(held.prompt, voice)[-SHOWN_BEFORE:]
            yield Moment(index, before, (one, two, three), found.chosen[index])

    async def judge(self, tune: Tune, index: int, place: int) -> Side:
        """Somebody took the answer at this place (0, 1, 2) for the person's own; whose it was."""
        return await asyncio.to_thread(_judged, tune, index, place)

    async def count(self, tune: Tune) -> Count:
        """How the choices so far stand."""
        found = await asyncio.to_thread(Moments, tune.folder)
        numbers = {side: found.chosen.count(side) for side in ("real", "base", "tuned")}
        return Count(**numbers, moments=len(found.held_out))

    # ------------------------------------------------------------------ inside

    async def _voice(self, tune: Tune) -> Voice:
        """In the template that its rows are in."""
        about = await asyncio.to_thread(read_about, tune.folder)
        name = about.template if about.template in templates.names() else ""
        return voice_of(await self._results.speaker(tune), name)

    async def _replied(
        self, voice: Voice, tokens: TokenIds, params: SamplingParams, of: Tried
    ) -> AsyncIterator[str]:
        """The pieces of one reply. Raises: EngineError."""
        stop = voice.template.stop
        request = GenerateRequest(tokens, params=params, stop=stop, initial=of.initial, fork=len(tokens))
        job = await self._desk.adapters.submit(request, of.adapter)
        try:
            async for event in job:
                if isinstance(event, Piece):
                    yield event.text
                elif isinstance(event, Failed):
                    raise event.error
                elif isinstance(event, Finished):
                    return
        finally:
            job.cancel()


def _sides(tried: Tried) -> tuple[tuple[Side, Tried], ...]:
    return ("base", Tried()), ("tuned", tried)


def _seeded(params: SamplingParams) -> SamplingParams:
    return params if params.seed is not None else replace(params, seed=secrets.randbelow(SEEDS))


def _asked(voice: Voice, text: str) -> TokenIds:
    stored = StoredNode(Node("", None, ChatMessage("user", templates.scrub(text))))
    return chain.encoded(stored, voice.template, voice.tokenizer, first=True)


def _words(tokens: TokenIds, voice: Voice) -> str:
    """An answer without what ends it."""
    text = _text(tokens, voice)
    for stop in voice.template.stop.texts:
        text = text.partition(stop)[0] if stop.strip() else text.removesuffix(stop)
    return text.strip()


def _text(tokens: TokenIds, voice: Voice) -> str:
    said = tuple(each for each in tokens if each not in voice.template.stop.ids)
    return voice.tokenizer.decode_bytes(said).decode("utf-8", "replace")


def _judged(tune: Tune, index: int, place: int) -> Side:
    found = Moments(tune.folder)
    if not 0 <= index < len(found.held_out) or place not in (0, 1, 2):
        raise NoMoments(tune.name)
    side = found.order(index)[place]
    found.choose(index, side)
    return side
