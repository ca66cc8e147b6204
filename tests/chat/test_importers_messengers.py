"""Exports of messengers: dates, names, notices and placeholders in their languages, on samples of our own."""

from __future__ import annotations

import json
import zipfile
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from rwkv_chat.importers.facebook import repaired
from rwkv_chat.importers.forms import Attachment
from rwkv_chat.importers.logs import guess
from rwkv_chat.importers.placeholders import placeholder
from rwkv_chat.importers.whatsapp import _LINE, date_order
from tests.chat.logs import LOGS, one, read, said

if TYPE_CHECKING:
    from pathlib import Path


def at(year: int, month: int, day: int, hour: int, minute: int, second: int = 0) -> float:
    return datetime(year, month, day, hour, minute, second).timestamp()  # noqa: DTZ001  the clock of this machine, as the logs mean it


def test_whatsapp_of_an_iphone() -> None:
    (found,), report = read("whatsapp_ios.txt")
    assert said(found) == [
        ("Anna", "Happy new year!\nsecond line\n\nfourth: line"),
        *(("Ben Q", "<image>"), ("Ben Q", "<image>"), ("Ben Q", "Fixed")),
        *(("Anna", "<call>"), ("Anna", "<poll>")),
    ]
    assert found.turns[1].attachments[0].name == "00000012-PHOTO-2024-12-31.jpg"
    assert (found.turns[3].edited, found.turns[5].attachments[0].name) == (True, "Where?")
    assert found.turns[0].time == at(2024, 12, 31, 21, 5, 33)
    assert report.skipped == {"system": 2, "deleted": 1}


def test_whatsapp_of_android_with_colons_in_names() -> None:
    (found,), report = read("whatsapp_android.txt")
    assert said(found) == [
        *(("Team: Anna", "Hello: all"), ("Team: Ben", "<other>")),
        *(("Team: Ben", "look"), ("Team: Anna", "null")),
    ]
    assert found.turns[2].attachments == (Attachment("image", "cat.jpg"),)
    assert [each.time for each in found.turns[:2]] == [at(2024, 1, 5, 21, 5), at(2024, 1, 13, 0, 1)]
    assert report.skipped == {"system": 1}


def test_whatsapp_in_other_languages() -> None:
    (german,), report = read("whatsapp_de.txt")
    assert said(german) == [("Änne", "Grüße"), ("Bernd", "<other>")]
    assert [each.time for each in german.turns] == [at(2023, 6, 5, 14, 2), at(2023, 6, 6, 8, 15)]
    assert report.skipped == {"system": 1, "deleted": 1}
    chinese = one("whatsapp_zh.txt")  # GB18030, year first, the half of the day before the hour
    assert said(chinese) == [("小明", "你好"), ("小红", "<image>"), ("小红", "好的")]
    assert [each.time for each in chinese.turns[::2]] == [at(2024, 1, 5, 15, 5), at(2024, 1, 5, 0, 7)]


@pytest.mark.parametrize(
    ("lines", "day", "sure"),
    [
        (["13/01/24, 10:00 - A: x"], 0, True),
        (["01/13/24, 10:00 - A: x"], 1, True),
        (["2024-01-05, 10:00 - A: x"], 2, True),
        (["03/01/24, 10:00 - A: x", "01/02/24, 10:00 - A: x"], 0, True),  # time goes forwards
        (["1/3/24, 10:00 AM - A: x"], 1, False),
        (["1.3.24, 10:00 - A: x"], 0, False),
    ],
)
def test_which_number_is_the_day(lines: list[str], day: int, sure: bool) -> None:
    order = date_order([match for each in lines if (match := _LINE.match(each))])
    assert (order.day, order.sure) == (day, sure)


