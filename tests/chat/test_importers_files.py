"""Files of logs as they come: encodings, JSON that streams and is broken, zips, damage of every kind."""

from __future__ import annotations

import ast
import codecs
import io
import json
import random
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rwkv_chat.importers
from rwkv_chat.importers import json_stream
from rwkv_chat.importers.formats import FORMATS
from rwkv_chat.importers.forms import Refused, Report, Skipped
from rwkv_chat.importers.json_stream import BAD, LARGE, Cut, JsonStream
from rwkv_chat.importers.logs import Progress, conversations, guess
from rwkv_chat.importers.text_file import Text, encoding_of
from rwkv_chat.importers.times import moment
from tests.chat.logs import LOGS, one, read, said

if TYPE_CHECKING:
    from tests.conftest import Sample

SAMPLES = sorted(each for each in LOGS.iterdir() if each.is_file())

# ------------------------------------------------------------------------------------------------ detector


def test_every_sample_is_known_and_every_format_has_one() -> None:
    guessed = {name for name, row in FORMATS.items() if not row.of}
    assert {guess(each).form for each in SAMPLES} == guessed


@pytest.mark.parametrize("path", SAMPLES, ids=lambda each: each.name)
def test_the_name_of_a_file_says_nothing(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "x.bin"
    other.write_bytes(path.read_bytes())
    assert guess(other).form == guess(path).form
    assert [said(each) for each in read(other)[0]] == [said(each) for each in read(path)[0]]


def test_a_named_format_overrides_the_guess(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("User: hi\n\nAssistant: ho\n")
    assert (guess(path).form, said(one(path))[0][0]) == ("transcript", "user")
    found, report = read(path, "whatsapp")
    assert (found, report.skipped) == ([], {"bad-record": 1, "no-turns": 1})


# ------------------------------------------------------------------------------------------------ text


@pytest.mark.parametrize(
    ("text", "encoding", "known"),
    [
        *(("héllo", "utf-8", "utf-8"), ("héllo", "utf-8-sig", "utf-8"), ("héllo wörld", "cp1252", "cp1252")),
        *(("hello 你好", "utf-16", "utf-16"), ("hello", "utf-16-le", "utf-16-le")),
        *(("hello", "utf-16-be", "utf-16-be"), ("你好，世界。今天天气很好", "gb18030", "gb18030")),
        ("こんにちは、元気ですか。", "cp932", "cp932"),
    ],
)
def test_encodings(text: str, encoding: str, known: str) -> None:
    data = text.encode(encoding)
    assert encoding_of(data) == known
    assert Text(io.BytesIO(data), known).piece() == text


def test_what_is_no_text() -> None:
    assert [encoding_of(each) for each in (b"", b"\0" * 99, b"\x7fELF\0\1\0\xff" * 9)] == [None] * 3
    assert encoding_of("日本".encode() * 99 + b"\xff") == "utf-8"  # one bad byte changes nothing
    assert encoding_of("日".encode()[:2]) == "utf-8"  # cut


def test_lines_end_at_a_newline_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwkv_chat.importers.text_file.PIECE", 3)
    text = "a\u2028b\r\n\u0085c\x0bd\n\ne"
    assert list(Text(io.BytesIO(text.encode()), "utf-8").lines()) == ["a\u2028b", "\u0085c\x0bd", "", "e"]
    monkeypatch.setattr("rwkv_chat.importers.text_file.LONGEST_LINE", 4)
    told = Text(io.BytesIO(b"abc\nabcdefgh\nx"), "utf-8")
    assert (list(told.lines()), told.too_long) == (["abc", "x"], 1)


def test_moments() -> None:
    assert [moment(each) for each in (1.7e9, 1.7e12, 1.7e15, "1700000000", "1700000000000")] == [1.7e9] * 5
    odd = (True, None, "", "soon", float("nan"), 1e999, 10**400, -5, [], "9" * 30, "0001-01-01", "2024-13-01")
    assert [moment(each) for each in odd] == [None] * len(odd)
    assert moment("2024-01-01T00:00:00+08:00") == moment("2023-12-31T16:00:00Z") == 1704038400.0


# ------------------------------------------------------------------------------------------------ JSON

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def pieces(text: str, size: int) -> JsonStream:
    cut = (text[at : at + size] for at in range(0, len(text), size))
    return JsonStream(lambda: next(cut, ""))


def pulled(stream: JsonStream) -> Any:
    """A whole value, taken apart as far as it goes."""
    match stream.peek():
        case "[":
            return [pulled(stream) for _ in stream.elements()]
        case "{":
            return {name: pulled(stream) for name in stream.members()}
        case _:
            return stream.value()


@given(VALUES, st.integers(1, 9), st.booleans(), st.booleans())
def test_pulled_in_pieces_is_what_is_read_whole(value: Any, size: int, indent: bool, ascii_: bool) -> None:
    text = json.dumps(value, indent=1 if indent else None, ensure_ascii=ascii_)
    assert pulled(pieces(text, size)) == json.loads(text)
    assert pieces(text, size).value() == json.loads(text)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_broken_element_costs_only_itself(size: int) -> None:
    text = '[1, {"a": tru}, "x\\q", 2 3, {"b": [1,]}, ' + "[" * 5_000 + "]" * 5_000 + ', {"c": "d"}]'
    stream = pieces(text, size)
    found = [stream.value() for _ in stream.elements()]
    assert found == [1, BAD, BAD, 2, 3, BAD, LARGE, {"c": "d"}]
    assert not stream.cut


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_what_is_too_large_is_passed_over(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "LARGEST", 50)
    long = json.dumps(["x" * 300, {"k": ['\\"' * 90]}])
    stream = pieces(f'[{long}, 1, {long}, "{"y" * 200}", 2]', size)
    found = [stream.value() for _ in stream.elements()]
    assert [each for each in found if isinstance(each, int)] == [1, 2]
    assert size > 50 or found == [LARGE, 1, LARGE, LARGE, 2]  # what is there already is read all the same


def test_what_ends_too_early_says_so() -> None:
    whole = '{"a": [{"b": "c"}, {"b": "d"}], "e": 1}'
    for cut in range(1, len(whole)):
        stream = pieces(whole[:cut], 4)
        try:
            pulled(stream)
        except Cut:
            stream.cut = True
        assert stream.cut, whole[:cut]


# ------------------------------------------------------------------------------------------------ zips


def packed(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def test_a_zip_is_read_in_place_whatever_its_names_say(tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    found, report = read("whatsapp.zip")  # its member is called ../../evil/_chat.txt
    assert (len(found), found[0].title, report.skipped["other-file"]) == (1, "whatsapp", 1)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    bomb = packed(tmp_path / "b.zip", **{"conversations.json": b"[" + b" " * (64 << 20) + b"]"})
    began = time.perf_counter()
    with pytest.raises(Refused) as refused:
        list(conversations(bomb))
    assert (refused.value.hint, time.perf_counter() - began < 60) == ("no-text", True)


def test_a_damaged_zip_gives_what_it_has(tmp_path: Path) -> None:
    rows = b"".join(b'{"text": "User: %d\\n\\nAssistant: b"}\n' % each for each in range(20_000))
    whole = packed(tmp_path / "w.zip", log=rows, other=b"\xff\xd8\xff\0")
    data = bytearray(whole.read_bytes())
    data[len(data) * 4 // 5] ^= 0xFF
    whole.write_bytes(data)
    found, report = read(whole)
    assert 0 < len(found) < 20_000
    assert report.skipped["truncated"] == 1
    whole.write_bytes(data[:100])
    with pytest.raises(Refused):
        list(conversations(whole))


def test_a_folder_is_a_log_too(tmp_path: Path) -> None:
    with zipfile.ZipFile(LOGS / "slack.zip") as file:
        file.extractall(tmp_path / "slack")
    (tmp_path / "slack" / "link.json").symlink_to("/etc/passwd")
    assert [said(each) for each in read(tmp_path / "slack")[0]] == [
        said(each) for each in read("slack.zip")[0]
    ]
    with pytest.raises(FileNotFoundError):
        list(conversations(tmp_path / "nothing"))


# ------------------------------------------------------------------------------------------------ damage

_watched: list[str] = []
_watching: list[bool] = []
_FORBIDDEN = ("os.", "subprocess.", "socket.", "exec", "compile", "pickle.", "ctypes.", "shutil.", "import")
_HARMLESS = ("os.listdir", "os.scandir", "os.walk")


def _watch(event: str, given_: tuple[Any, ...]) -> None:
    if not _watching:
        return
    writes = event == "open" and isinstance(given_[1], str) and set(given_[1]) & set("wax+")
    if writes or (event.startswith(_FORBIDDEN) and event not in _HARMLESS):
        _watched.append(event)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """A log with up to six things done to it."""
    told = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at, length = chance.randrange(len(told) + 1), chance.choice((1, 1, 2, 8, 64, 500))
        match chance.randrange(8):
            case 0:
                told[at : at + length] = chance.randbytes(length)
            case 1:
                del told[at : at + length]
            case 2:
                told[at:at] = told[at : at + length] * chance.choice((1, 2, 50))
            case 3:
                told = told[:at]
            case 4:
                told[at:at] = chance.choice(ODD)
            case 5:
                told[at:at] = chance.choice(ODD) * chance.choice((1, 100, 5_000))
            case 6:
                for quoted in (b'"', b"{", b"[", b":", b"\n"):
                    where = told.find(quoted, at)
                    if where >= 0 and chance.random() < 0.3:
                        told[where : where + 1] = chance.choice(ODD)
            case _:
                other = chance.choice(SAMPLES).read_bytes()
                told[at:at] = other[: chance.randrange(len(other))]
    return bytes(told)


ODD = (
    *(
        b"null",
        b"[]",
        b"{}",
        b"-1",
        b"1e999",
        b"NaN",
        b'"',
        b"\\",
        b"[",
        b"{",
        b'{"a":',
        b"\n",
        b"\r\n",
        b"\0",
    ),
    *(b",", b": ", b"```", b'<details type="reasoning">', b"<antArtifact ", b"\xe2\x80\xa8", b"\xff"),
    *("\ue200".encode(), "【1†".encode(), codecs.BOM_UTF16_LE, b"{{user}}", b"<START>", b"<@", b"<"),
    *(b"[1/1/24, 1:1", b"[LINE]", b"1/1/24, 10:00 - A: ", b"wxid_a:\n", b"<title>", b"__import__('os')"),
    *(b"9" * 40, b"User: "),
)


def test_no_damage_stops_an_import(sample: Sample, tmp_path: Path) -> None:
    sys.addaudithook(_watch)
    for each in SAMPLES:
        guess(each)
    for each in (
        "utf-8",
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "utf-32",
        "cp932",
        "gb18030",
        "cp1252",
        "cp437",
    ):
        codecs.lookup(each)  # everything is imported by now
    path, slowest = tmp_path / "log", 0.0
    path.write_bytes(b"")
    for number in range(sample("mutated logs", 150, 10_000)):
        chance = random.Random(number)
        source = SAMPLES[number % len(SAMPLES)]
        path.write_bytes(mutated(source.read_bytes(), chance))
        began = time.perf_counter()
        _watching.append(True)
        try:
            told = _report(path)
        except Refused:
            told = Report()
        finally:
            _watching.clear()
        slowest = max(slowest, time.perf_counter() - began)
        assert told.turns < 1_000_000, (number, source.name)
        assert slowest < 60, (number, source.name)
    assert _watched == []


def _report(path: Path) -> Report:
    told = Report()
    for item in conversations(path):
        if not isinstance(item, Progress):
            told.count(item)
            assert isinstance(item, Skipped) or item.path()
    return told


def test_nothing_in_the_importers_can_execute() -> None:
    for file in Path(rwkv_chat.importers.__file__).parent.glob("*.py"):
        names = {
            each.id for each in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(each, ast.Name)
        }
        assert not names & {"eval", "exec", "compile", "__import__", "pickle", "subprocess", "yaml"}, (
            file.name
        )


# ------------------------------------------------------------------------------------------------ size


@pytest.mark.parametrize("form", ["telegram", "whatsapp"])
def test_a_large_export_needs_little_memory(form: str, sample: Sample, tmp_path: Path) -> None:
    megabytes = sample(f"megabytes of {form}", 4, 1024)
    told = _big_log(form, str(megabytes), str(tmp_path / "log"))
    assert told["bytes"] >= megabytes << 20
    assert told["turns"] > 3_000 * megabytes
    assert (told["skipped"], told["readings"], told["told to the end"]) == (0, 1, True)
    assert told["steps"] > megabytes / 2
    assert told["peak"] < 500e6
    assert told["peak"] - told["started_at"] < 150e6, told


def test_a_large_export_is_trained_on_in_little_memory(sample: Sample, tmp_path: Path) -> None:
    megabytes = sample("megabytes of examples", 2, 1024)
    told = _big_log("telegram", str(megabytes), str(tmp_path / "log"), "examples")
    assert told["bytes"] >= megabytes << 20
    assert told["turns"] > 3_000 * megabytes
    assert told["skipped"] < told["examples"] / 2  # they differ in little but numbers: some are nearly alike
    assert told["rows"] == told["train"]
    assert (told["readings"], told["told to the end"]) == (3, True)
    assert told["peak"] < 500e6, told


def _big_log(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.chat.big_log", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    return json.loads(done.stdout)
