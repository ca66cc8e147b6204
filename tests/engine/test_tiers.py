"""The packed tiers: how near they come to fp32, how small they are, and what loading them takes.

`pytest -s` prints how near; `python -m tests.bench.tiers` the whole table.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from engine.models import packed
from engine.models.int8_names import SCALE, VALUE
from engine.models.packed_names import BITS, asked_name, bits_of, in_fp16, packed_bytes
from engine.models.prepare import prepared_shapes
from engine.models.state import stack
from engine.tokenizer import load_tokenizer
from engine.types import TokenizerRef
from engine.weights import load as loading
from engine.weights.archive import open_archive
from engine.weights.fit import Size, fit, weight_bytes
from engine.weights.load import load, read_spec
from engine.weights.reading import Reading
from rwkv_chat.paths import resource
from tests.children import in_child, status
from tests.engine import tiny
from tests.engine.test_int8 import QUESTIONS, compared, continued, logits

if TYPE_CHECKING:
    from engine.models.model import Model

TOKENS = 200
# tier → at most so far from fp32's logits, by norms, at the median position; at least so often the same first
# choice. Of random weights, seven layers, the hard case; then of the built-in model.
BOUNDS = {
    "int8-g64": ((0.08, 0.8), (0.015, 0.95)),
    "int8-g64-fp16": ((0.065, 0.85), (0.012, 0.95)),
    "int4-g32": ((0.65, 0.2), (0.08, 0.9)),
}


def near(name: str, tier: str, found: torch.Tensor, truth: torch.Tensor, bounds: tuple[float, float]) -> None:
    distance, divergence, same = compared(found, truth)
    print(f"{name}, {tier}: {distance:.4f} by norms, KL {divergence:.1e}, same first choice {same:.3f}")
    assert distance <= bounds[0]
    assert same >= bounds[1]


@pytest.mark.parametrize("arch", tiny.ARCHS)
def test_logits_are_near_those_of_fp32(arch):
    spec = tiny.spec(7, 128, 64, 1000, 16, arch=arch)
    tokens = tiny.ids(spec, TOKENS)
    truth = logits(tiny.of_tier(spec, "fp32", seed=4), tokens)
    for tier, (bounds, _) in BOUNDS.items():
        near(arch, tier, logits(tiny.of_tier(spec, tier, seed=4), tokens), truth, bounds)


@pytest.mark.parametrize("tier", BITS)
def test_one_by_one_and_in_a_batch_is_near_all_at_once(tier):
    spec = tiny.spec(3, 128, 64, 300, 16)
    model, tokens = tiny.of_tier(spec, tier), tiny.ids(spec, 20, batch=2)
    states, steps = [model.zero_state(), model.zero_state()], []
    with torch.inference_mode():
        together, _ = model.forward(tokens, stack(states), all_logits=True)
        state = model.zero_state()
        for token in tokens[1]:
            found, state = model.step(token[None], state)
            steps.append(found[0])
    assert compared(torch.stack(steps).double(), together[1].double())[0] <= 0.05


@pytest.mark.parametrize("tier", BITS)
@pytest.mark.parametrize("arch", tiny.ARCHS)
def test_what_is_packed_and_what_is_not(arch, tier):
    """All large matrices but the embedding; the head in 8 bits; no norm, vector, decay, low-rank matrix."""
    spec = tiny.spec(2, 128, 64, 1000, 16, arch=arch)
    model, shapes = tiny.of_tier(spec, tier), prepared_shapes(spec)
    found = {name for name in shapes if name + SCALE in model.tensors}
    large = {name for name, shape in shapes.items() if len(shape) == 2 and min(shape) >= 128}
    assert found == large - {"emb.weight"}
    assert {bits_of(name, shapes[name], tier) for name in found - {"head.weight"}} == {BITS[tier]}
    assert model.tensors["head.weight"].dtype == torch.int8
    of_units = model.tensors[f"blocks.0{VALUE}"]
    assert len(of_units) == spec.n_ffn
    kept = [x.nbytes for name, x in model.tensors.items() if name.removesuffix(SCALE) in found]
    assert sum(kept) == packed_bytes(spec, tier)[1]
    assert model.tier == tier


def test_a_width_that_is_no_whole_groups_is_not_packed():
    spec = tiny.spec(2, 48, 16, 100, 8)
    model = tiny.of_tier(spec, "int8-g64")
    assert not any(name.endswith(SCALE) for name in model.tensors)
    assert packed_bytes(spec, "int8-g64") == (0, 0)


def test_bytes_of_a_released_size():
    """7.2B: 14.4 GB in bf16; the embedding and the low-rank matrices stay."""
    size = Size("rwkv7", 7_199_145_984, 32, 4096, 16384)
    assert 0.50 <= weight_bytes(size, "int8-g64") / weight_bytes(size, "bf16") <= 0.56
    assert 0.27 <= weight_bytes(size, "int4-g32") / weight_bytes(size, "bf16") <= 0.34


def test_names():
    assert {asked_name(tier) for tier in BITS} == {"int8", "int4"}
    assert in_fp16("int4-g32") == in_fp16("int4-g32-fp16") == "int4-g32-fp16"


# ------------------------------------------------------------------------------------- the built-in model


def loaded(path: Path, tier: str) -> Model:
    generator = load(path, device="cpu", dtype=tier)
    while True:
        try:
            next(generator)
        except StopIteration as stop:
            return stop.value


def test_the_built_in_model_chooses_the_same_tokens():
    """Along what fp32 writes."""
    tokenizer = load_tokenizer(TokenizerRef("json", str(resource("assets/demo/tokenizer.json"))))
    path = resource("assets/demo/demo.safetensors")
    exact = loaded(path, "fp32")
    asked = [(0, *tokenizer.encode(f"User: {each}\n\nAssistant:")) for each in QUESTIONS]
    chains = [continued(exact, prompt, 50) for prompt in asked]
    truth = torch.cat([logits(exact, each) for each in chains])
    for tier, (_, bounds) in BOUNDS.items():
        model = loaded(path, tier)
        near("built-in", tier, torch.cat([logits(model, each) for each in chains]), truth, bounds)


# ------------------------------------------------------------------------------------------------ loading

PIECE = 1 << 17


def most_beside_the_file(path: Path, tier: str) -> int:
    """Bytes of memory that is no file's, at most, while every tensor is made as for a card and let go of."""
    torch.set_num_threads(1)
    packed._PIECE = PIECE
    reading = Reading(open_archive(path), read_spec(path), tier, torch.device("cpu"), lambda: False)
    list(reading.made("blocks.0.att.key.weight"))  # what is loaded once
    peak, over, begun = 0, threading.Event(), status("RssAnon")

    def watch() -> None:
        nonlocal peak
        while not over.is_set():
            peak = max(peak, status("RssAnon"))
            time.sleep(0.0005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for name in prepared_shapes(reading.spec):
        reading.made(name)
    over.set()
    watcher.join()
    return peak - begun


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")
@pytest.mark.parametrize("tier", ["int4-g32"])  # more is made on the way than for int8
def test_quantising_takes_the_memory_of_a_few_tensors(tier, tmp_path):
    """However many there are. The largest of a 7.2B in bf16 has 0.54 GB, so three are 1.6 GB."""
    spec = tiny.spec(n_layer=8, n_embd=512, head_size=64, vocab_size=4000, rank=32)
    path = tiny.checkpoint(tmp_path / "model.safetensors", spec, dtype=torch.bfloat16)
    taken = in_child(most_beside_the_file, path, tier)
    largest = 2 * 4000 * 512
    print(f"{tier}: {taken / 1e6:.1f} MB beside a file of {path.stat().st_size / 1e6:.0f} MB")
    assert taken <= 3 * largest + 16 * 4 * PIECE < path.stat().st_size / 2


def test_a_file_is_quantised_in_one_pass(tmp_path, monkeypatch):
    """Every tensor is read once, and the model is the one that is made from all of them at once."""
    spec = tiny.spec(2, 64, 16, 300, 8)
    path = tiny.checkpoint(tmp_path / "model.safetensors", spec, dtype=torch.bfloat16)
    read: list[str] = []
    plain = Reading.checked
    monkeypatch.setattr(Reading, "checked", lambda self, name: read.append(name) or plain(self, name))
    model = loaded(path, "int4-g32")
    assert sorted(read) == sorted(set(read))
    expected = packed.packed_forms(prepared_shapes(spec), spec, "int4-g32")
    assert {name: (tuple(x.shape), x.dtype) for name, x in model.tensors.items()} == expected
    assert loading.read_spec(path) == model.spec


@pytest.mark.gpu
@pytest.mark.parametrize("tier", ["int8", "int4"])
def test_on_a_card(tier, tmp_path):
    """What is packed there is what is packed here, and takes what was estimated."""
    spec = tiny.spec(4, 640, 64, 8000, 32)
    path = tiny.checkpoint(tmp_path / "model.safetensors", spec, dtype=torch.bfloat16)
    generator = load(path, device="cuda", dtype=tier)
    model = None
    while model is None:
        try:
            next(generator)
        except StopIteration as stop:
            model = stop.value
    expected = loaded(path, model.tier)
    for name, x in expected.tensors.items():
        found = model.tensors[name].cpu()
        assert float((found != x).float().mean()) <= 1e-4, name  # quotients halfway between two numbers
    assert model.nbytes == sum(x.nbytes for x in expected.tensors.values())
    torch.cuda.reset_peak_memory_stats()
    with torch.inference_mode():
        _kept = model.forward(tiny.ids(spec, 256).cuda(), model.zero_state())
    assert torch.cuda.max_memory_allocated() <= fit(Size.of(spec), model.tier, "cuda", None).needed
