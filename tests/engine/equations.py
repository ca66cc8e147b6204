"""The published equations in NumPy float64, one token at a time, one head at a time where heads are: the
reference of what the official package cannot do, or does only in fp32.

Written from the equations and from nothing of the engine: other names, other axes (the state of a head is
[K,V] before version 7), no stacked mixtures, no batch. Only `states` at the end knows the engine's layout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    from engine.types import ModelSpec

Array = np.ndarray[Any, np.dtype[np.float64]]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def norm(x: Array, weight: Array, bias: Array, eps: float) -> Array:
    return (x - x.mean()) / np.sqrt(x.var() + eps) * weight + bias


def norm_heads(x: Array, n_head: int, weight: Array, bias: Array) -> Array:
    heads = x.reshape(n_head, -1)
    mean, var = heads.mean(1, keepdims=True), heads.var(1, keepdims=True)
    return ((heads - mean) / np.sqrt(var + 64e-5)).reshape(-1) * weight + bias


class Equations:
    """One sequence from the zero state on."""

    def __init__(self, spec: ModelSpec, tensors: dict[str, torch.Tensor]) -> None:
        """`tensors` by official name, vectors as [C], ln0 not folded."""
        self.spec = spec
        self.w = {name: x.double().numpy() for name, x in tensors.items()}
        C, H, N = spec.n_embd, spec.n_head, spec.head_size
        self.att = [np.zeros(C) for _ in range(spec.n_layer)]
        self.ffn = [np.zeros(C) for _ in range(spec.n_layer)]
        self.sums = [(np.zeros(C), np.zeros(C), np.full(C, -1e30)) for _ in range(spec.n_layer)]
        self.heads = [np.zeros((H, N, N)) for _ in range(spec.n_layer)]
        self.time_mix = {
            "4": self.time_mix_4,
            "5": self.time_mix_5,
            "6": self.time_mix_6,
            "7": self.time_mix_7,
        }[spec.arch.removeprefix("rwkv")[0]]
        self.first_value = np.zeros(C)

    def feed(self, token: int) -> Array:
        """Logits [O] after this token."""
        w = self.w
        x = norm(w["emb.weight"][token], w["blocks.0.ln0.weight"], w["blocks.0.ln0.bias"], 1e-5)
        for i in range(self.spec.n_layer):
            block = {n.removeprefix(f"blocks.{i}."): t for n, t in w.items() if n.startswith(f"blocks.{i}.")}
            z = norm(x, block["ln1.weight"], block["ln1.bias"], 1e-5)
            x = x + self.time_mix(i, z, block)
            self.att[i] = z
            z = norm(x, block["ln2.weight"], block["ln2.bias"], 1e-5)
            x = x + self.channel_mix(z, self.ffn[i], block)
            self.ffn[i] = z
        return w["head.weight"] @ norm(x, w["ln_out.weight"], w["ln_out.bias"], 1e-5)

    def channel_mix(self, z: Array, q: Array, w: dict[str, Array]) -> Array:
        if self.spec.arch == "rwkv7":
            hidden = np.maximum(w["ffn.key.weight"] @ (z + (q - z) * w["ffn.x_k"]), 0) ** 2
            return w["ffn.value.weight"] @ hidden
        if self.spec.arch == "rwkv6":
            k, r = (z + (q - z) * w[f"ffn.time_maa_{m}"] for m in "kr")
        else:
            k, r = (z * w[f"ffn.time_mix_{m}"] + q * (1 - w[f"ffn.time_mix_{m}"]) for m in "kr")
        hidden = np.maximum(w["ffn.key.weight"] @ k, 0) ** 2
        return sigmoid(w["ffn.receptance.weight"] @ r) * (w["ffn.value.weight"] @ hidden)

    def time_mix_4(self, i: int, x: Array, w: dict[str, Array]) -> Array:
        def projected(letter: str, name: str) -> Array:
            share = w[f"att.time_mix_{letter}"]
            return w[f"att.{name}.weight"] @ (x * share + self.att[i] * (1 - share))

        r, k, v = sigmoid(projected("r", "receptance")), projected("k", "key"), projected("v", "value")
        aa, bb, pp = self.sums[i]
        t = w["att.time_first"] + k
        m = np.maximum(pp, t)
        y = (np.exp(pp - m) * aa + np.exp(t - m) * v) / (np.exp(pp - m) * bb + np.exp(t - m))
        t = pp - np.exp(w["att.time_decay"])
        m = np.maximum(t, k)
        self.sums[i] = np.exp(t - m) * aa + np.exp(k - m) * v, np.exp(t - m) * bb + np.exp(k - m), m
        return w["att.output.weight"] @ (r * y)

    def key_value_heads(self, i: int, r: Array, k: Array, v: Array, decay: Array, u: Array) -> Array:
        """The recurrence of versions 5 and 6, all [C]; the group norm is left to the caller."""
        out = []
        N = self.spec.head_size
        for h in range(self.spec.n_head):
            part = slice(h * N, (h + 1) * N)
            kv = np.outer(k[part], v[part])
            old = self.heads[i][h]
            out.append(r[part] @ (u[part, None] * kv + old))
            self.heads[i][h] = kv + decay[part, None] * old
        return np.concatenate(out)

    def time_mix_5(self, i: int, x: Array, w: dict[str, Array]) -> Array:
        def projected(letter: str, name: str) -> Array:
            share = w[f"att.time_mix_{letter}"]
            return w[f"att.{name}.weight"] @ (x * share + self.att[i] * (1 - share))

        def spread(numbers: Array) -> Array:
            return np.repeat(numbers, self.spec.n_embd // numbers.size)

        r, k, v = projected("r", "receptance"), projected("k", "key"), projected("v", "value")
        decay = spread(np.exp(-np.exp(w["att.time_decay"].reshape(-1))))
        logged = "att.time_first" in w
        u = spread((np.exp(w["att.time_first"]) if logged else w["att.time_faaaa"]).reshape(-1))
        y = self.key_value_heads(i, r, k, v, decay, u)
        y = norm_heads(y, self.spec.n_head, w["att.ln_x.weight"], w["att.ln_x.bias"])
        if "att.gate.weight" in w:
            g = projected("g", "gate")
            y = y * g * sigmoid(g)
        return w["att.output.weight"] @ y

    def time_mix_6(self, i: int, x: Array, w: dict[str, Array]) -> Array:
        delta = self.att[i] - x
        inner = np.tanh((x + delta * w["att.time_maa_x"]) @ w["att.time_maa_w1"]).reshape(5, -1)
        mixed = {
            m: x + delta * (w[f"att.time_maa_{m}"] + inner[j] @ w["att.time_maa_w2"][j])
            for j, m in enumerate("wkvrg")
        }
        names = {"r": "receptance", "k": "key", "v": "value", "g": "gate"}
        r, k, v, g = (w[f"att.{names[m]}.weight"] @ mixed[m] for m in "rkvg")
        added = np.tanh(mixed["w"] @ w["att.time_decay_w1"]) @ w["att.time_decay_w2"]
        decay = np.exp(-np.exp(w["att.time_decay"] + added))
        y = self.key_value_heads(i, r, k, v, decay, w["att.time_faaaa"].reshape(-1))
        y = norm_heads(y, self.spec.n_head, w["att.ln_x.weight"], w["att.ln_x.bias"])
        return w["att.output.weight"] @ (y * g * sigmoid(g))

    def time_mix_7(self, i: int, x: Array, w: dict[str, Array]) -> Array:
        mixed = {m: x + (self.att[i] - x) * w[f"att.x_{m}"] for m in "rwkvag"}
        r, k, v = (
            w[f"att.{name}.weight"] @ mixed[m]
            for m, name in zip("rkv", ("receptance", "key", "value"), strict=True)
        )
        logit = w["att.w0"] + np.tanh(mixed["w"] @ w["att.w1"]) @ w["att.w2"]
        a = sigmoid(w["att.a0"] + mixed["a"] @ w["att.a1"] @ w["att.a2"])
        g = sigmoid(mixed["g"] @ w["att.g1"]) @ w["att.g2"]
        kappa = k * w["att.k_k"]
        k = k * (1 + (a - 1) * w["att.k_a"])
        if i == 0:
            self.first_value = v
        else:
            gate = sigmoid(w["att.v0"] + mixed["v"] @ w["att.v1"] @ w["att.v2"])
            v = v + (self.first_value - v) * gate
        decay = np.exp(-0.606531 * sigmoid(logit))
        N, out, bonus = self.spec.head_size, [], []
        for h in range(self.spec.n_head):
            part = slice(h * N, (h + 1) * N)
            unit = kappa[part] / max(np.linalg.norm(kappa[part]), 1e-12)
            old = self.heads[i][h]  # [V,K] here
            new = old * decay[part] - np.outer(old @ unit, unit * a[part]) + np.outer(v[part], k[part])
            self.heads[i][h] = new
            out.append(new @ r[part])
            bonus.append((r[part] * k[part] * w["att.r_k"][h]).sum() * v[part])
        y = norm_heads(np.concatenate(out), self.spec.n_head, w["att.ln_x.weight"], w["att.ln_x.bias"])
        return w["att.output.weight"] @ ((y + np.concatenate(bonus)) * g)

    def states(self) -> dict[str, Array]:
        """In the engine's layout, batch 1."""
        shifts = {"att_shift_BLC": np.stack(self.att)[None], "ffn_shift_BLC": np.stack(self.ffn)[None]}
        if self.spec.arch == "rwkv4":
            names = ("numerator_BLC", "denominator_BLC", "exponent_BLC")
            return {
                name: np.stack(xs)[None] for name, xs in zip(names, zip(*self.sums, strict=True), strict=True)
            } | shifts
        wkv = np.stack(self.heads)[None]
        return {"wkv_BLHVK": wkv if self.spec.arch == "rwkv7" else wkv.swapaxes(-1, -2)} | shifts
