"""Languages, and conversations that say nearly the same."""

from __future__ import annotations

from random import Random

import pytest

from rwkv_chat.importers import alike
from rwkv_chat.importers.alike import Alike, likeness, signature
from rwkv_chat.importers.filters import Filters, plain
from rwkv_chat.importers.language import LANGUAGES, language


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I think that you are right, and it is what we have always said.", "en"),
        ("Ja, das ist nicht so einfach, aber ich habe es auch noch nicht gemacht.", "de"),
        ("Je ne sais pas si tu es dans la maison, mais on est avec les amis.", "fr"),
        ("No sé qué es lo que más me gusta, pero está muy bien para los dos.", "es"),
        ("Não sei se você está em casa, mas eu vou com o meu amigo.", "pt"),
        ("Non so se ti piace, ma è molto più bello con gli altri che sono qui.", "it"),
        ("Ik heb het niet gedaan, maar dat is ook wel goed voor ons.", "nl"),
        ("你今天晚上有空吗？我们一起去吃饭吧", "zh"),
        ("今日は暇ですか。一緒に食べましょう", "ja"),
        ("오늘 저녁에 시간 있어요?", "ko"),
        ("Привет, как у тебя дела сегодня?", "ru"),
        ("שלום מה שלומך היום", "he"),
        ("สวัสดีครับ วันนี้เป็นอย่างไร", "th"),
        ("ok", ""),
        ("", ""),
        ("123 😀 !!!", ""),
        ("lol haha yeah nah brb", ""),
    ],
)
def test_languages(text: str, expected: str) -> None:
    assert language(text) == expected
    assert expected in ("", *LANGUAGES)


def test_characters_have_one_form() -> None:
    assert plain("e\u0301\u200b\u200f!") == "\xe9!"
    assert plain("👩\u200d🚀") == "👩\u200d🚀"  # joined emoji stay


def _overlap(one: str, other: str) -> float:
    a, b = ({text[at : at + 5] for at in range(len(text) - 4)} for text in (one, other))
    return len(a & b) / len(a | b)


@pytest.mark.parametrize("changed", [0, 5, 40, 150, 400])
def test_a_signature_tells_how_much_two_texts_share(changed: int) -> None:
    random = Random(changed)
    words = [str(random.randrange(10_000)) for _ in range(400)]
    one, other = " ".join(words), " ".join([*words[: 400 - changed], *map(str, range(changed))])
    a, b = signature(one), signature(other)
    assert a is not None
    assert b is not None
    assert abs(likeness(a, b) - _overlap(one, other)) < 0.25  # 32 numbers: a deviation of 0.09 at most


def test_the_same_signature_in_every_process() -> None:
    found = signature("the very same words")
    assert found is not None
    assert found[:2].tolist() == signature("The very  same words")[:2].tolist()  # type: ignore[index]
    assert signature("four") is None


def test_only_the_last_ones_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "MOST", 3)
    known, texts = Alike(0.8), [f"{word} " * 20 for word in ("alpha", "bravo", "charlie", "delta", "echo")]
    assert not any(known.seen(each) for each in texts)
    assert [known.seen(each) for each in texts[-3:]] == [True] * 3
    assert len(known._kept) == 3
    assert len(known._bands) <= 3 * alike.NUMBERS // alike.BAND
    assert not known.seen(texts[0])


def test_a_line_of_addresses_is_read_in_one_way() -> None:
    """With words at its end: no search through all the ways in which it could be cut into addresses."""
    assert Filters().against("https://a.example/b\n www.c.example ") == "links"
    assert Filters().against("www.a" * 3_000 + " words") is None
