"""Python and the packages."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from typing import TYPE_CHECKING

from rwkv_chat import __version__
from rwkv_chat.doctor.finding import Finding
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rwkv_chat.paths import Paths

PYTHONS = ((3, 11), (3, 14))
TORCHES = ((2, 9), (2, 14))  # from, below: the range in pyproject.toml, held to it by a test
NEEDED = ("textual", "click", "safetensors", "tokenizers", "numpy")


def check(_: Paths, __: Path | None) -> Iterator[Finding]:
    yield Finding.of("program", __version__)
    yield _python()
    yield Finding.of("system", platform.platform(aliased=True, terse=True))
    yield _torch()
    yield _triton()
    for name in NEEDED:
        yield _package(name)
    yield _world_tokenizer()


def _python() -> Finding:
    value = f"{platform.python_version()} ({platform.python_implementation()})"
    return Finding.unless(PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1], "python", value, "python")


def version_of(package: str) -> str | None:
    """The installed version; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _torch() -> Finding:
    version = version_of("torch")
    if version is None:
        return Finding.of("torch", "-", "problem", "torch_missing")
    tested = TORCHES[0] <= _numbers(version) < TORCHES[1]
    return Finding.unless(tested, "torch", version, "torch_untested")


def _numbers(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def _triton() -> Finding:
    """Optional everywhere: its absence is nothing to worry about."""
    return Finding.of("triton", version_of("triton") or say("doctor.value.optional"))


def _package(name: str) -> Finding:
    version = version_of(name)
    if version is not None:
        return Finding(name, version)
    return Finding(name, "-", "problem", say("doctor.advice.package_missing"))


def _world_tokenizer() -> Finding:
    """Encode and decode a word: the vocabulary comes out of another package's wheel."""
    from engine.errors import TokenizerInvalid
    from engine.tokenizer import load_tokenizer
    from engine.types import TokenizerRef

    try:
        tokenizer = load_tokenizer(TokenizerRef())
        whole = tokenizer.decode_bytes(tokenizer.encode("RWKV 你好")).decode() == "RWKV 你好"
    except TokenizerInvalid as error:
        return Finding.failed("world", error)
    if not whole:
        return Finding.of("world", "-", "problem", "package_missing")
    return Finding.of("world", say("doctor.value.works"))
