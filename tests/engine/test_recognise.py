"""Every version is told by names and shapes alone, however vectors are stored; a wrong tensor is named."""

from __future__ import annotations

import math
import random

import pytest
import torch

from engine.errors import UnsupportedFormat, WeightsCorrupt
from engine.models.names import expected_shapes, stored_shape, unused
from engine.weights.load import read_spec
from engine.weights.recognise import recognise
from tests.engine import tiny

SPECS = {
    f"{arch} C{n_embd} N{head_size}": tiny.spec(3, n_embd, head_size, vocab, 4, arch=arch, n_ffn=n_ffn)
    for arch in tiny.ARCHS
    for n_embd, head_size, vocab, n_ffn in [(64, 8, 97, 224), (64, 64, 50_277, 160), (48, 16, 65_536, 192)]
}
SPECS |= {
    f"{arch} time_first": tiny.spec(arch=arch, log_bonus=True) for arch in ("rwkv5.0", "rwkv5.1", "rwkv5.2")
}
ONE_LAYER = {arch: tiny.spec(1, arch=arch, rank=6) for arch in tiny.ARCHS if arch != "rwkv7"}


def stored(spec):
    return {name: stored_shape(spec, name) for name in expected_shapes(spec)}


def with_vectors(shapes, change):
    """Vectors (of any form) stored in another one."""

    def changed(shape):
        long = [n for n in shape if n > 1]
        return change(long[0]) if len(long) == 1 else shape

    return {name: changed(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("spec", [*SPECS.values(), *ONE_LAYER.values()], ids=[*SPECS, *ONE_LAYER])
def test_the_shapes_say_the_spec(spec):
    shapes = stored(spec)
    assert recognise("any", shapes) == spec
    assert recognise("any", dict(reversed(shapes.items()))) == spec


@pytest.mark.parametrize("change", [lambda n: (n,), lambda n: (1, n), lambda n: (1, 1, n), lambda n: (n, 1)])
@pytest.mark.parametrize("arch", tiny.ARCHS)
def test_vectors_are_vectors_however_stored(arch, change):
    spec = tiny.spec(arch=arch)
    assert recognise("any", with_vectors(stored(spec), change)) == spec


@pytest.mark.parametrize("arch", ["rwkv5.2", "rwkv6", "rwkv7"])
def test_one_head(arch):
    spec = tiny.spec(n_embd=32, head_size=32, arch=arch)
    assert recognise("any", stored(spec)) == spec


def test_the_first_block_may_have_an_unused_value_residual():
    spec = tiny.spec()
    shapes = stored(spec) | dict.fromkeys(unused(spec), (1, 1, 5))
    assert recognise("any", shapes) == spec


@pytest.mark.parametrize("arch", tiny.ARCHS)
def test_every_tensor_must_be_there_in_its_shape(arch):
    spec = tiny.spec(arch=arch)
    shapes = stored(spec)
    for name, shape in shapes.items():
        without = {other: x for other, x in shapes.items() if other != name}
        for broken in (
            without,
            without | {name: (*shape[:-1], shape[-1] + 1)},
            without | {name: (*shape, 2)},
        ):
            with pytest.raises((WeightsCorrupt, UnsupportedFormat)):
                recognise("any", broken)


@pytest.mark.parametrize("arch", tiny.ARCHS)
def test_no_tensor_too_many(arch):
    spec = tiny.spec(arch=arch)
    for name in ("blocks.0.att.other", "blocks.1.ln0.weight", "blocks.2.ln1.weight", "head_q.weight"):
        with pytest.raises(WeightsCorrupt):
            recognise("any", stored(spec) | {name: (32,)})


def test_a_layer_left_out_is_named():
    shapes = stored(tiny.spec(3))
    without = {name: shape for name, shape in shapes.items() if not name.startswith("blocks.1.")}
    for broken, layer in ((without, 1), (shapes | {"blocks.9999.ln1.weight": (32,)}, 3)):
        with pytest.raises(WeightsCorrupt) as error:
            recognise("any", broken)
        assert error.value.where == f"blocks.{layer}"


def test_a_file_converted_for_the_package_is_told(tmp_path):
    path = tmp_path / "converted.pth"
    extra = {"_strategy": "cpu fp32", "_version": "0.7", "_rescale_layer": 0}
    torch.save(tiny.tensors(tiny.spec(arch="rwkv4")) | extra, path)
    with pytest.raises(UnsupportedFormat) as error:
        read_spec(path)
    assert error.value.hint == "converted-for-pip"


def mutated(shapes, rng):
    """A few names or shapes are others."""
    changed = dict(shapes)
    for _ in range(rng.randint(1, 3)):
        name = rng.choice(sorted(changed))
        shape = changed.pop(name)
        kind = rng.randrange(4)
        if kind == 0:
            changed[name.replace(rng.choice("abw01"), rng.choice("xyw9"))] = shape
        elif kind == 1:
            changed[name] = tuple(rng.choice((0, 1, 2, n, n + 1, 1 << 40)) for n in shape)
        elif kind == 2:
            changed[name] = rng.choice(((), shape[:-1], (*shape, 1), shape[::-1]))
    return changed


@pytest.mark.parametrize("arch", tiny.ARCHS)
def test_other_shapes_are_another_model_or_a_clear_word(arch, sample):
    shapes, rng = stored(tiny.spec(arch=arch)), random.Random(11)
    for _ in range(sample("mutated tables of shapes", 100, 5000)):
        found = mutated(shapes, rng)
        try:
            spec = recognise("any", found)
        except (WeightsCorrupt, UnsupportedFormat):
            continue
        expected = expected_shapes(spec)
        assert expected.keys() <= found.keys()
        assert all(math.prod(found[name]) == math.prod(shape) for name, shape in expected.items())


def test_absurd_dimensions_are_refused():
    for arch in tiny.ARCHS:
        shapes = stored(tiny.spec(arch=arch))
        for name in ("emb.weight", "blocks.0.ffn.key.weight"):
            for shape in ((), (0, 0), (5,), (2, 2, 2), (0, 32)):
                with pytest.raises(WeightsCorrupt):
                    recognise("any", shapes | {name: shape})
