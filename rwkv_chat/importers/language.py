"""Which language a conversation is in, as far as letters and the commonest words tell. Pure.

Other scripts than the Latin one are told by their letters, and count as the language that most write in them
(Ukrainian as Russian, Persian as Arabic); those written in Latin letters by words that stand in nearly every
sentence. It needs no model and no package, takes the beginning of a text, and says "" where it cannot tell: a
filter keeps that.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_LOOKED_AT = 4_000  # characters
_FEWEST_LETTERS = 8
_FEWEST_WORDS = 3
_CLEAR = 1.5  # times as many as of the next language
_WORD = re.compile(r"[^\W\d_]+")
# by the first word of a letter's name in Unicode; kana beside Chinese characters is Japanese
_SCRIPTS = {
    "CJK": "zh",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CYRILLIC": "ru",
    "GREEK": "el",
    "ARABIC": "ar",
    "HEBREW": "he",
    "THAI": "th",
    "DEVANAGARI": "hi",
}
_WORDS = {
    "en": "the and you that was for are with have this not but what it's i'm is to of it in on my we so just",
    "de": "der die das und ist nicht ich du wir ein eine mit auf für auch noch aber dann mal ja es zu den so",
    "fr": "le la les et est pas je tu nous un une des pour que qui dans sur mais avec c'est ça on du au",
    "es": "el la los que es no y un una por con para pero se lo como mi te muy más está en del al",
    "pt": "o a os que é não e um uma por com para mas se como meu você muito mais está em do da no na",
    "it": "il la gli che è non e un una per con ma si come mi ti molto più sono in del della anche ho",
    "nl": "de het een en is niet ik je wij dat met voor maar ook nog wel van op aan te zijn er heb",
}
_KNOWN = {language: frozenset(words.split()) for language, words in _WORDS.items()}
LANGUAGES = (*_WORDS, *dict.fromkeys(_SCRIPTS.values()))


def language(text: str) -> str:
    """One of `LANGUAGES`, "" where it cannot be told."""
    head = text[:_LOOKED_AT]
    scripts = Counter(_script(each) for each in head if each.isalpha())
    if scripts.total() < _FEWEST_LETTERS and scripts.keys() <= {"LATIN"}:
        return ""
    if scripts["HIRAGANA"] + scripts["KATAKANA"] > scripts["CJK"] / 10:
        scripts["HIRAGANA"] += scripts.pop("CJK", 0)
    best, number = scripts.most_common(1)[0]
    if number * 2 < scripts.total():
        return ""
    return _latin(head) if best == "LATIN" else _SCRIPTS.get(best, "")


def _script(letter: str) -> str:
    return "LATIN" if letter < "\u0250" else unicodedata.name(letter, "").partition(" ")[0]


def _latin(text: str) -> str:
    words = Counter(_WORD.findall(text.casefold().replace("'", "")))
    found = Counter(
        {name: sum(words[each.replace("'", "")] for each in known) for name, known in _KNOWN.items()}
    )
    (best, number), (_, next_number) = found.most_common(2)
    return best if number >= _FEWEST_WORDS and number >= _CLEAR * next_number else ""
