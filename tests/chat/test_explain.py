"""Every error has words, for every value it may carry, and none of them can steer a terminal."""

from __future__ import annotations

import errno
import importlib
import pkgutil
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

import pytest

import engine
import engine.errors
import rwkv_chat
from rwkv_chat.explain import FAILURE, NO_MEMORY, NOT_FOUND, USAGE, explain, sentence, size
from rwkv_chat.texts import lookup

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLES = {"int": 3, "float": 0.5, "str": "value", "tuple[str, ...]": ("value", "other")}


HOMES = (".errors", ".templates", ".paths")


def ours() -> list[type[Exception]]:
    """Every exception class of the `errors` modules, and of the modules that keep theirs beside the user."""
    for package in (engine, rwkv_chat):
        for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if each.name.endswith(HOMES):
                importlib.import_module(each.name)
    return sorted(set(_below(Exception)), key=lambda each: each.__name__)


def _below(root: type[Exception]) -> Iterator[type[Exception]]:
    for each in root.__subclasses__():
        if each.__module__.startswith(("engine.", "rwkv_chat.")) and each.__module__.endswith(HOMES):
            yield each
        yield from _below(each)


def made(kind: type[Exception], value: object = None) -> Exception:
    """An instance whose every field holds a sample, or `value` where a text belongs."""
    if not is_dataclass(kind):
        return kind()
    samples = SAMPLES if value is None else SAMPLES | {"str": value}
    return kind(*(samples[str(each.type)] for each in fields(kind)))


KINDS = ours()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_its_own_words(kind: type[Exception]) -> None:
    for part in ("title", "what", "advice"):
        assert lookup(f"errors.{kind.__name__}.{part}"), f"errors.{kind.__name__}.{part}"
    found = explain(made(kind))
    assert not found.title.endswith(".")
    for text in (found.what, found.advice):
        assert text[0].isupper() or text.startswith(("`", "value"))
        assert text.endswith(".")
        assert "{" not in text


def test_the_family_is_found_at_all() -> None:
    assert {"ModelNotFound", "OutOfMemory", "Unexpected"} <= {each.__name__ for each in KINDS}


def test_exit_codes() -> None:
    assert explain(engine.errors.ModelNotFound("x")).code == NOT_FOUND
    assert explain(engine.errors.OutOfMemory(2, 1)).code == NO_MEMORY
    assert explain(engine.errors.InvalidParameter("top_p", "3", 0, 1)).code == USAGE
    assert explain(engine.errors.EngineClosed()).code == FAILURE
    assert explain(FileNotFoundError(2, "none", "x")).code == NOT_FOUND
    assert explain(ValueError("x")).code == FAILURE


def test_an_unknown_error_says_its_kind_but_not_its_message() -> None:
    said = sentence(ValueError("what the person typed"))
    assert "ValueError" in said
    assert "typed" not in said


def test_hostile_values_are_made_safe() -> None:
    said = sentence(engine.errors.ModelNotFound("\x1b]0;owned\x07\u202egpj\n{0.__class__}" + "x" * 5000))
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "\n" not in said
    assert "{0.__class__}" in said
    assert len(said) < 1000


def test_an_error_of_the_system_without_a_file_names_none() -> None:
    full = explain(OSError(errno.ENOSPC, "No space left on device"))
    assert full.what == "No space left on device."


def test_an_error_of_the_system_names_its_file() -> None:
    assert sentence(PermissionError(13, "Permission denied", "/root/x")).startswith(
        "/root/x: Permission denied."
    )


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (3_140_000_000, "3.1 GB"),
        (250_000_000, "250 MB"),
    ],
)
def test_sizes(nbytes: int, text: str) -> None:
    assert size(nbytes) == text


def test_sizes_round_into_the_next_unit() -> None:
    assert size(999_960) == "1.0 MB"
    assert size(99_960) == "100 kB"
    assert size(5 * 10**15) == "5000 TB"


def test_every_kind_of_file_that_is_refused_is_named_in_words() -> None:
    from engine.weights.archive import _KNOWN_STRANGERS
    from engine.weights.recognise import FAMILIES, SIGNS

    hints = (
        {hint for hint, _ in SIGNS} - FAMILIES.keys()
        | set(_KNOWN_STRANGERS.values())
        | {"unknown", "not-rwkv"}
    )
    for hint in hints:
        words = lookup(f"errors.UnsupportedFormat.hint.{hint}")
        assert words is not None, hint
        assert (
            explain(engine.errors.UnsupportedFormat("a.pth", hint)).what
            == f"a.pth cannot be loaded: {words}."
        )


@pytest.mark.parametrize("hint", ["html", "git-lfs-pointer", "unfinished"])
def test_a_file_that_is_not_the_file_itself_gets_advice_of_its_own(hint: str) -> None:
    usual = explain(engine.errors.UnsupportedFormat("a.pth", "unknown")).advice
    found = explain(engine.errors.UnsupportedFormat("a.pth", hint)).advice
    assert "download" in found.lower()
    assert found != usual
