"""Measures the built-in model on held-out cases: `python -m rwkv_chat.demo.evaluate`.

--model FOLDER    demo.safetensors and tokenizer.json (default: the built-in ones)
--sample N        at most N cases of each group
--dtype TIER      fp32 (default), bf16, fp16, int8
--failures        print every case that failed
--json            print the figures as JSON
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.tokenizer import load_tokenizer
from engine.types import TokenizerRef
from rwkv_chat.demo.cases import cases, sample
from rwkv_chat.demo.converse import converse
from rwkv_chat.paths import resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.models.rwkv7 import Rwkv7
    from engine.tokenizer import Tokenizer
    from rwkv_chat.demo.cases import Case

SEED = 2026


@dataclass(frozen=True, slots=True)
class Outcome:
    """A case and what the model said last."""

    case: Case
    replies: list[str]

    @property
    def right(self) -> bool:
        return self.case.accepts(self.replies[-1])


@dataclass(frozen=True, slots=True)
class Score:
    """Right ones of how many."""

    right: int
    total: int

    @property
    def share(self) -> float:
        return self.right / self.total if self.total else 0.0


def open_model(folder: Path, dtype: str = "fp32") -> tuple[Rwkv7, Tokenizer]:
    """The model (on the CPU) and tokenizer of a folder."""
    from engine.weights.load import load

    loading = load(folder / "demo.safetensors", device="cpu", dtype=dtype)
    try:
        while True:
            next(loading)
    except StopIteration as loaded:
        model = loaded.value
    return model, load_tokenizer(TokenizerRef("json", str(folder / "tokenizer.json")))


def outcomes(chosen: list[Case], model: Rwkv7, tokenizer: Tokenizer) -> list[Outcome]:
    """The model's replies to every case. Cases of like length run together."""
    order = sorted(range(len(chosen)), key=lambda i: sum(map(len, chosen[i].messages)))
    replies = converse([chosen[i].messages for i in order], model, tokenizer)
    by_index = dict(zip(order, replies, strict=True))
    return [Outcome(case, by_index[i]) for i, case in enumerate(chosen)]


def _score(found: Iterable[Outcome]) -> Score:
    flags = [each.right for each in found]
    return Score(sum(flags), len(flags))


def _grouped(found: list[Outcome], name: Callable[[Case], str]) -> dict[str, Score]:
    """Scores by a case's name, in the order of its first case."""
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for each in found:
        groups[name(each.case)].append(each)
    return {key: _score(members) for key, members in groups.items()}


def _distance(case: Case) -> str:
    return str(case.distance)


def _label(case: Case) -> str:
    """A kind of fact told, or a kind of topic."""
    return case.label.partition(".")[0]


# the groups that are shown in parts, and how
PARTS: dict[str, tuple[tuple[str, Callable[[Case], str]], ...]] = {
    "how-to: unseen sentences": (("kind", _label),),
    "memory: unseen values": (("distance", _distance), ("kind", _label)),
    "memory: unseen telling": (("distance", _distance), ("kind", _label)),
    "memory: unseen asking": (("distance", _distance), ("kind", _label)),
}


def scores(found: list[Outcome]) -> dict[str, Score]:
    """By group, in order; "how-to: unseen combinations and frames" is the two together."""
    groups = _grouped(found, lambda case: case.group)
    together = ("how-to: unseen combinations", "how-to: unseen frames")
    seen = [each for each in found if each.case.group in together]
    return {"how-to: unseen combinations and frames": _score(seen), **groups}


def parts(found: list[Outcome], group: str) -> dict[str, dict[str, Score]]:
    """A group's scores by distance and by kind, in order."""
    members = [each for each in found if each.case.group == group]
    members.sort(key=lambda each: each.case.distance)
    return {f"by {by}": _grouped(members, name) for by, name in PARTS.get(group, ())}


def report(found: list[Outcome]) -> dict[str, object]:
    """All figures, as plain values for JSON."""
    out: dict[str, object] = {}
    for group, score in scores(found).items():
        entry: dict[str, object] = {
            "right": score.right,
            "total": score.total,
            "share": round(score.share, 4),
        }
        for by, members in parts(found, group).items():
            entry[by] = {name: round(each.share, 3) for name, each in members.items()}
        out[group] = entry
    return out


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the built-in model on held-out cases.")
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--dtype", choices=("fp32", "bf16", "fp16", "int8"), default="fp32")
    parser.add_argument("--failures", action="store_true")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    model, tokenizer = open_model(arguments.model or resource("assets/demo"), arguments.dtype)
    chosen = cases(arguments.seed)
    if arguments.sample:
        chosen = sample(chosen, arguments.sample, arguments.seed)
    found = outcomes(chosen, model, tokenizer)
    if arguments.failures:
        _print_failures(found)
    if arguments.json:
        sys.stdout.write(json.dumps(report(found), indent=2) + "\n")
    else:
        sys.stdout.write(table(found) + "\n")


def _print_failures(found: list[Outcome]) -> None:
    for each in found:
        if not each.right:
            said = " / ".join(each.case.messages)
            sys.stderr.write(f"[{each.case.group}] {each.case.label}: {said}\n    → {each.replies[-1]}\n")


def table(found: list[Outcome]) -> str:
    """The figures as aligned text."""
    lines = []
    for group, score in scores(found).items():
        lines.append(f"{group:42} {score.share:6.1%}   {score.right}/{score.total}")
        for by, members in parts(found, group).items():
            shares = ", ".join(f"{name} {each.share:.0%}" for name, each in members.items())
            lines.append(f"    {by}: {shares}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
