"""Every kernel is compiled for every card class: within its shared memory, and no register spilled.

Needs no GPU. A new kernel is a row: a function that launches it through the program's own code, with the
shapes of a real model, on tensors of the device "meta" (`compiling.py`).
"""

from __future__ import annotations

import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.engine.compiling import CARDS, WITHOUT_BF16, Usage, usages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

pytest.importorskip("triton", reason="Triton has wheels for Linux only; elsewhere there are no kernels")

HALF = ("bfloat16", "float16")
AMPERE_ON = tuple(sm for sm in CARDS if sm >= 80)  # before, batches take the kernels of one row


@dataclass(frozen=True)
class Row:
    """What is compiled.

    Attributes:
        launch: "module:function"; it is called with a run dtype and launches kernels on "meta" tensors.
        always: the compute capabilities for which every run compiles, in the first of the dtypes: kinds of
            card that the compiler treats apart, and those with the least shared memory.
        dtypes: the run dtypes; bfloat16 is left out where a card has none.
        cards: the compute capabilities.
    """

    launch: str
    always: tuple[int, ...] = ()
    dtypes: tuple[str, ...] = HALF
    cards: tuple[int, ...] = tuple(CARDS)

    def dtypes_of(self, sm: int) -> list[str]:
        return [dtype for dtype in self.dtypes if not (dtype == "bfloat16" and sm in WITHOUT_BF16)]


ROWS: dict[str, Row] = {
    "sample": Row("tests.engine.compile_sample:world", (75, 100), ("float32",)),
    "decode": Row("tests.engine.compile_decode:plain", (75, 90, 120)),
    "decode-int8": Row("tests.engine.compile_decode:int8", (86, 100)),
    "decode-int4": Row("tests.engine.compile_decode:int4", (80, 120)),
    "decode-batch": Row("tests.engine.compile_decode:batch", (89, 90), cards=AMPERE_ON),
    "decode-batches": Row("tests.engine.compile_decode:batches", cards=AMPERE_ON),
    "decode-all-sizes": Row("tests.engine.compile_decode:all_sizes"),
    "int8": Row("tests.engine.compile_packed:int8", (75, 100)),
    "int4": Row("tests.engine.compile_packed:int4", (89, 90)),
    "wkv7": Row("tests.engine.compile_wkv:wkv7", (75, 86, 120)),
    "wkv7-training": Row("tests.engine.compile_wkv:wkv7_training", (90,)),
    "wkv7-training-fp32": Row("tests.engine.compile_wkv:wkv7_training", dtypes=("float32",)),
    "prefill7": Row("tests.engine.compile_wkv:fused_parts", (75, 100)),
    "wkv6-wkv4": Row("tests.engine.compile_wkv:wkv6_and_4", (86,)),
    "wkv6-training": Row("tests.engine.compile_wkv:wkv6_training", (90,)),
    "wkv6-training-fp32": Row("tests.engine.compile_wkv:wkv6_training", dtypes=("float32",)),
}

# (row, sm, kernel) → why its registers may be spilled there, or why it may not fit (it is not used there)
FP32_TRAINING = "8 to 16 bytes, where the assembler keeps to 128 or 255 registers; training in fp32 only"
EXCEPTIONS: dict[tuple[str, int, str], str] = {
    ("wkv7-training-fp32", 75, "dvalues_kernel"): FP32_TRAINING,
    ("wkv7-training-fp32", 80, "dvalues_kernel"): FP32_TRAINING,
    ("wkv7-training-fp32", 120, "intra_kernel"): FP32_TRAINING,
    ("wkv6-training-fp32", 75, "grads_kernel"): FP32_TRAINING,
    ("wkv6-training", 75, "grads_kernel"): "16 bytes; without tf32 all products are fp32",
}

CASES = {
    (name, sm, dtype): pytest.param(
        (name, sm, dtype),
        marks=[pytest.mark.long] * (n > 0 or sm not in row.always),
        id=f"{name}-{sm}-{dtype}",
    )
    for name, row in ROWS.items()
    for sm in row.cards
    for n, dtype in enumerate(row.dtypes_of(sm))
}

FAULTS = [(f"tests.engine.compile_faults:{name}", 86, "float32") for name in ("spilling", "sharing")]


@pytest.fixture(scope="module")
def compiled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, int, str], Future[list[Usage]]]]:
    """All cases that were chosen, begun at once on two processes, which import kernels for the compiler."""
    chosen = [getattr(item, "callspec", None) for item in request.session.items]
    cases = [case for case in CASES if any(each and each.params.get("case") == case for each in chosen)]
    folder = tmp_path_factory.mktemp("compiled")
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        begun = {case: pool.submit(usages, str(folder), ROWS[case[0]].launch, *case[1:]) for case in cases}
        yield begun | {fault: pool.submit(usages, str(folder), *fault) for fault in FAULTS}
    shutil.rmtree(folder, ignore_errors=True)  # tens of megabytes


@pytest.mark.parametrize("case", CASES.values())
def test_it_compiles_and_fits(case, compiled):
    name, sm, _ = case
    found = compiled[case].result()
    assert found
    limit = CARDS[sm][0]
    bad = [each for each in found if each.shared > limit or each.stack]
    assert [each for each in bad if (name, sm, each.kernel) not in EXCEPTIONS] == []


@pytest.mark.parametrize(("launch", "field"), [("spilling", "stack"), ("sharing", "shared")])
def test_faults_are_noticed(launch, field, compiled):
    (found,) = compiled[f"tests.engine.compile_faults:{launch}", 86, "float32"].result()
    assert getattr(found, field) > {"stack": 0, "shared": CARDS[86][0]}[field]


def test_every_run_compiles_for_every_card():
    """A part of the decode chain at least."""
    assert {sm for name, row in ROWS.items() if name.startswith("decode") for sm in row.always} == set(CARDS)
