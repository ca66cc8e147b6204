"""`rwkv-chat models`: every command, on tiny random models of every format and a fake engine."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.weights.fit import Fit
from rwkv_chat.cli.models import MODELS
from rwkv_chat.cli.models_convert import FORMATS
from rwkv_chat.cli.models_list import memory
from rwkv_chat.explain import FAILURE, NOT_FOUND, OK, USAGE
from rwkv_chat.paths import Paths
from rwkv_chat.session.shelf_golden import EXPECTED
from rwkv_chat.session.shelf_offers import catalogue
from rwkv_chat.texts import say
from tests.chat.shelf_cli import FILE, WORLD, here, made
from tests.engine import tiny
from tests.engine.samples import SAMPLES, spec_of
from tests.fakes import FakeReply

if TYPE_CHECKING:
    from engine.types import ModelSpec
    from tests.chat.command_line import Cli, Said
    from tests.fakes import FakeEngine

# ------------------------------------------------------------------------------------------------ help


def test_every_command_has_a_help_and_one_line_about_it(cli: Cli) -> None:
    said = cli("models", "--help")
    assert (said.code, said.err) == (OK, "")
    for name in MODELS:
        assert say(f"models.{name}.short")[:30] in said.out
        assert cli("models", name, "--help").out.startswith(f"Usage: rwkv-chat models {name} ")
        assert "--json" in cli("models", name, "--help").out


def test_a_command_that_is_none(cli: Cli) -> None:
    assert cli("models", "nope").code == USAGE


# ------------------------------------------------------------------------------------------------ list


def test_list_shows_what_is_here_what_can_be_had_and_which_to_take(cli: Cli, engine: FakeEngine) -> None:
    said = cli("models", "list")
    assert (said.code, said.err) == (OK, "")
    for entry in catalogue().newest():
        assert f"  {entry.name} " in said.out
    assert said.out.count(say("models.list.advice")) == 1
    told = json.loads(cli("models", "list", "--json").out)
    assert [each["name"] for each in told["here"]] == ["Guide"]
    assert {each["name"] for each in told["offers"]} == {
        each.name for each in catalogue().entries if each.loadable
    }
    assert told["advice"] in said.out
    assert engine.downloads == []


def test_list_all_shows_every_model(cli: Cli, engine: FakeEngine) -> None:
    said = cli("models", "list", "--all")
    assert [each.name for each in catalogue().entries if f"  {each.name} " not in said.out] == []


# ------------------------------------------------------------------------------------------------ info


@pytest.mark.parametrize("kind", SAMPLES)
def test_info_on_every_format(cli: Cli, engine: FakeEngine, tmp_path: Path, kind: str) -> None:
    spec = replace(spec_of(kind), vocab_size=65536, n_embd=16)
    path = SAMPLES[kind](tmp_path, spec)
    told = json.loads(cli("models", "info", str(path), "--json").out)
    numbers = {name: told["spec"][name] for name in ("arch", "n_layer", "n_embd", "n_ffn", "vocab_size")}
    assert numbers == {name: getattr(spec, name) for name in numbers}
    assert told["format"] == kind
    assert told["params"] == sum(x.numel() for x in tiny.plain_tensors(spec).values())
    assert sum(told["types"].values()) > 20
    assert [each["tier"] for each in told["fits"]] == ["fp32", "bf16", "fp16", "int8"]
    assert told["bytes"] >= sum(each["bytes"] for each in told["files"]) > 4 * told["params"]
    shown = cli("models", "info", str(path))
    assert (shown.code, shown.err) == (OK, "")
    assert spec.arch in shown.out
    assert f"{told['params']:,}" in shown.out


def test_info_of_a_pile_model_without_its_tokenizer(cli: Cli, engine: FakeEngine, tmp_path: Path) -> None:
    spec = tiny.spec(arch="rwkv4", vocab_size=50277)
    path = made(tmp_path, "RWKV-4-Pile-169M.pth", spec)
    said = cli("models", "info", str(path))
    assert (said.code, "pile-v4" in said.out) == (OK, True)
    assert "20B_tokenizer.json" in said.err
    (tmp_path / "20B_tokenizer.json").write_text("{}")
    assert cli("models", "info", str(path)).err == ""


@pytest.mark.parametrize(("name", "code"), [("/nowhere/x.pth", NOT_FOUND), ("nameless", NOT_FOUND)])
def test_info_on_nothing(cli: Cli, engine: FakeEngine, name: str, code: int) -> None:
    assert cli("models", "info", name).code == code


# ------------------------------------------------------------------------------------------------ verify


@pytest.mark.parametrize("kind", SAMPLES)
def test_verify_on_every_format(cli: Cli, engine: FakeEngine, tmp_path: Path, kind: str) -> None:
    path = SAMPLES[kind](tmp_path, replace(spec_of(kind), vocab_size=65536, n_embd=16))
    (first,) = json.loads(cli("models", "verify", "--json", str(path)).out)
    (again,) = json.loads(cli("models", "verify", "--json", str(path)).out)
    assert (first["compared_with"], again["compared_with"]) == ("", "before")
    assert (
        first["sha256"] == again["sha256"] == json.loads(cli("models", "info", str(path), "--json").out)["id"]
    )


def test_verify_notices_a_changed_byte_and_nan(cli: Cli, engine: FakeEngine, tmp_path: Path) -> None:
    import os

    file = made(tmp_path)
    cli("models", "import", str(file))
    cli("models", "verify", "mine")
    stat, data = file.stat(), bytearray(file.read_bytes())
    data[-2] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # damage does not tell the time
    said = cli("models", "verify", "mine")
    assert (said.code, said.out, "SHA-256" in said.err) == (FAILURE, "", True)
    data[-4:] = b"\xff\xff\xff\xff"
    file.write_bytes(data)
    said = cli("models", "verify", "mine")
    assert (said.code, "NaN" in said.err) == (FAILURE, True)


def test_the_published_hash_is_compared(cli: Cli, engine: FakeEngine, tmp_path: Path) -> None:
    said = cli("models", "verify", str(made(tmp_path, FILE)))
    assert (said.code, str(catalogue().choose("g1d-0.1b").sha256) in said.err) == (FAILURE, True)


def golden(cli: Cli, engine: FakeEngine, path: Path, tokens: tuple[int, ...]) -> Said:
    engine.replies = [FakeReply(" Paris", tokens=tokens)]
    return cli("models", "verify", "--golden", str(path))


def test_a_golden_run_tells_the_first_token_that_differs(
    cli: Cli, engine: FakeEngine, tmp_path: Path
) -> None:
    path = made(tmp_path)
    same = golden(cli, engine, path, EXPECTED)
    assert (same.code, say("models.golden.agree", count=24) in same.out) == (OK, True)
    (load,), (request,) = engine.loads, engine.requests
    assert (load.dtype, request.params.temperature, request.prompt[:2]) == ("fp32", 0.0, (11, 6699))
    other = golden(cli, engine, path, (*EXPECTED[:5], 7, *EXPECTED[6:]))
    assert other.code == FAILURE
    expected = say("models.golden.differ", place=6, count=24, expected=EXPECTED[5], found=7)
    assert expected in other.out
    short = golden(cli, engine, path, EXPECTED[:3])
    assert say("models.golden.none") in short.out


# ------------------------------------------------------------------------------------------------ convert


def test_the_formats_are_those_of_the_engine() -> None:
    from engine.weights.export import WRITERS

    assert {name: each.suffix for name, each in WRITERS.items()} == FORMATS


@pytest.mark.parametrize("kind", FORMATS)
def test_convert_into_every_format_and_back(cli: Cli, engine: FakeEngine, tmp_path: Path, kind: str) -> None:
    source = made(tmp_path, spec=tiny.spec(vocab_size=65536))
    target = tmp_path / f"out{FORMATS[kind]}"
    said = cli("models", "convert", str(source), str(target))
    assert (said.code, said.out) == (OK, f"{target}\n")
    told = json.loads(cli("models", "info", str(target), "--json").out)
    assert (told["format"], told["spec"]["n_layer"]) == (kind, 2)
    there = cli("models", "convert", str(source), str(target))
    assert (there.code, "is there already" in there.err, "--overwrite" in there.err) == (FAILURE, True, True)
    assert cli("models", "convert", str(source), str(target), "--overwrite", "--json").code == OK


def test_convert_for_ollama(cli: Cli, engine: FakeEngine, tmp_path: Path) -> None:
    source, target = made(tmp_path, spec=tiny.spec(vocab_size=65536)), tmp_path / "mine.gguf"
    told = json.loads(cli("models", "convert", str(source), str(target), "--modelfile", "--json").out)
    text = Path(told["modelfile"]).read_text()
    assert 'FROM "./mine.gguf"' in text
    assert "User: {{ $m.Content }}" in text
    assert cli("models", "convert", str(source), str(tmp_path / "x.st"), "--modelfile").code == USAGE


def test_a_modelfile_that_stands_there_is_left_alone(cli: Cli, engine: FakeEngine, tmp_path: Path) -> None:
    source, target = made(tmp_path, spec=tiny.spec(vocab_size=65536)), tmp_path / "mine.gguf"
    own = tmp_path / "mine.Modelfile"
    own.write_text("FROM ./mine.gguf")
    said = cli("models", "convert", str(source), str(target), "--modelfile")
    assert (said.code, target.exists(), own.read_text()) == (FAILURE, False, "FROM ./mine.gguf")
    assert "mine.Modelfile is there already" in said.err
    assert cli("models", "convert", str(source), str(target), "--modelfile", "--overwrite").code == OK
    assert "TEMPLATE" in own.read_text()


def test_convert_wants_a_format(cli: Cli, engine: FakeEngine, tmp_path: Path) -> None:
    said = cli("models", "convert", str(made(tmp_path)), str(tmp_path / "out.bin"))
    assert (said.code, ".gguf" in said.err) == (USAGE, True)


# ------------------------------------------------------------------------------------------------ rm


def test_rm_forgets_what_is_in_place_and_keeps_the_file(cli: Cli, engine: FakeEngine, tmp_path: Path) -> None:
    file = made(tmp_path)
    cli("models", "import", str(file))
    said = cli("models", "rm", "mine")
    assert (said.code, said.out, file.is_file()) == (OK, "", True)
    assert str(file) in said.err
    assert "mine" not in here(cli)
    assert cli("models", "rm", "mine").code == NOT_FOUND


def test_rm_deletes_a_copy_only_when_told_so(cli: Cli, engine: FakeEngine, tmp_path: Path) -> None:
    file = made(tmp_path)
    cli("models", "import", "--copy", str(file))
    copy = Path(here(cli)["mine"]["path"])
    said = cli("models", "rm", "mine")
    assert (said.code, copy.is_file(), "--yes" in said.err) == (USAGE, True, True)
    (told,) = json.loads(cli("models", "rm", "mine", "--yes", "--json").out)
    assert told["freed_bytes"] == file.stat().st_size
    assert (copy.exists(), file.is_file(), "mine" in here(cli)) == (False, True, False)


def test_rm_of_what_is_gone_already(cli: Cli, engine: FakeEngine, tmp_path: Path) -> None:
    file = made(tmp_path)
    cli("models", "import", str(file))
    file.unlink()
    assert here(cli)["mine"]["missing"]
    assert cli("models", "rm", str(file)).code == OK
    assert "mine" not in here(cli)


def test_rm_refuses_the_builtin_guide_and_files_put_there_by_hand(cli: Cli, engine: FakeEngine) -> None:
    assert cli("models", "rm", "guide").code == USAGE
    file = made(Paths.find().make().models)
    said = cli("models", "rm", "mine", "--yes")
    assert (said.code, file.is_file(), str(file) in said.err) == (USAGE, True, True)


# ------------------------------------------------------------------------------ tuned states and adapters


def tuned(folder: Path, spec: ModelSpec) -> Path:
    import torch

    from engine.weights.export_tuned import write_tuned_state

    shape = spec.n_head, spec.head_size, spec.head_size
    layers = {layer: torch.full(shape, float(layer)) for layer in range(spec.n_layer)}
    write_tuned_state(folder / "state.pth", layers)
    return folder / "state.pth"


def test_info_of_a_tuned_state_and_of_an_adapter(cli: Cli, engine: FakeEngine, tmp_path: Path) -> None:
    import torch

    path, spec = tuned(tmp_path, WORLD), WORLD
    said = cli("models", "info", str(path))
    assert said.code == OK
    words = {"form": "pth", "layers": spec.n_layer, "heads": spec.n_head, "size": spec.head_size}
    assert said.out.strip() == say("models.part.tuned-state", **words)
    lora = {"blocks.0.att.key.lora_A": torch.ones(4, 16), "blocks.0.att.key.lora_B": torch.ones(16, 4)}
    torch.save(lora, tmp_path / "lora.pth")
    told = json.loads(cli("models", "info", str(tmp_path / "lora.pth"), "--json").out)
    assert (told["kind"], told["form"], told["shape"]) == ("adapter", "lora", [1, 4])
    assert (
        say("models.part.adapter", form="lora", weights=1, rank=4, alpha="")
        in cli("models", "info", str(tmp_path / "lora.pth")).out.strip()
    )


@pytest.mark.parametrize("suffix", [".pth", ".st", ".safetensors"])
def test_a_tuned_state_in_another_programs_form(
    cli: Cli, engine: FakeEngine, tmp_path: Path, suffix: str
) -> None:
    source, target = tuned(tmp_path, WORLD), tmp_path / f"out{suffix}"
    assert cli("models", "convert", str(source), str(target)).code == OK
    told = json.loads(cli("models", "info", str(target), "--json").out)
    assert (told["kind"], told["shape"]) == ("tuned-state", [2, WORLD.n_head, *[WORLD.head_size] * 2])
    assert cli("models", "convert", str(source), str(target)).code == FAILURE  # it is there
    assert cli("models", "convert", str(source), str(tmp_path / "x.gguf")).code == USAGE


def test_a_tuned_state_merged_into_a_model(cli: Cli, engine: FakeEngine, tmp_path: Path) -> None:
    source, state, target = made(tmp_path), tuned(tmp_path, WORLD), tmp_path / "out.pth"
    assert cli("models", "convert", str(source), str(target), "--state", str(state)).code == OK
    told = json.loads(cli("models", "info", str(target), "--json").out)
    assert told["notes"] == {"tuned-state": "merged"}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are text")
def test_a_name_that_is_no_text(cli: Cli, tmp_path: Path) -> None:
    path = made(tmp_path, "plain.safetensors").rename(tmp_path / os.fsdecode(b"no\xfftext.safetensors"))
    for command in ("info", "verify", "import"):
        said = cli("models", command, str(path))
        assert (said.code, say("errors.UnsupportedFormat.hint.name-not-text") in said.err) == (FAILURE, True)
    assert cli("models", "import", str(tmp_path)).code == FAILURE


@pytest.mark.parametrize(
    ("free", "words"),
    [(300, "200 bytes, fits"), (150, "120 bytes in int8, fits"), (9, "200 bytes, too large")],
)
def test_the_list_names_the_form_that_fits(free: int, words: str) -> None:
    fits = [
        Fit(tier, "cpu", needed, 0, 0, free) for tier, needed in (("fp32", 400), ("bf16", 200), ("int8", 120))
    ]
    assert memory(fits) == words