def test_where_the_dates_leave_it_open_it_is_said_and_can_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "chat.txt"
    path.write_text("1/2/24, 10:00 AM - A: x\n1/2/24, 10:01 AM - B: y\n")
    assert guess(path).dates == "month"  # a clock of twelve hours, and slashes
    assert one(path).turns[0].time == at(2024, 1, 2, 10, 0)
    assert one(path, "whatsapp-day").turns[0].time == at(2024, 2, 1, 10, 0)
    assert (guess(path, "whatsapp-day").dates, one(path, "whatsapp-day").form) == ("", "whatsapp")
    assert one(path, "whatsapp-month").turns[0].time == at(2024, 1, 2, 10, 0)
    path.write_text("1.2.24, 10:00 - A: x\n1.2.24, 10:01 - B: y\n")
    assert guess(path).dates == "day"
    assert guess(LOGS / "whatsapp_ios.txt").dates == ""
    with zipfile.ZipFile(tmp_path / "chat.zip", "w") as packed:  # beside other files, too
        packed.write(path, "_chat.txt")
        packed.writestr("Ann.vcf", "BEGIN:VCARD\nEND:VCARD\n")
    assert one(tmp_path / "chat.zip", "whatsapp-month").turns[0].time == at(2024, 1, 2, 10, 0)


@pytest.mark.parametrize(
    "line",
    [
        "[1/5/24, 9:05:01\u202fPM] A: x",
        "\u200e[05.01.24, 21:05:01] A: x",
        "5/1/2024, 21.05 - A: x",
        "5/1/24 9:05 p. m. - A: x",
        "5/1/24, a las 21:05 - A: x",
        "2024/1/5 下午9:05 - A: x",
        "2024. 1. 5. 오후 9:05 - A: x",
    ],
)
def test_lines_that_begin_a_message(line: str) -> None:
    match = _LINE.match(line)
    assert match is not None
    assert match["rest"] == "A: x"


@pytest.mark.parametrize(
    ("said_there", "kind"),
    [
        *(("<Media omitted>", "other"), ("image omitted", "image"), ("GIF omitted", "video")),
        *(
            ("[スタンプ]", "sticker"),
            ("[图片]", "image"),
            ("☎ 通話時間 1:02", "call"),
            ("Video weggelassen", "video"),
        ),
        *(("location: https://maps.example/x", "place"), ("x.vcf (file attached)", "contact")),
        *(("an image omitted on purpose", None), ("[x]", None), ("☎\ncall me", None)),
    ],
)
def test_placeholders(said_there: str, kind: str | None) -> None:
    meant = placeholder(said_there)
    assert (meant[0].kind if isinstance(meant, tuple) else meant) == kind


def test_telegram_of_a_whole_account() -> None:
    (bob, group, saved), report = read("telegram.json")
    assert said(bob) == [
        ("Ann Lee", "Look at https://example.org please"),
        *(("Bob", "<sticker>"), ("Bob", "Seen")),
    ]
    assert (bob.owner, bob.turns[1].attachments[0].name, bob.turns[2].edited) == ("Ann Lee", "👍", True)
    assert (said(group), saved.title) == ([("Deleted Account", "ab")], "Saved Messages")
    assert bob.turns[0].time == 1704103201.0
    assert report.skipped == {"system": 2, "bad-record": 1}


def test_discord_names_emoji_and_forwards() -> None:
    (found,), report = read("discord.json")
    assert found.title == "Club #talk"
    assert said(found) == [("Ann", "Hi @Bob :wave:"), ("bob", "<file>"), ("bob", "Forwarded")]
    assert (found.turns[0].edited, found.turns[0].time) == (True, 1704096001.0)
    assert report.skipped == {"system": 1, "empty": 1}


def part(folder: Path, name: str, *messages: tuple[str, dict[str, Any], str]) -> None:
    told = [
        {"id": id_, "type": "Default", "timestamp": "2024-01-01T10:00:00Z", "author": author, "content": text}
        for id_, author, text in messages
    ]
    head = {"guild": {"id": "0", "name": "Direct Messages"}, "channel": {"id": "7", "name": "talk"}}
    (folder / name).write_text(json.dumps({**head, "messages": told, "messageCount": len(told)}))


