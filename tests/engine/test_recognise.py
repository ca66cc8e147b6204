"""Every version is told by names and shapes alone, however vectors are stored; a wrong tensor is named."""

from __future__ import annotations

import pytest

from engine.errors import UnsupportedFormat, WeightsCorrupt
from engine.models.names import expected_shapes, stored_shape, unused
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


def test_absurd_dimensions_are_refused():
    for arch in tiny.ARCHS:
        shapes = stored(tiny.spec(arch=arch))
        for name in ("emb.weight", "blocks.0.ffn.key.weight"):
            for shape in ((), (0, 0), (5,), (2, 2, 2), (0, 32)):
                with pytest.raises(WeightsCorrupt):
                    recognise("any", shapes | {name: shape})
