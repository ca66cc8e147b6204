"""The tier that is loaded: what was asked for, as the device has it; "auto" is what fits."""

from __future__ import annotations

import pytest

from engine.errors import InvalidRequest, OutOfMemory, TierUnavailable
from engine.types import TierChosen
from engine.weights import choice as choosing
from engine.weights import fit as fitting
from engine.weights import load as loading
from engine.weights.choice import Choice, choose
from engine.weights.fit import Size, check, fit, offered
from engine.weights.load import load
from tests.engine import tiny

# as they are released
SIZES = {
    "0.02B": Size("rwkv7", 20_000_000, 6, 256, 1024),
    "0.4B": Size("rwkv7", 450_767_872, 24, 1024, 4096),
    "1.5B": Size("rwkv7", 1_527_404_544, 24, 2048, 8192),
    "2.9B": Size("rwkv7", 2_947_735_040, 32, 2560, 10240),
    "7.2B": Size("rwkv7", 7_199_145_984, 32, 4096, 16384),
}
GB = 10**9


@pytest.fixture
def old_card(monkeypatch):
    """One without bf16."""
    monkeypatch.setattr(choosing, "has_bf16", lambda device: device == "cpu")
    monkeypatch.setattr(fitting, "has_bf16", lambda device: device == "cpu")


def chosen(asked: str, device: str, size: str = "1.5B", free: int | None = None) -> Choice:
    return choose(asked, device, SIZES[size], 2 * SIZES[size].params, free)


@pytest.mark.parametrize(
    ("size", "tier"),
    [("0.02B", "fp32"), ("0.4B", "bf16"), ("1.5B", "bf16"), ("2.9B", "bf16"), ("7.2B", "bf16")],
)
def test_a_small_model_is_exact_on_the_processor(size, tier):
    assert chosen("auto", "cpu", size) == Choice(tier)


@pytest.mark.parametrize(
    ("size", "free", "expected"),
    [
        ("7.2B", 80 * GB, Choice("bf16")),
        ("7.2B", None, Choice("bf16")),
        ("7.2B", 12 * GB, Choice("int8-g64", ("room",))),
        ("7.2B", 8 * GB, Choice("int4-g32", ("room",))),
        ("7.2B", 2 * GB, Choice("int4-g32", ("room",))),  # and is refused then
        ("2.9B", 3 * GB, Choice("int4-g32", ("room",))),
        ("1.5B", 3 * GB, Choice("int8-g64", ("room",))),
        ("1.5B", 1 * GB, Choice("int8-g64", ("room",))),  # 4 bits are not offered for it
    ],
)
def test_what_fits_a_card_is_chosen(size, free, expected):
    assert chosen("auto", "cuda", size, free) == expected


def test_7b_in_8_bits_fits_a_card_of_12_gb():
    """12 GiB, half a gigabyte of them the driver's and the screen's."""
    assert fit(SIZES["7.2B"], "int8-g64", "cuda", None).needed <= 12 * (1 << 30) - 512 * (1 << 20)


@pytest.mark.parametrize(
    ("asked", "device", "tier"),
    [
        ("int8", "cpu", "int8"),
        ("int8", "cuda:1", "int8-g64"),
        ("fp16", "cuda", "fp16"),
        ("int8-g64", "cpu", "int8-g64"),
    ],
)
def test_the_device_says_which_arithmetic_a_name_is(asked, device, tier):
    assert chosen(asked, device) == Choice(tier)


def test_4_bits_of_a_small_model_come_with_a_warning():
    assert chosen("int4", "cuda", "1.5B") == Choice("int4-g32", ("lossy",))
    assert chosen("int4", "cuda", "2.9B") == Choice("int4-g32")
    assert chosen("int4", "cpu", "1.5B") == Choice("int4-rows", ("lossy",))
    assert chosen("int4", "cpu", "2.9B") == Choice("int4-rows")
    assert "int4-g32" in offered(SIZES["2.9B"], "cuda")
    assert "int4-g32" not in offered(SIZES["1.5B"], "cuda")


@pytest.mark.usefixtures("old_card")
def test_a_card_without_bf16_computes_in_fp16():
    assert chosen("auto", "cuda") == Choice("fp16", ("no-bf16",))
    assert chosen("bf16", "cuda") == Choice("fp16", ("no-bf16",))
    assert chosen("fp16", "cuda") == Choice("fp16")
    assert chosen("int8", "cuda") == Choice("int8-g64-fp16", ("no-bf16",))
    assert chosen("int4", "cuda") == Choice("int4-g32-fp16", ("no-bf16", "lossy"))
    assert chosen("auto", "cuda", "7.2B", 12 * GB) == Choice("int8-g64-fp16", ("no-bf16", "room"))
    assert offered(SIZES["2.9B"], "cuda") == ["fp32", "fp16", "int8-g64-fp16", "int4-g32-fp16"]


def test_unknown_names_are_refused():
    with pytest.raises(InvalidRequest):
        chosen("int3", "cuda")
    with pytest.raises(TierUnavailable) as refused:
        chosen("int4-rows", "cuda")
    assert (refused.value.tier, refused.value.device) == ("int4-rows", "cuda")


@pytest.mark.parametrize(("size", "free", "hint"), [("7.2B", 7 * GB, "int4"), ("1.5B", GB, "smaller-model")])
def test_what_does_not_fit_is_refused_with_a_smaller_tier(size, free, hint, monkeypatch):
    monkeypatch.setattr(fitting, "free_bytes", lambda device: free if device == "cuda" else 0)
    with pytest.raises(OutOfMemory) as refused:
        check(SIZES[size], "int8-g64", "cuda")
    assert refused.value.hint == hint


def test_a_load_tells_what_was_chosen_first(tmp_path):
    path = tiny.checkpoint(tmp_path / "model.safetensors", tiny.spec(1, 64, 16, 100, 8))
    first, *rest = load(path, device="cpu", dtype="int4-g32")
    assert first == TierChosen(str(path), "int4-g32", "lossy")
    assert not any(isinstance(each, TierChosen) for each in rest)
    assert not any(isinstance(each, TierChosen) for each in load(path, device="cpu"))


def test_a_model_that_is_about_to_leave_counts_as_room(tmp_path, monkeypatch):
    """What the loaded model holds is not taken for used, or "auto" would make the next one smaller."""
    asked: list[int | None] = []
    monkeypatch.setattr(loading, "choose", lambda *given: asked.append(given[-1]) or Choice("fp32"))
    monkeypatch.setattr(loading, "free_bytes", lambda _: 1000)
    path = tiny.checkpoint(tmp_path / "model.safetensors", tiny.spec(1, 64, 16, 100, 8))
    list(load(path, device="cpu", releasable=500))
    list(load(path, device="cpu"))
    assert asked == [1500, 1000]
