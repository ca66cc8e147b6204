"""Adapters: small files that change a model's weights. Read in the forms of the programs that train them.

Hugging Face peft's folders (`adapter_config.json` beside the tensors: LoRA, MiSS, and what was called Bone),
RWKV-PEFT's older flat files (`.lora_A`, `.disha`, `.bone`, together with any norms and vectors that were
trained), its PiSSA (with `init_pissa.pth` beside), and web-rwkv's `.st` files (`.lora.0` is turned).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from engine.errors import AdapterMismatch, InvalidRequest, ModelNotFound, UnsupportedFormat, WeightsCorrupt
from engine.models.names import expected_shapes
from engine.weights.adapter_merge import FORMULAS, fits
from engine.weights.archive import open_file
from engine.weights.hugging_face import official_weight
from engine.weights.part_names import ADAPTER_CONFIG, ROLES, split

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from engine.types import ModelSpec

PISSA_INIT = "init_pissa.pth"
_FILES = ("adapter_model.safetensors", "adapter_model.bin")
_LARGEST_CONFIG = 1 << 20
LARGEST_ALPHA = 1e6  # trainers take 16 to 128

_TURNED = (".lora.0",)
_OF_COLUMNS = (".disha", ".bone")  # RWKV-PEFT's own "bat"

_PEFT_KINDS = {"LORA", "MISS", "BONE"}
# peft's options that change the formula, or the base before training
_STRANGE_OPTIONS = ("use_dora", "fan_in_fan_out", "lora_bias", "use_qalora", "use_bdlora", "kasa_config")
_STRANGE_OPTIONS += ("velora_config", "monteclora_config", "layer_replication", "alora_invocation_tokens")
_STRANGE_OPTIONS += ("target_parameters", "trainable_token_indices")
_STRANGE_STARTS = ("pissa", "olora", "corda", "loftq", "lora_ga")


@dataclass(frozen=True, slots=True)
class Adapter:
    """What changes a model.

    Attributes:
        kind: a key of `FORMULAS`.
        parts: official weight name → its matrices by role (A, B, A0, B0, E).
        whole: official name → a tensor that takes another's place (trained norms and vectors).
        alpha: LoRA's, as the file says it; None where it does not.
        alphas: other values of it for some weights, by the ends of their names.
        root: the scale is alpha/√r in place of alpha/r.
    """

    path: Path
    kind: str
    parts: dict[str, dict[str, Tensor]]
    whole: dict[str, Tensor]
    alpha: float | None = None
    alphas: dict[str, float] = field(default_factory=dict)
    root: bool = False

    @property
    def rank(self) -> int:
        """Of the first part: r."""
        matrices = next(iter(self.parts.values()))
        return matrices["A"].shape[0] if "A" in matrices else matrices["E"].shape[-2]


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / ADAPTER_CONFIG
    if not path.is_file():  # a pipe would be waited for
        raise ModelNotFound(str(path))
    try:
        if not path.is_file():  # a device would be read without end
            raise ModelNotFound(str(path))
        if path.stat().st_size > _LARGEST_CONFIG:
            raise WeightsCorrupt(str(path), "its end", f"at most {_LARGEST_CONFIG} bytes", "more")
        config = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ModelNotFound(str(path)) from error
    except (ValueError, RecursionError) as error:
        raise WeightsCorrupt(str(path), "its text", "JSON", "other text") from error
    if not isinstance(config, dict) or str(config.get("peft_type")) not in _PEFT_KINDS:
        raise UnsupportedFormat(str(path), "adapter-kind")
    start = config.get("init_lora_weights")
    changed = isinstance(start, str) and start.startswith(_STRANGE_STARTS)
    if changed or any(config.get(option) for option in _STRANGE_OPTIONS):
        raise UnsupportedFormat(str(path), "adapter-option")
    return config


def _number(path: Path, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST_ALPHA:
        raise WeightsCorrupt(str(path), name, "a number", repr(value)[:60])
    return float(value)


def _checked(path: Path, name: str, x: Tensor) -> Tensor:
    if not x.isfinite().all():
        raise WeightsCorrupt(str(path), name, "finite numbers", "NaN or infinity")
    return x


def _read_parts(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Tensor], set[str]]:
    """Matrices by weight and role; other tensors; the endings that were seen."""
    archive = open_file(path)
    parts: dict[str, dict[str, Tensor]] = {}
    whole: dict[str, Tensor] = {}
    endings: set[str] = set()
    for name in archive.shapes:
        module, ending = split(name)
        x = _checked(path, name, archive.get(name))
        if ending:
            matrices = parts.setdefault(official_weight(f"{module}.weight"), {})
            if ROLES[ending] in matrices:
                raise WeightsCorrupt(str(path), name[:80], "one of its kind", "several")
            matrices[ROLES[ending]] = x.mT if ending in _TURNED and x.ndim > 1 else x
            endings.add(ending)
        else:
            whole[official_weight(name)] = x
    return parts, whole, endings


def _kind(path: Path, parts: dict[str, dict[str, Tensor]], endings: set[str], mini: bool) -> str:
    """One kind for all parts, told from their roles and dimensions; MiSS's small one from the config."""
    roles = {frozenset(matrices) for matrices in parts.values()}
    dimensions = {x.ndim for matrices in parts.values() for x in matrices.values()}
    if roles == {frozenset("AB")} and dimensions == {2}:
        return "lora"
    if roles == {frozenset({"A", "B", "A0", "B0"})} and dimensions == {2}:
        return "pissa"
    if roles == {frozenset("E")} and dimensions == {2}:
        return "mini" if mini else "miss"
    if roles == {frozenset("E")} and dimensions == {3}:
        return "bat-columns" if endings <= set(_OF_COLUMNS) else "bat"
    raise UnsupportedFormat(str(path), "adapter-kind")