def test_discord_parts_in_their_order_and_people_by_their_ids(tmp_path: Path) -> None:
    ann, other = {"id": "5", "name": "ann", "nickname": "Ann"}, {"id": "6", "name": "ann2", "nickname": "Ann"}
    part(tmp_path, "talk [7].json", ("1", ann, "one"), ("2", other, "two"))
    part(tmp_path, "talk [7] [part 2].json", ("3", ann | {"nickname": "Annie"}, "three"))
    part(tmp_path, "talk [7] [part 10].json", ("4", other, "four"))
    (found,), _ = read(tmp_path)
    assert (found.id, found.title) == ("7", "talk")
    assert said(found) == [("Ann", "one"), ("Ann (ann2)", "two"), ("Ann", "three"), ("Ann (ann2)", "four")]


def test_discords_own_package_has_its_owners_messages(tmp_path: Path) -> None:
    folder = tmp_path / "messages" / "c123"
    folder.mkdir(parents=True)
    rows = [
        {"ID": 9, "Timestamp": "2024-01-05 10:00:00", "Contents": "hi", "Attachments": ""},
        {
            "ID": 10,
            "Timestamp": "2024-01-05 10:01:00",
            "Contents": "",
            "Attachments": "https://x/a/cat.png?e=1",
        },
        {"ID": 11, "Timestamp": "2024-01-05 10:02:00", "Contents": "", "Attachments": ""},
    ]
    (folder / "messages.json").write_text(json.dumps(rows))
    (folder / "channel.json").write_text('{"id": "123", "type": 1}')
    (found,), report = read(tmp_path / "messages")
    assert (found.title, found.owner, said(found)) == ("c123", "me", [("me", "hi"), ("me", "<file>")])
    assert found.turns[1].attachments[0].name == "cat.png"
    assert (found.turns[0].time, report.skipped) == (at(2024, 1, 5, 10, 0), {"other-file": 1, "empty": 1})


def test_line_in_shift_jis_and_with_spaces() -> None:
    (found,), report = read("line.txt")
    assert found.title == "ハナ"
    assert said(found) == [
        *(("ハナ", "こんにちは"), ("太郎", '一行目\n二行目 "引用"\n三行目')),
        *(("ハナ", "<sticker>"), ("太郎", "<image>"), ("ハナ", "おはよう")),
    ]
    assert [found.turns[0].time, found.turns[-1].time] == [at(2024, 1, 15, 15, 5), at(2024, 1, 16, 8, 0)]
    assert report.skipped == {"system": 1}
    assert said(one("line_en.txt")) == [
        *(("Hana", "Good afternoon"), ("Taro", "Hi\nthere"), ("Hana", "<image>"), ("Taro", "<call>")),
    ]


