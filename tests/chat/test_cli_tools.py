"""`tokens` and `logits`: what others are held against."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.tokenizer import load_tokenizer
from engine.types import TokenizerRef
from tests.engine.tiny import checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chat.command_line import Cli

# ------------------------------------------------------------------------------------------------ tokens


def test_ids_and_bytes(cli: Cli) -> None:
    assert cli("tokens", "Hello 你").out == " 33155  b'Hello'\n    33  b' '\n 10464  b'\\xe4\\xbd\\xa0'  你\n"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40))
def test_the_bytes_of_the_tokens_are_the_text(cli: Cli, data: bytes) -> None:
    record = json.loads(cli("tokens", "-", "--json", stdin=data).out)
    assert bytes.fromhex("".join(each["bytes"] for each in record["tokens"])) == data
    assert record["ids"] == [each["id"] for each in record["tokens"]]
    assert tuple(record["ids"]) == load_tokenizer(TokenizerRef()).encode_bytes(data)


def test_an_argument_that_is_no_utf8_is_kept_byte_for_byte(cli: Cli) -> None:
    record = json.loads(cli("tokens", "--json", b"caf\xe9".decode("utf-8", "surrogateescape")).out)
    assert bytes.fromhex("".join(each["bytes"] for each in record["tokens"])) == b"caf\xe9"
    assert record["tokens"][-1]["text"] is None


def test_an_empty_text_has_no_tokens(cli: Cli) -> None:
    assert json.loads(cli("tokens", "", "--json").out) == {"tokenizer": "world", "ids": [], "tokens": []}


@pytest.mark.parametrize("content", [None, "{}", "not json"])
def test_a_tokenizer_that_cannot_be_used(cli: Cli, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    said = cli("tokens", "hi", "--tokenizer", str(path))
    assert (said.code, said.out) == (1, "")
    assert str(path) in said.err


# ------------------------------------------------------------------------------------------------ logits


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("model") / "tiny.pth")


def logits(cli: Cli, weights: Path, out: Path, *options: str, stdin: str = "") -> np.ndarray:
    said = cli("logits", str(weights), "--out", str(out), *options, stdin=stdin)
    assert (said.code, said.out) == (0, ""), said.err
    return np.load(out, allow_pickle=False)


def difference(got: np.ndarray, wanted: np.ndarray) -> float:
    """The largest error, relative to the largest logit."""
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())


def test_after_the_last_token_and_after_every_one(cli: Cli, weights: Path, tmp_path: Path) -> None:
    last = logits(cli, weights, tmp_path / "last.npy", "--ids", "5,6,7")
    every = logits(cli, weights, tmp_path / "every.npy", "--ids", " 5, 6 7", "--every")
    assert (last.dtype, last.shape, every.dtype, every.shape) == ("float32", (96,), "float32", (3, 96))
    assert difference(every[-1], last) <= 1e-5
    assert not np.allclose(every[0], every[1])


def test_they_are_the_models_own_step_by_step(cli: Cli, weights: Path, tmp_path: Path) -> None:
    """Held against the model itself here; against the `rwkv` package in tests/engine."""
    import torch

    from engine.models import Rwkv7
    from engine.weights.load import load
    from rwkv_chat.cli.logits import finished

    model = finished(load(weights, device="cpu", dtype="fp32"))
    assert isinstance(model, Rwkv7)
    state = model.zero_state(1)
    for token in (1, 2, 3):
        with torch.inference_mode():
            wanted, state = model.step(torch.tensor([token]), state)
    got = logits(cli, weights, tmp_path / "x.npy", "--ids", "-", stdin="1\n2\n3\n")
    assert difference(got, wanted[0].numpy()) <= 1e-5


@pytest.mark.parametrize("ids", ["", "1,x", "-1", "1.5", "96", "99999999999", "１"])
def test_wrong_ids_are_a_usage_error_and_write_nothing(
    cli: Cli, weights: Path, tmp_path: Path, ids: str
) -> None:
    said = cli("logits", str(weights), f"--ids={ids}", "--out", str(tmp_path / "x.npy"))
    assert (said.code, said.out) == (2, "")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_one_sentence(cli: Cli, weights: Path, tmp_path: Path) -> None:
    said = cli("logits", str(weights), "--ids", "1", "--out", str(tmp_path / "none" / "x.npy"))
    assert said.code == 3
    assert "Traceback" not in said.err
    assert cli("logits", str(weights), "--ids", "1", "--out", str(tmp_path)).code == 2


def test_other_files_are_no_models(cli: Cli, tmp_path: Path) -> None:
    for name, content in (("a.pth", b"nonsense"), ("b.safetensors", b"\xff" * 64), ("c.txt", b"")):
        (tmp_path / name).write_bytes(content)
        said = cli("logits", str(tmp_path / name), "--ids", "1", "--out", str(tmp_path / "x.npy"))
        assert (said.code, said.out) == (1, "")
        assert name in said.err
    assert cli("logits", str(tmp_path / "none.pth"), "--ids", "1", "--out", "x.npy").code == 3


def test_an_absent_device_says_so(cli: Cli, weights: Path, tmp_path: Path) -> None:
    said = cli("logits", str(weights), "--ids", "1", "--out", str(tmp_path / "x.npy"), "--device", "cuda:99")
    assert said.code == 1
    assert "cuda:99" in said.err


def test_a_folder_that_is_not_there_is_named(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "gone" / "logits.npy"
    said = cli("logits", str(checkpoint(tmp_path / "m.safetensors")), "--ids", "1", "--out", str(out))
    assert said.code == 3
    assert f"There is no {out.parent}." in said.err
