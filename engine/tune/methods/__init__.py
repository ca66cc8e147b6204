"""What is trained, by method: one row each.

A method takes a model whose weights are frozen, says which fp32 tensors are trained, puts them into the model
before every forward, and writes them as the engine (and other programs) load them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.tune.methods import full, lora, miss, pissa, state

if TYPE_CHECKING:
    from engine.tune.methods.method import Method

METHODS: dict[str, Method] = {
    "state": state.METHOD,
    "lora": lora.METHOD,
    "pissa": pissa.METHOD,
    "miss": miss.METHOD,
    "full": full.METHOD,
}
