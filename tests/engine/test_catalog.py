"""The catalogue agrees with itself and with its models' tensors; what people type finds what they mean."""

from __future__ import annotations

import copy
import math
import tomllib
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import CatalogInvalid, ModelAmbiguous, ModelUnknown
from engine.models.names import expected_shapes, unused
from engine.types import ModelSpec
from engine.weights.catalog import Catalog, LiveFile, read_catalog, same_size
from engine.weights.catalog_entry import HUB
from engine.weights.file_names import FileName, is_size, parameters, parse_name, words

if TYPE_CHECKING:
    from engine.weights.catalog import Entry

FILE = Path(__file__).parents[2] / "assets" / "models.toml"
CATALOG = read_catalog(FILE)
OVERHEAD = 400_000  # bytes of names, headers and alignment in an official file, at most
ENTRIES = pytest.mark.parametrize("entry", CATALOG.entries, ids=lambda entry: entry.name)

# ranks of the low-rank matrices by architecture and width, as published
RANKS_7 = {
    (12, 768): {"w": 64, "a": 64, "v": 32, "g": 128},
    (24, 1024): {"w": 64, "a": 64, "v": 32, "g": 128},
    (24, 2048): {"w": 96, "a": 96, "v": 64, "g": 256},
    (32, 2560): {"w": 96, "a": 96, "v": 64, "g": 320},
    (32, 4096): {"w": 128, "a": 128, "v": 96, "g": 480},
    (61, 4096): {"w": 192, "a": 192, "v": 128, "g": 384},
}
UNKNOWN_RANKS = {"pile7-164m", "pile7-421m"}  # their parameters are counted from their names


def spec_of(entry: Entry) -> ModelSpec:
    ranks: dict[str, int] = {}
    wide = entry.n_embd >= 4096
    if entry.arch == "rwkv7":
        ranks = RANKS_7[entry.n_layer, entry.n_embd]
    elif entry.arch == "rwkv6":
        ranks = {"m": 64 if wide else 32, "d": 128 if wide else 64}
    square = entry.arch in {"rwkv4", "rwkv5.0", "rwkv7"}
    n_ffn = 4 * entry.n_embd if square else entry.n_embd * 7 // 2
    head_size = 1 if entry.arch == "rwkv4" else 64
    pairs = tuple(sorted(ranks.items()))
    return ModelSpec(entry.arch, entry.n_layer, entry.n_embd, head_size, n_ffn, entry.vocab_size, pairs)


# ------------------------------------------------------------------------------------------------ the file


@ENTRIES
def test_the_parameters_are_those_of_its_tensors(entry: Entry) -> None:
    """Counted from the names and shapes that the engine expects, not typed in."""
    if entry.name in UNKNOWN_RANKS:
        assert math.isclose(entry.params, parameters(entry.label), rel_tol=0.01)
        return
    spec = spec_of(entry)
    shapes = expected_shapes(spec)
    counted = sum(math.prod(shape) for shape in shapes.values())
    c, v = entry.n_embd, dict(spec.ranks).get("v", 0)
    first = c + 2 * c * v if entry.arch == "rwkv7" else 0  # block 0's v0, v1, v2: in G1 files, never used
    known = any(name in shapes for name in unused(spec))
    possible = {counted, counted - first} if known else {counted, counted + first}
    assert entry.params in possible
    assert 0.9 < entry.params / parameters(entry.label) < 2  # labels are generous


@ENTRIES
def test_the_size_is_that_of_its_parameters(entry: Entry) -> None:
    """Two bytes each, and a little."""
    assert 30_000 < entry.size - 2 * entry.params < OVERHEAD


@ENTRIES
def test_the_file_name_says_the_same(entry: Entry) -> None:
    assert f"{entry.date:%Y%m%d}" in entry.file
    size = {"1.6b": "1b", "1.5b": "1.5b"}.get(entry.label, entry.label)
    assert entry.label in words(entry.file) or size in words(entry.file) or entry.label in {"1.6b", "1.5b"}
    said = parse_name(entry.file)
    assert (said is not None) == entry.family.startswith("g1")
    if said:
        assert said == FileName(entry.arch, entry.data, entry.label, entry.date, entry.context)
        assert entry.name == f"{entry.data}-{entry.label}"
    elif "ctx" in entry.file:
        assert f"ctx{entry.context}" in entry.file or f"ctx{entry.context // 1024}k" in entry.file


