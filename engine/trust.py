"""Is the fast path right here? Checked once for each combination of card, versions, kernels and model.

64 tokens are fed and eight are drawn, by the fast path and by plain operations with the same weights, and
their logits and states compared. Where they differ, or a kernel cannot be built, plain operations compute.
"""

from __future__ import annotations

import hashlib
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from engine import nvidia, ops
from engine.errors import CardLost
from engine.graphs import DecodeGraph
from engine.ops import kernels
from engine.ops.sample.naive import sample
from engine.sampling import SamplerState, uniform
from engine.types import NotFast, SamplingParams
from engine.verdicts import Combination, Verdict, Verdicts

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from engine.graphs import Stepper
    from engine.models.model import Model
    from engine.models.state import State

log = logging.getLogger("engine")

PREFILLED, DRAWN = 64, 8
PARAMS = SamplingParams(temperature=1.0, top_p=0.9, frequency_penalty=0.5, presence_penalty=0.2, max_tokens=8)
SEED = 20

# How far logits and states may be apart, by norms, for each run dtype. Both sides round, at other places: so
# twice or more of what engine/README.md allows between this dtype and fp32. A wrong kernel is off by about 1.
TOLERANCES = {torch.float32: 1e-3, torch.float16: 0.03, torch.bfloat16: 0.16}

# Reasons that a person can remove: the next start looks again.
PASSING = {"no_triton", "no_compiler", "no_headers"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What may be used, and what is to be told if that is not the fast path."""

    fast: bool
    told: NotFast | None = None


def trusted(
    model: Model, stepper: Callable[[int], Stepper], exempt: Tensor, verdicts: Verdicts, of: Combination
) -> Outcome:
    """Whether the fast path is right for this model on its device; checked unless it has been before.

    Kernels are refused for this thread where it is not, and allowed where it is.

    Args:
        stepper: makes one for a batch size.  exempt: see `DecodeGraph`.

    Raises:
        CardLost: the check has taken the device along; the next start computes without it.
        torch.OutOfMemoryError: there is no room to check; nothing is known.
    """
    verdict = verdicts.find(of)
    if verdict is None:
        verdicts.begin(of)
        try:
            verdict = _examined(model, stepper, exempt, of.card)
        except BaseException:
            verdicts.forget(of)
            raise
        if verdict.reason in PASSING:
            verdicts.forget(of)
        else:
            verdicts.keep(of, verdict)
        _still_there(model.device)
    kernels.allow(not verdict.reason)
    if not verdict.reason:
        return Outcome(True)
    log.warning("kernels are not used: %s", verdict)
    return Outcome(False, NotFast(verdict.reason, verdict.card, verdict.detail))


def _examined(model: Model, stepper: Callable[[int], Stepper], exempt: Tensor, card: str) -> Verdict:
    try:
        with kernels.switched(True):
            off = check(model, stepper, exempt)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        log.exception("the fast path failed")
        return Verdict(nvidia.unbuildable() or "failed", _line(error), card)
    return Verdict("differs", off, card) if off else Verdict("", "", card)


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"[:200]


def _still_there(device: torch.device) -> None:
    """A kernel that reads where it may not takes the device from the whole process."""
    try:
        torch.zeros(1, device=device).add_(1).cpu()
    except RuntimeError as error:
        raise CardLost(str(device)) from error


# ----------------------------------------------------------------------------------------------- the check


def check(model: Model, stepper: Callable[[int], Stepper], exempt: Tensor) -> str:
    """Where the fast path differs from plain operations, in a few words; "" if nowhere."""
    tokens = _some_tokens(model.spec.vocab_size, PREFILLED, model.device)
    bound = TOLERANCES[model.dtype]
    start = model.zero_state(1)
    logits, state = model.forward(tokens, start)
    with kernels.switched(False):
        plain_logits, plain_state = model.forward(tokens, start)
    worst = max(apart(logits, plain_logits), apart_states(state, plain_state))
    if worst > bound:
        return f"prefill: {worst:.3g} > {bound}"
    return _check_decoding(model, stepper(1), exempt, plain_state, bound)


def _check_decoding(model: Model, stepper: Stepper, exempt: Tensor, state: State, bound: float) -> str:
    """Eight tokens: each step's logits against a plain step on the same tokens, each draw against the CPU."""
    graph = DecodeGraph(stepper, exempt)
    added = torch.zeros(graph.vocab)
    graph.begin(state, 0, (SamplerState(SEED),), PARAMS, added, keep_logits=True)
    token, counts = 0, {}
    for position in range(DRAWN):
        graph.queue()
        drawn = graph.read()
        with kernels.switched(False):
            logits, state = model.step(torch.tensor([token], device=model.device), state)
        if drawn.logits is None or apart(drawn.logits, logits.cpu()) > bound:
            return f"decode, token {position + 1}"
        token = sample(drawn.logits[0], PARAMS, counts, uniform(SEED, position))
        if drawn.tokens != (token,):
            return f"sampler, token {position + 1}"
        counts = {each: count * PARAMS.penalty_decay for each, count in counts.items()}
        counts[token] = counts.get(token, 0.0) + (1.0 - float(exempt[token]))
    worst = apart_states(graph.state(), state)
    return "" if worst <= bound else f"state after decoding: {worst:.3g} > {bound}"


def _some_tokens(vocab: int, count: int, device: torch.device) -> Tensor:
    """[1,T]; the same everywhere."""
    ids = [1 + 7919 * (index + 1) % (vocab - 1) for index in range(count)]
    return torch.tensor([ids], device=device)


def apart(one: Tensor, other: Tensor) -> float:
    """How far two tensors are apart, by norms; infinite where that is no number."""
    one, other = one.double(), other.double()
    found = float((one - other).norm() / other.norm().clamp_min(1e-30))
    return found if math.isfinite(found) else math.inf


def apart_states(one: State, other: State) -> float:
    """The same for the tensor that is furthest off."""
    return max(apart(x, other.tensors[name]) for name, x in one.tensors.items())


# ----------------------------------------------------------------------------------------------- combinations


def combination(model: Model) -> Combination:
    """What a verdict on this model depends on here."""
    device = model.device
    on_card = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if on_card else device.type
    capability = torch.cuda.get_device_capability(device) if on_card else ()
    driver = nvidia.machine().driver or ()
    return Combination(
        " ".join((name, ".".join(map(str, capability)))).strip(),
        ".".join(map(str, driver)),
        torch.__version__,
        _triton_version(),
        sources_hash(),
        f"{model.spec} {model.tier}",
    )


def _triton_version() -> str:
    try:
        import triton
    except ImportError:
        return ""
    return triton.__version__


def sources_hash() -> str:
    """Of everything that the fast path is made of."""
    folder = Path(ops.__file__).parent
    files = sorted((*folder.rglob("*.py"), *(folder.parent / "models").glob("rwkv*.py")))
    total = hashlib.sha256()
    for file in (*files, folder.parent / "graphs.py"):
        total.update(file.name.encode() + b"\0" + file.read_bytes())
    return total.hexdigest()