def test_line_of_a_computer_and_a_name_of_two_words(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    rows = ("15:05 Hana Sato Good afternoon", "15:06 Taro Hi there")
    path.write_text("[LINE] Chat history with Hana Sato\nSaved on: x\n\n2024/01/15(Mon)\n" + "\n".join(rows))
    assert said(one(path)) == [("Hana Sato", "Good afternoon"), ("Taro", "Hi there")]


def test_line_tells_its_quotation_marks_from_a_persons(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    rows = (
        *("15:05\tHana\tHi", '15:06\tTaro\t"Ok" then', "15:07\tHana\tyes"),
        *('15:08\tTaro\t"two', 'lines"', '15:09\tHana\t"open', "15:10\tTaro\tnext", '15:11\tTaro\t"A" b', ""),
    )
    path.write_text("[LINE] Chat history with Hana\nSaved on: x\n\n2024/01/15(Mon)\n" + "\n".join(rows))
    assert said(one(path)) == [
        *(("Hana", "Hi"), ("Taro", '"Ok" then'), ("Hana", "yes"), ("Taro", "two\nlines")),
        *(("Hana", '"open'), ("Taro", "next"), ("Taro", '"A" b')),
    ]


def test_wechat_in_three_shapes() -> None:
    (named,), report = read("wechat_weclone.csv")  # GBK, and a cell of two lines
    assert said(named) == [("wxid_a", "你好"), ("me", "第一行\n第二行"), ("wxid_a", "<image>")]
    assert (named.owner, report.skipped) == ("me", {"system": 1})
    (numbered,), report = read("wechat_memotrace.csv")
    assert said(numbered) == [("群", "大家好"), ("小红", "引用, 回复"), ("me", "收到"), ("小红", "<image>")]
    assert (numbered.turns[0].time, report.skipped) == (1694847060.0, {"system": 1})
    pasted = one("wechat_paste.txt")
    assert said(pasted) == [("小明", "你好\n再见"), ("Hong Li", "<image>"), ("小明", "好")]
    assert pasted.turns[0].time == at(2023, 9, 16, 14, 51)


def test_slack_threads_and_names() -> None:
    (channel, thread), report = read("slack.zip")
    assert said(channel) == [("Bob", "second @Ann <b> link @here"), ("Ann", "only blocks"), ("Bob", "later")]
    assert said(thread) == [("Ann", "root"), ("Bob", "In the thread")]  # over two days
    assert report.skipped == {"other-file": 1, "system": 1}


def test_signal_and_facebook() -> None:
    (found,), report = read("signal.json")
    assert said(found) == [("Me", "Hi"), ("Ida", "<image>")]
    assert (found.owner, report.skipped) == ("Me", {"deleted": 1})
    (found,), report = read("facebook.json")
    assert (found.title, said(found)) == ("Zoë", [("Max", "<image>"), ("Zoë", "schön 😀")])  # oldest first
    assert report.skipped == {"deleted": 1}
    assert (repaired("Ã©"), repaired("é"), repaired("日")) == ("é", "é", "日")


def test_facebook_names_whose_broken_letters_count_as_blanks(tmp_path: Path) -> None:
    broken = "Nicolà Åse".encode().decode("latin-1")
    message = {"sender_name": broken, "timestamp_ms": 1_700_000_000_000, "content": broken}
    (tmp_path / "message_1.json").write_text(json.dumps({"participants": [], "messages": [message]}))
    assert said(one(tmp_path / "message_1.json")) == [("Nicolà Åse", "Nicolà Åse")]


def test_signal_as_text_and_beside_its_records(tmp_path: Path) -> None:
    rows = (
        "[2024-05-29 15:04:00] Me: Hi",
        "there",
        "",
        "[2024-05-29 15:05:00] Ida: ![x](media/x.jpg) look (- Me: 👍 -)",
        "[2024-05-29 15:06:00] Me:",
    )
    chat = tmp_path / "Ida"
    chat.mkdir()
    (chat / "chat.md").write_text("\n".join(rows))
    (found,), report = read(chat / "chat.md")
    assert (found.form, found.owner) == ("signal", "Me")
    assert said(found) == [("Me", "Hi\nthere"), ("Ida", "look")]
    assert (found.turns[0].time, found.turns[1].attachments) == (
        at(2024, 5, 29, 15, 4),
        (Attachment("image", "x"),),
    )
    assert report.skipped == {"empty": 1}
    (chat / "data.json").write_bytes((LOGS / "signal.json").read_bytes())
    (found,), report = read(tmp_path)  # one chat, not two
    assert (found.title, found.id, said(found)) == ("Ida", "signal:Ida", [("Me", "Hi"), ("Ida", "<image>")])
    assert report.skipped == {"deleted": 1, "other-file": 1}
    (chat / "data.json").unlink()
    (chat / "chat.md").write_text("[2024-05-29 15:04:00] Ann: Hi\n[2024-05-29 15:05:00] Bob: Ho\n")
    assert one(chat / "chat.md").form == "whatsapp"  # nobody is called Me