def test_every_family_is_there_newest_first() -> None:
    expected = [
        "g1h",
        "g1c",
        "g1",
        "world7",
        "pile7",
        "world6",
        "misc6",
        "world5",
        "world4",
        "raven4",
        "pile4",
    ]
    assert [each.id for each in CATALOG.series] == expected
    assert {entry.family for entry in CATALOG.entries} == set(expected)
    dates = [entry.date for entry in CATALOG.entries]
    assert dates == sorted(dates, reverse=True)
    assert {entry.arch for entry in CATALOG.entries} == {"rwkv4", "rwkv5.0", "rwkv5.2", "rwkv6", "rwkv7"}
    assert {entry.licence for entry in CATALOG.entries} == {"Apache-2.0"}


def test_hashes_are_given_for_exact_sizes_alone_and_never_twice() -> None:
    hashed = [entry for entry in CATALOG.entries if entry.sha256]
    assert len(hashed) == 26
    assert all(entry.exact for entry in hashed)
    assert len({entry.sha256 for entry in hashed}) == len(hashed)
    assert not any(entry.sha256 for entry in CATALOG.entries if entry.name in {"g0a3-7.2b", "g0a4-7.2b"})


def test_models_with_the_20b_vocabulary_bring_their_tokenizer() -> None:
    for entry in CATALOG.entries:
        assert (entry.tokenizer == "20b") == (entry.vocab_size < 65536) == (entry.companion is not None)
    raven = CATALOG.choose("raven-7b")
    assert raven.companion is not None
    request = raven.companion.request(Path("models"))
    assert (request.size, Path(request.path).name) == (2_467_981, "20B_tokenizer.json")
    mirrored = raven.companion.request(Path("models"), "https://mirror.example/")
    assert mirrored.url == request.url.replace("https://huggingface.co", "https://mirror.example")
    assert mirrored.mirrors == (request.url, *request.mirrors)


@ENTRIES
def test_its_address_is_the_one_that_the_hubs_own_library_makes(entry: Entry) -> None:
    from huggingface_hub import hf_hub_url

    assert entry.url() == hf_hub_url(entry.repository, entry.file, endpoint=HUB)
    mirror = "https://hub.example"
    assert entry.url("hub", mirror) == hf_hub_url(entry.repository, entry.file, endpoint=mirror)


def test_what_is_asked_for_is_what_is_known() -> None:
    hashed, bare = CATALOG.choose("g1d-0.4b"), CATALOG.choose("g1k-1.5b")
    request = hashed.request(Path("models"))
    assert (request.size, request.sha256, request.token) == (hashed.size, hashed.sha256, None)
    assert request.mirrors == (hashed.url("modelscope"),)  # it may still be there when the hub has deleted it
    unknown = bare.request(Path("models"))
    assert (unknown.size, unknown.sha256, unknown.mirrors) == (None, None, ())
    elsewhere = bare.request(Path("models"), source="modelscope")
    assert (elsewhere.url, elsewhere.mirrors) == (bare.url("modelscope"), (bare.url(),))  # for the hub's word
    mirrored = bare.request(Path("models"), endpoint="https://hub.example/", token="hf_x")  # noqa: S106
    assert mirrored.url.startswith("https://hub.example/BlinkDL/")
    assert (mirrored.mirrors, mirrored.token) == ((bare.url(),), "hf_x")


# ------------------------------------------------------------------------------------------------ names

TYPED = {
    "g1d-0.4b": "g1d-0.4b",
    "G1D-0.4B": "g1d-0.4b",
    "rwkv7-g1d-0.4b-20260210-ctx8192.pth": "g1d-0.4b",
    "rwkv7-g1d-0.4b-20260210-ctx8192": "g1d-0.4b",
    "rwkv7-g1d-0.4b": "g1d-0.4b",
    "g1d 0.4b": "g1d-0.4b",
    " 0.4b ": "g1d-0.4b",
    "0.1b": "g1d-0.1b",
    "1.5b": "g1k-1.5b",
    "1b5": "g1k-1.5b",
    "3b": "g1k-2.9b",
    "7b": "g1k-7.2b",
    "14B": "g1k-13.3b",
    "rwkv-7-world-0.1b": "world7-0.1b",
    "RWKV-7 World 2.9B": "world7-2.9b",
    "raven 14b": "raven-14b",
    "v6 14b world": "world6-14b",
    "rwkv5.0": "world5-0.1b",
    "pile 169m": "pile4-169m",
}


