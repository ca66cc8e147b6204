"""The fast path of a model that was just loaded: set up, checked, or refused with a reason."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from engine import nvidia, triton_setup
from engine.graph_pool import GraphPool
from engine.graphs import exempt_ids
from engine.ops import kernels
from engine.ops.sample import Rows, sample_rows
from engine.steppers import stepper_of
from engine.trust import combination, trusted
from engine.types import NotFast
from engine.verdicts import Verdicts

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from torch import Tensor

    from engine.graphs import Stepper
    from engine.tokenizer import Tokenizer

PREFILLS = (8, 64, 1024)  # tokens: a few, a chat's turn, a long text's chunk

OLDEST_CARD = (7, 5)  # compute capability; kernels are compiled and tested from here on


def unused_card(asked: str, device: torch.device) -> NotFast | None:
    """Why the processor computes although an NVIDIA card is here; None where that was asked for."""
    if asked != "auto" or device.type != "cpu":
        return None
    here, cuda = nvidia.machine(), nvidia.torch_cuda()
    if not here.cards or here.driver is None:
        return None
    reason = nvidia.unusable(here, cuda) or ("old_card" if torch.cuda.is_available() else "not_seen")
    return NotFast(reason, here.cards[0], nvidia.versions(here, cuda))


def graphs_of(
    model: Any, tokenizer: Tokenizer, cache: Path | None
) -> Generator[NotFast, None, GraphPool | None]:
    """Decode graphs for a model; None where the plain loop has to do, for which a reason may be told."""
    if model.device.type != "cuda":
        return None
    if torch.cuda.get_device_capability(model.device) < OLDEST_CARD:
        kernels.allow(False)
        yield NotFast("slow_card", torch.cuda.get_device_name(model.device))
        return None
    if reason := _set_up(cache):
        kernels.allow(False)
        yield NotFast(reason, torch.cuda.get_device_name(model.device))
        return None
    exempt = exempt_ids(tokenizer, model.spec.vocab_size).to(model.device)
    stepper, of = partial(stepper_of, model), combination(model)
    try:
        triton_setup.compile_ahead(lambda: _launches(model, stepper(1), exempt), cache, of.key)
        outcome = trusted(model, stepper, exempt, Verdicts(cache), of)
    except torch.OutOfMemoryError:
        return None
    if outcome.told:
        yield outcome.told
    return GraphPool(stepper, exempt) if outcome.fast else None


def pool_of(model: Any, tokenizer: Tokenizer) -> GraphPool:
    """The same for a model of the same kind, whose fast path is known to be right."""
    exempt = exempt_ids(tokenizer, model.spec.vocab_size).to(model.device)
    return GraphPool(partial(stepper_of, model), exempt)


def _set_up(cache: Path | None) -> str:
    """Triton as it has to be; why that cannot be had."""
    try:
        triton_setup.settle(cache)
    except ImportError:
        return "no_triton"
    return ""


def _launches(model: Any, stepper: Stepper, exempt: Tensor) -> None:
    """Everything that a chat launches."""
    stepper.step()
    rows = Rows.empty(len(stepper.tokens), exempt)
    sample_rows(stepper.logits, rows, torch.zeros_like(stepper.tokens))
    for count in (1, *PREFILLS):
        model.forward(torch.zeros(1, count, dtype=torch.int64, device=model.device), model.zero_state(1))