def _add_pissa(path: Path, parts: dict[str, dict[str, Tensor]]) -> None:
    """The first factors, where they lie beside."""
    init = path.with_name(PISSA_INIT)
    if path.name == PISSA_INIT or not init.is_file():
        return
    for name, matrices in _read_parts(init)[0].items():
        parts.setdefault(name, {}).update(matrices)


def read_adapter(path: Path) -> Adapter:
    """A peft folder, or a file of tensors.

    Raises:
        ModelNotFound, UnsupportedFormat (hint "adapter-kind" or "adapter-option"), WeightsCorrupt.
    """
    config = _read_config(path) if path.is_dir() else {}
    file = next((path / name for name in _FILES if (path / name).is_file()), path)
    if not file.is_file():
        raise ModelNotFound(str(path / _FILES[0]))
    parts, whole, endings = _read_parts(file)
    if endings & {".lora_A"} and not config:
        _add_pissa(file, parts)
    kind = _kind(file, parts, endings, config.get("init_weights") == "mini")
    if not config:
        return Adapter(path, kind, parts, whole)
    alpha = _number(path, "lora_alpha", config.get("lora_alpha")) if kind == "lora" else None
    table = config.get("alpha_pattern") or {}
    if not isinstance(table, dict):
        raise WeightsCorrupt(str(path / ADAPTER_CONFIG), "alpha_pattern", "a table", type(table).__name__)
    alphas = {name: _number(path, name[:80], value) for name, value in table.items()}
    return Adapter(path, kind, parts, whole, alpha, alphas, bool(config.get("use_rslora")))


def check_adapter(adapter: Adapter, spec: ModelSpec, alpha: float | None = None) -> None:
    """Whether the adapter can change a model of this spec.

    Raises:
        AdapterMismatch: it names or shapes a tensor that the model has not.
        InvalidRequest: a LoRA whose file does not say its alpha, and none is given; an alpha out of range.
    """
    if adapter.kind == "lora" and alpha is None and adapter.alpha is None:
        raise InvalidRequest("this adapter's file does not say its alpha, so it must be given")
    if alpha is not None and not abs(alpha) <= LARGEST_ALPHA:
        raise InvalidRequest(f"alpha {alpha:g}, not a number up to {LARGEST_ALPHA:g}")
    expected = expected_shapes(spec)
    for name, matrices in adapter.parts.items():
        shapes = {role: tuple(x.shape) for role, x in matrices.items()}
        if len(expected.get(name, ())) != 2 or not fits(adapter.kind, shapes, expected[name]):
            found = ", ".join(f"{role} {list(shape)}" for role, shape in sorted(shapes.items()))
            raise AdapterMismatch(str(adapter.path), name[:80], str(list(expected.get(name, ()))), found)
    for name, x in adapter.whole.items():
        if name not in expected or x.numel() != math.prod(expected[name]):
            wanted = str(list(expected[name])) if name in expected else "no such tensor"
            raise AdapterMismatch(str(adapter.path), name[:80], wanted, str(list(x.shape)))


def scale_of(name: str, adapter: Adapter, alpha: float | None) -> float:
    """LoRA's: alpha/r or alpha/√r; that of the config for this weight, if it has one."""
    module = name.removesuffix(".weight")
    named = (a for end, a in adapter.alphas.items() if module == end or module.endswith(f".{end}"))
    value = alpha if alpha is not None else next(named, adapter.alpha)
    if adapter.kind != "lora" or value is None:
        return 1.0
    rank = adapter.parts[name]["A"].shape[0]
    return value / (rank**0.5 if adapter.root else rank)


def merged(name: str, weight: Tensor, adapter: Adapter, alpha: float | None = None) -> Tensor:
    """The weight of an official name with the adapter in it: fp32 where it changed, itself where not.

    Args:
        alpha: LoRA's, where the file does not say it or another is wanted.
    """
    if name in adapter.whole:
        return adapter.whole[name].reshape(weight.shape)
    if name not in adapter.parts:
        return weight
    matrices = {role: x.float() for role, x in adapter.parts[name].items()}
    return FORMULAS[adapter.kind](weight.to(torch.float32), matrices, scale_of(name, adapter, alpha))