@pytest.mark.parametrize("typed", TYPED)
def test_a_typed_name_finds_its_model(typed: str) -> None:
    assert CATALOG.choose(typed).name == TYPED[typed]


def test_a_name_for_several_lists_them_newest_first() -> None:
    with pytest.raises(ModelAmbiguous) as caught:
        CATALOG.choose("raven")
    assert caught.value.candidates[:3] == ("raven-7b-chn", "raven-3b-chn", "raven-14b")
    assert [entry.name for entry in CATALOG.find("g1k")] == ["g1k-13.3b", "g1k-7.2b", "g1k-2.9b", "g1k-1.5b"]


@pytest.mark.parametrize("typed", ["", " ", "-", "nothing-like-it", "0.4", "g1d-99b", "../../etc/passwd"])
def test_a_name_for_nothing_says_what_comes_near(typed: str) -> None:
    with pytest.raises(ModelUnknown) as caught:
        CATALOG.choose(typed)
    assert caught.value.near


def test_a_misspelt_name_is_near_the_right_one() -> None:
    with pytest.raises(ModelUnknown) as caught:
        CATALOG.choose("g1dd-0.4b")
    assert "g1d-0.4b" in caught.value.near


@given(st.text(max_size=60))
def test_nothing_that_is_typed_breaks_it(typed: str) -> None:
    found = CATALOG.find(typed)
    if len(found) == 1:
        assert CATALOG.choose(typed) == found[0]
    elif not (len(words(typed)) == 1 and is_size(words(typed)[0])):
        with pytest.raises(ModelAmbiguous if found else ModelUnknown):
            CATALOG.choose(typed)


def test_the_newest_of_each_size() -> None:
    newest = [entry.name for entry in CATALOG.newest()]
    assert newest == ["g1k-13.3b", "g1k-7.2b", "g1k-2.9b", "g1k-1.5b", "g1d-0.4b", "g1d-0.1b"]


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (
            "rwkv7-g1d-0.4b-20260210-ctx8192.pth",
            FileName("rwkv7", "g1d", "0.4b", date(2026, 2, 10), 8192),
        ),
        ("rwkv7a-g1d-0.1b-20260212-ctx8192.pth", FileName("rwkv7a", "g1d", "0.1b", date(2026, 2, 12), 8192)),
        (
            "rwkv7-g0a4-13.3b-20251114-ctx8192.pth",
            FileName("rwkv7", "g0a4", "13.3b", date(2025, 11, 14), 8192),
        ),
        ("rwkv7-g1d-0.4b-20261310-ctx8192.pth", None),
        ("RWKV-x070-World-0.1B-v2.8-20241210-ctx4096.pth", None),
        ("rwkv7-g1d-0.4b-20260210-ctx8192.pth.part", None),
        ("", None),
    ],
)
def test_what_a_files_name_says(file: str, said: FileName | None) -> None:
    assert parse_name(file) == said


# ------------------------------------------------------------------------------------------------ live

NEW = "rwkv7-g1l-1.5b-20261031-ctx32768.pth"
REPOSITORY = "BlinkDL/rwkv7-g1"


def live(*files: str) -> list[LiveFile]:
    return [LiveFile(REPOSITORY, file, 3_055_444_000 + n, None) for n, file in enumerate(files)]


def test_a_file_that_the_catalogue_does_not_know_is_shown_with_what_its_name_says() -> None:
    listed = CATALOG.with_live(live(NEW))
    new = listed.choose("g1l-1.5b")
    assert (new.listed, new.loadable, new.family, new.exact, new.context) == (False, True, "g1h", True, 32768)
    like = CATALOG.choose("g1k-1.5b")
    assert (new.params, new.n_layer, new.n_embd) == (like.params, like.n_layer, like.n_embd)
    assert listed.choose("1.5b") == new
    assert listed.entries[0] == new
    assert len(listed.entries) == len(CATALOG.entries) + 1


def test_a_second_file_of_one_name_has_its_date_in_its_own() -> None:
    listed = CATALOG.with_live(live("rwkv7-g1k-1.5b-20261001-ctx25600.pth"))
    assert listed.choose("g1k-1.5b-20261001").date == date(2026, 10, 1)
    assert listed.choose("g1k-1.5b").date == date(2026, 9, 30)


def test_a_live_file_of_an_architecture_that_cannot_be_loaded_says_so() -> None:
    listed = CATALOG.with_live(live("rwkv7a-g1l-0.1b-20261031-ctx8192.pth", "readme.pth", "x.pth"))
    (new,) = [entry for entry in listed.entries if not entry.listed]
    assert (new.name, new.loadable) == ("rwkv7a-g1l-0.1b", False)
    assert listed.choose("0.1b").name == "g1d-0.1b"


