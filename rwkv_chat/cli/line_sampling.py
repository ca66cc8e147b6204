"""Line mode's commands on sampling: values of the open conversation, presets, tokens."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from engine.errors import InvalidParameter
from engine.types import SamplingParams
from rwkv_chat import own_words, presets
from rwkv_chat.cli.line_base import LineBase
from rwkv_chat.cli.output import note, result
from rwkv_chat.phrases import listed
from rwkv_chat.settings import sampling_with
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rwkv_chat.session.token_scores import TokenRow

NUMERIC = {each.name: each for each in fields(SamplingParams) if each.metadata}
LISTS = {"stop": own_words.STOPS, "ban": own_words.BANS}
SHOWN = 3  # alternatives of a token


class SamplingCommands(LineBase):
    """What one conversation has of its own holds from the next token on."""

    def do_set(self, text: str) -> None:
        """Without a value, the usual one comes back; alone, all values are shown."""
        typed, _, value = text.partition(" ")
        name = typed.strip().lstrip("-").replace("-", "_").lower()
        if not name:
            self._show_values()
        elif name not in (*NUMERIC, *LISTS):
            note(say("cli.chat.no_such_value", name=typed, names=listed((*NUMERIC, *LISTS))))
        elif not value.strip():
            self._keep({key: its for key, its in self._own().items() if key != LISTS.get(name, name)})
            note(say("cli.chat.usual_value", name=name))
        else:
            self._set(name, value.strip())

    def _set(self, name: str, value: str) -> None:
        found = _texts(value) if name in LISTS else _number(name, value)
        if found is None:
            note(_allowed(name))
            return
        self._keep({**self._own(), LISTS.get(name, name): found})
        if name == "ban":
            self._tell_unknown(tuple(own_words.parse(value) or ()))
        note(say("cli.chat.value", name=name, value=value))

    def _tell_unknown(self, texts: tuple[str, ...]) -> None:
        speaker = self._wait(self.session.models.speaking())
        if unknown := own_words.banned(texts, speaker.tokenizer).unknown:
            note(say("app.sampling.no_token", texts=listed(unknown)))

    def _show_values(self) -> None:
        own = self._own()
        params = sampling_with(self.session.sampling, own)
        for name in NUMERIC:
            value = getattr(params, name)
            result(say("cli.chat.value_row", name=name, value="" if value is None else f"{value:g}"))
        for name, kept in LISTS.items():
            shown = own_words.shown(own_words.texts_of(own, kept))
            result(say("cli.chat.value_row", name=name, value=shown))

    def do_preset(self, name: str) -> None:
        """Without a name, the list."""
        folder = self.session.paths.presets
        if not name:
            for each in presets.offered(folder):
                result(say("cli.chat.preset_row", name=each.name, title=each.title))
            return
        found = presets.named(name, folder)
        if found is None:
            note(say("app.presets.unknown", name=name))
            return
        self._keep({**self._own(), **found.values})
        note(say("cli.chat.preset", name=found.title))

    # ---------------------------------------------------------------- where it is kept

    def _own(self) -> Mapping[str, Any]:
        if self.thread is None:
            return self.own
        return self._wait(self.session.chats.open(self.thread)).thread.sampling

    def _keep(self, own: Mapping[str, Any]) -> None:
        if self.thread is None:
            self.own = dict(own)
        else:
            self._wait(self.session.chats.configure(self.thread, sampling=own))

    # ---------------------------------------------------------------- tokens

    def do_tokens(self, number: str) -> None:
        """Of the last reply, or of message NUMBER."""
        if (thread := self._open_one()) is None:
            return
        if number:
            node = self._message(thread, number)
        else:
            replies = (each for each in reversed(self._messages(thread)) if each.message.role == "assistant")
            if (node := next(replies, None)) is None:
                note(say("app.tokens.no_reply_yet"))
        if node is not None:
            self._wait(self._tokens(thread, node.id))

    async def _tokens(self, thread: str, node: str) -> None:
        told = ""
        async for event in self.session.chats.token_scores(thread, node):
            if (form := getattr(event, "form", told)) not in ("remembered", told):
                note(say(f"app.tokens.{form}"))
            told = form
            for place, row in enumerate(getattr(event, "rows", ()), getattr(event, "first", 0)):
                result(_line(place, row))


def _line(place: int, row: TokenRow) -> str:
    others = listed(f"{each.piece!r} {each.share:.1%}" for each in row.others[:SHOWN])
    shares = {"share": f"{row.share:.1%}", "bits": f"{row.bits:.1f}"}
    return say("cli.chat.token", place=f"{place:>5}", token=f"{row.piece!r}", others=others, **shares)


def _texts(value: str) -> list[str] | None:
    texts = own_words.parse(value)
    return None if texts is None else list(texts)


def _number(name: str, value: str) -> int | float | None:
    """The value, valid; None where it is not."""
    whole = not isinstance(NUMERIC[name].default, float)
    try:
        number = int(value) if whole else float(value.replace(",", "."))
        return getattr(SamplingParams(**{name: number}), name)  # pyright: ignore[reportArgumentType]  checked there
    except (ValueError, InvalidParameter):
        return None


def _allowed(name: str) -> str:
    if name in LISTS:
        return say("app.sampling.texts", most=own_words.MOST, longest=own_words.LONGEST)
    about = NUMERIC[name].metadata
    return say("app.sampling.range", label=name, low=f"{about['min']:g}", high=f"{about['max']:g}")
