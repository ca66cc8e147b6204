"""The decode chain on a GPU: the interpreter's comparisons, larger shapes, and the step in a CUDA graph."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("triton", reason="Triton has wheels for Linux only; elsewhere there are no kernels")

from engine.models.rwkv7_chain import Chain7
from engine.ops.gemv.arguments import End
from engine.ops.time_mix_in.arguments import Ranks
from tests.engine import tiny
from tests.engine.chain_checks import (
    check_many,
    check_same,
    check_with_model,
    check_with_twin,
    model_of,
    packed_model,
    random_state,
    steps,
)
from tests.engine.decode_checks import (
    FORMS,
    check_embed,
    check_ffn_value,
    check_head_step,
    check_project,
    check_time_mix_in,
)

pytestmark = pytest.mark.gpu
FP32, FP16, BF16 = torch.float32, torch.float16, torch.bfloat16
DTYPES = (FP32, FP16, BF16)
WIDE = tiny.spec(n_layer=3, n_embd=768, head_size=64, rank=32, vocab_size=1000)
TIERS = ("int8-g64", "int4-g32", "int8-g64-fp16", "int4-g32-fp16")


@pytest.fixture(autouse=True)
def exact_products() -> None:
    """The twins' products on this card are fp32 too, and not TF32."""
    torch.backends.cuda.matmul.allow_tf32 = False


@pytest.mark.parametrize("dtype", DTYPES)
def test_embed(dtype):
    check_embed("cuda", dtype, 65536, 2560, 3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 3, 2), (2048, 2048, 1), (2560, 2560, 3), (65536, 768, 1)])
def test_project(shape, dtype):
    check_project("cuda", dtype, "plain", shape, norm=shape[0] > shape[1])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(1, 64, 1), (130, 320, 2), (10240, 2560, 1), (16384, 4096, 1)])
def test_normed_and_mixed(shape, form):
    check_project("cuda", BF16, form, shape, norm=True, mix=True, end=End.SQUARED_RELU)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("C", [64, 2048, 2560, 4096])
def test_time_mix_in(C, form):
    check_time_mix_in("cuda", FP16, form, C, Ranks(96, 96, 64, 320), 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ranks", [Ranks(1, 1, 0, 1), Ranks(96, 96, 64, 256), Ranks(192, 192, 128, 384)])
def test_head_step(ranks, dtype):
    check_head_step("cuda", dtype, 32, 64, ranks, 2)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("zeros", [0.0, 0.86, 1.0])
@pytest.mark.parametrize("shape", [(300, 192, 2), (8192, 2048, 1), (16384, 4096, 1)])
def test_ffn_value(shape, zeros, form):
    check_ffn_value("cuda", BF16, form, shape, zeros)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_it_is_the_models_step(batch):
    check_with_model(model_of(WIDE, FP32, "cuda"), 8, batch, plain=False)


@pytest.mark.parametrize("dtype", [FP16, BF16])
def test_half_precision(dtype):
    check_with_twin(model_of(WIDE, dtype, "cuda"), 8, 1)


@pytest.mark.parametrize("tier", TIERS)
def test_packed(tier):
    check_with_twin(packed_model(WIDE, tier, "cuda"), 8, 1)


@pytest.mark.parametrize("dtype", [FP16, BF16])
@pytest.mark.parametrize("shape", [(5, 3, 2), (65536, 2048, 8), (8192, 2048, 64)])
def test_many_rows(shape, dtype):
    check_project("cuda", dtype, "plain", shape, norm=True, end=End.SQUARED_RELU, many=True)


@pytest.mark.parametrize("B", [4, 32, 64])
def test_time_mix_in_of_many(B):
    check_time_mix_in("cuda", BF16, "plain", 2048, Ranks(96, 96, 64, 256), B, many=True)


@pytest.mark.parametrize("dtype", [FP16, BF16])
@pytest.mark.parametrize("B", [4, 32, 64])
def test_ffn_value_of_many(B, dtype):
    check_ffn_value("cuda", dtype, "plain", (8192, 2048, B), 0.5, many=True)


@pytest.mark.parametrize(("dtype", "limit"), [(FP16, 0.002), (BF16, 0.015)])
@pytest.mark.parametrize("batch", [4, 8, 32, 64])
def test_a_batch_on_tensor_cores(batch, dtype, limit):
    check_many(model_of(WIDE, dtype, "cuda"), batch, limit)


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_a_graph_is_the_same_step(batch):
    """Replayed, with every kernel beginning before the one before has ended: the same to the last bit."""
    model = model_of(WIDE, BF16, "cuda")
    ids, state = tiny.ids(WIDE, 16, batch).cuda(), random_state(model, batch)
    chain = Chain7(model, batch)
    expected = steps(chain, state, ids, chain.step)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        chain.step()
    for _ in range(3):
        found = steps(chain, state, ids, graph.replay)
        assert torch.equal(found[0], expected[0])
        check_same(found, expected)
        assert found[1].max_difference(expected[1]) == 0