def test_a_live_files_size_is_the_exact_one() -> None:
    (known,) = live("rwkv7-g1k-1.5b-20260930-ctx25600.pth")
    entry = CATALOG.with_live([known]).choose("g1k-1.5b")
    assert (entry.size, entry.exact, CATALOG.choose("g1k-1.5b").exact) == (known.size, True, False)


def test_a_deleted_file_is_replaced_by_the_newest_live_one_of_its_size() -> None:
    here = live("rwkv7-g1j-1.5b-20260831-ctx16384.pth", "rwkv7-g1k-2.9b-20260930-ctx25600.pth", NEW)
    gone = CATALOG.choose("g1d-1.5b")
    found = CATALOG.replacement(gone, here)
    assert found is not None
    assert found.name == "g1j-1.5b"
    newer = CATALOG.with_live(here).replacement(gone, here)
    assert newer is not None
    assert newer.name == "g1l-1.5b"
    assert CATALOG.replacement(CATALOG.choose("g1d-0.1b"), here) is None


def test_sizes_that_people_call_the_same() -> None:
    names = ("g1k-2.9b", "world6-3b", "world7-2.9b", "world4-3b")
    chosen = [CATALOG.choose(name).params for name in names]
    assert all(same_size(chosen[0], each) for each in chosen)
    assert not same_size(chosen[0], CATALOG.choose("g1k-1.5b").params)


# ------------------------------------------------------------------------------------------------ nonsense


def read(folder: Path, text: str) -> Catalog:
    (folder / "models.toml").write_text(text, encoding="utf-8")
    return read_catalog(folder / "models.toml")


GOOD: dict[str, Any] = tomllib.loads(FILE.read_text(encoding="utf-8"))

BREAKS = {
    "another version": ("format", 2),
    "no version": ("format", None),
    "no shapes": ("shapes", None),
    "a family that is none": ("family", [7]),
    "families that are none": ("family", {"a": 1}),
    "a shape that is missing": ("family.0.models.0.shape", "v9-1b"),
    "a shape with no width": ("shapes.v7-1\\.5b.width", None),
    "a shape of no size": ("shapes.v7-1\\.5b.params", 0),
    "a negative size": ("family.0.models.0.about", -1),
    "a size in words": ("family.0.models.0.about", "3 GB"),
    "true for a size": ("family.0.models.0.about", True),
    "a short hash": ("family.0.models.0.sha256", "abc"),
    "a hash in capitals": ("family.0.models.0.sha256", "A" * 64),
    "a file out of its folder": ("family.0.models.0.file", "../x.pth"),
    "a file of another kind": ("family.0.models.0.file", "x.exe"),
    "a repository that is none": ("family.0.repository", "https://example.org/x"),
    "a date in words": ("family.0.models.0.date", "2026-09-30"),
    "a name twice": ("family.0.models.1.name", "g1k-1.5b"),
    "a family twice": ("family.1.id", "g1h"),
    "an unknown tokenizer": ("family.0.tokenizer", "bert"),
    "a tokenizer from plain http": ("companions.20b.urls", ["http://example.org/x"]),
    "a tokenizer without a hash": ("companions.20b.sha256", None),
}


@pytest.mark.parametrize("what", BREAKS)
def test_nonsense_is_a_typed_error(what: str, tmp_path: Path) -> None:
    where, value = BREAKS[what]
    values = copy.deepcopy(GOOD)
    *parts, last = [part.replace("\0", ".") for part in where.replace("\\.", "\0").split(".")]
    table: Any = values
    for part in parts:
        table = table[int(part)] if part.isdigit() else table[part]
    if value is None:
        del table[last]
    else:
        table[last] = value
    with pytest.raises(CatalogInvalid) as caught:
        read(tmp_path, tomlkit.dumps(values))
    assert caught.value.path == str(tmp_path / "models.toml")
    assert caught.value.reason


@pytest.mark.parametrize(
    "text", ["", "[", "format = 1", "\x00", "format = 1\nfamily = 3", "a = " + "[" * 5000]
)
def test_a_file_that_is_no_catalogue_is_a_typed_error(text: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogInvalid):
        read(tmp_path, text)


def test_a_catalogue_that_is_missing_or_a_folder_is_a_typed_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(CatalogInvalid):
            read_catalog(path)
