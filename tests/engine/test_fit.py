"""Needs are told from the header alone, and are near what loading and reading really take."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.models import ARCHITECTURES
from engine.weights.fit import WEIGHT_BYTES, Fit, Size, best, estimate, fit
from engine.weights.load import TIERS
from tests.engine import tiny
from tests.engine.samples import SAMPLES, spec_of


def test_every_tier_has_a_size():
    assert {name: dtype.itemsize for name, dtype in TIERS.items()} == WEIGHT_BYTES


@pytest.mark.parametrize("name", SAMPLES)
def test_every_format_is_told_by_its_header(name, tmp_path):
    spec = spec_of(name)
    path = SAMPLES[name](tmp_path, spec)
    assert estimate(path, device="cpu")[0].weights == estimate(spec, device="cpu")[0].weights > 0


@pytest.mark.parametrize("tier", TIERS)
def test_weights_and_state_are_exact(tier):
    spec = tiny.spec(n_layer=3)
    tensors = {name: x.to(TIERS[tier]) for name, x in tiny.plain_tensors(spec).items()}
    model = ARCHITECTURES[spec.arch](spec, tensors)
    found = fit(Size.of(spec), tier, "cpu", None)
    assert found.weights == model.nbytes
    assert found.state == model.zero_state(1).nbytes


def test_what_is_free_decides():
    small = Fit("bf16", "cpu", 100, 10, 5, 115)
    assert small.needed == 115
    assert small.fits
    large = Fit("fp32", "cpu", 200, 10, 5, 115)
    assert not large.fits
    assert best([large, small]) == small
    assert best([large]) is None
    assert Fit("fp32", "cpu", 200, 10, 5, None).fits


def test_an_unknown_device_has_no_known_memory():
    assert estimate(tiny.spec(), device="cuda:77", tiers=["bf16"])[0].free is None


# In a process of its own: the peak of one chunk's prefill beyond what there was before it.
MEASURE = """
import ctypes, sys, torch
from pathlib import Path
from engine.models import ARCHITECTURES
from engine.weights.load import TIERS, load
torch.set_num_threads(1)
def status(row):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(row))
before = status("VmRSS")
loading = load(sys.argv[1], device="cpu", dtype=sys.argv[2])
try:
    while True:
        next(loading)
except StopIteration as stop:
    model = stop.value
with torch.inference_mode():
    tokens = torch.arange(256)[None] % model.spec.vocab_size
    logits, state = model.forward(tokens, model.zero_state())
print(status("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
@pytest.mark.parametrize("tier", ["fp32", "bf16"])
def test_the_estimate_is_near_what_is_taken(tier, tmp_path):
    """Within 0.8 and 1.5 of the measured peak of loading a model and reading 256 tokens."""
    spec = tiny.spec(n_layer=4, n_embd=640, head_size=64, vocab_size=8000, rank=32)
    path = tiny.checkpoint(tmp_path / "model.safetensors", spec, dtype=TIERS[tier])
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path), tier],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"MALLOC_TRIM_THRESHOLD_": "0"},
    )
    measured = int(done.stdout)
    needed = estimate(path, device="cpu", tiers=[tier])[0].needed
    print(f"{tier}: estimated {needed / 1e6:.0f} MB, measured {measured / 1e6:.0f} MB")
    assert 0.8 <= needed / measured <= 1.5


@pytest.mark.parametrize("name", SAMPLES)
def test_headers_are_read_without_torch(name, tmp_path):
    """The list of models is shown before torch is there."""
    path = SAMPLES[name](tmp_path, spec_of(name))
    program = (
        "import sys; from engine.weights.fit import estimate;"
        "estimate(sys.argv[1]); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)
