"""Every format of chat logs that can be read, in the order in which they are tried: one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwkv_chat.importers import (
    cards,
    chat_apps,
    chatgpt,
    claude,
    deepseek,
    discord,
    facebook,
    line_app,
    lm_studio,
    open_webui,
    signal_app,
    sillytavern,
    slack,
    tables,
    telegram,
    training,
    transcript,
    wechat,
    whatsapp,
)
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rwkv_chat.importers.forms import Conversation, Skipped
    from rwkv_chat.importers.sample import Sample
    from rwkv_chat.importers.sources import Source


@dataclass(frozen=True, slots=True)
class Format:
    """
    Attributes:
        name: of the program; "" where the catalogue has words for the format.
        fits: whether the beginning of a file is of this format; by content alone.
        read: all files of a log that fit, in the order of their names.
        of: another format, whose files it reads in another way; it is never guessed.
    """

    name: str
    fits: Callable[[Sample], bool]
    read: Callable[[Sequence[Source]], Iterator[Conversation | Skipped]]
    of: str = ""


def _never(_: Sample) -> bool:
    return False


FORMATS: dict[str, Format] = {
    chatgpt.FORM: Format("ChatGPT", chatgpt.fits, chatgpt.read),
    deepseek.FORM: Format("DeepSeek", deepseek.fits, deepseek.read),
    claude.FORM: Format("Claude", claude.fits, claude.read),
    claude.TYPED: Format("", _never, claude.read_typed, claude.FORM),
    open_webui.FORM: Format("Open WebUI", open_webui.fits, open_webui.read),
    lm_studio.FORM: Format("LM Studio", lm_studio.fits, lm_studio.read),
    chat_apps.CAI: Format("Character.AI", chat_apps.fits_cai, chat_apps.read_cai),
    chat_apps.TEXTGEN: Format("TextGen", chat_apps.fits_textgen, chat_apps.read_textgen),
    discord.FORM: Format("Discord", discord.fits, discord.read),
    telegram.FORM: Format("Telegram", telegram.fits, telegram.read),
    facebook.FORM: Format("Facebook, Instagram", facebook.fits, facebook.read),
    slack.FORM: Format("Slack", slack.fits, slack.read),
    signal_app.FORM: Format("Signal", signal_app.fits, signal_app.read),
    sillytavern.FORM: Format("SillyTavern", sillytavern.fits, sillytavern.read),
    cards.FORM: Format("", cards.fits, cards.read),
    chat_apps.AGNAI: Format("Agnai", chat_apps.fits_agnai, chat_apps.read_agnai),
    training.OPENAI: Format("OpenAI messages", training.fits_openai, training.read_openai),
    training.SHAREGPT: Format("ShareGPT", training.fits_sharegpt, training.read_sharegpt),
    training.ALPACA: Format("Alpaca", training.fits_alpaca, training.read_alpaca),
    training.RWKV: Format("RWKV jsonl", training.fits_rwkv, training.read_rwkv),
    line_app.FORM: Format("LINE", line_app.fits, line_app.read),
    whatsapp.FORM: Format("WhatsApp", whatsapp.fits, whatsapp.read),
    whatsapp.DAY: Format("", _never, whatsapp.read_day_first, whatsapp.FORM),
    whatsapp.MONTH: Format("", _never, whatsapp.read_month_first, whatsapp.FORM),
    wechat.FORM: Format("WeChat", wechat.fits, wechat.read),
    tables.PAIRS: Format("CSV", tables.fits, tables.read),
    tables.CHAT: Format("", tables.fits_chat, tables.read_chat),
    wechat.PASTE: Format("", wechat.fits_paste, wechat.read_paste),
    transcript.FORM: Format("", transcript.fits, transcript.read),
}


def label(form: str) -> str:
    """What people call it, in their language.

    Args:
        form: a key of `FORMATS`.
    """
    return FORMATS[form].name or say(f"logs.form.{form}")
