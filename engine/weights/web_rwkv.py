"""web-rwkv's and Ai00's `.st` files: safetensors in fp16 with some names and orientations of their own.

Read from cryscan/web-rwkv `assets/scripts/convert_safetensors.py` and `src/runtime/loader.rs`. The script
matches by substring: it renames, lower-cases, turns the last two axes of every name that contains one of
`TURNED`, and spreads RWKV-5.1's numbers per head over the head's channels (so it reads again as 5.2, which
computes the same). Older copies of the script turn fewer, or some of them twice: what is turned is told from
the shape.

RWKV-4's files are official in all but the dtype. RWKV-5.0 has no gate and web-rwkv no place for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.weights.renaming import Source, renamed

if TYPE_CHECKING:
    from engine.weights.archive import Archive

    Shape = tuple[int, ...]
    Shapes = dict[str, Shape]

RENAMED = {"time_faaaa": "time_first", "time_maa": "time_mix"}
TURNED = ("time_mix_w1", "time_mix_w2", "time_decay_w1", "time_decay_w2")
TURNED += ("w1", "w2", "a1", "a2", "g1", "g2", "v1", "v2", "time_state")
# the first of two low-rank matrices, officially [C,…], the second […,C]
_FIRST, _SECOND = ("w1", "a1", "g1", "v1"), ("w2", "a2", "g2", "v2")


def name_for(name: str) -> str:
    """The name in a `.st` file of an official tensor."""
    for ours, theirs in RENAMED.items():
        name = name.replace(ours, theirs)
    return name.lower()


def is_turned_for(name: str) -> bool:
    """Whether the tensor of this (web-rwkv) name is kept with its last two axes swapped."""
    return any(part in name for part in TURNED)


def _is_stored_turned(name: str, shape: Shape, width: int) -> bool:
    """By the axis that is as long as the model is wide; a square one is taken as turned."""
    if len(shape) < 2 or not is_turned_for(name):
        return False
    if name.endswith(_FIRST):
        return shape[-1] == width
    return name.endswith(_SECOND) and shape[-2] == width


def _width(shapes: Shapes) -> int:
    """C, told from the embedding; 0 without one."""
    return (shapes.get("emb.weight") or (0,))[-1]


def _is_rwkv6(shapes: Shapes) -> bool:
    return "blocks.0.att.time_mix_w1" in shapes


def _is_rwkv5(shapes: Shapes) -> bool:
    bonus = shapes.get("blocks.0.att.time_first", ())
    return "blocks.0.att.gate.weight" in shapes and len(bonus) == 2 and bonus[1] > 1


def _is_rwkv7(shapes: Shapes) -> bool:
    width = _width(shapes)
    stored, official = shapes.get("blocks.0.att.w1", ()), "blocks.0.att.r_k" in shapes
    return official and len(stored) == 2 and stored[0] != width == stored[1]


def fits(shapes: Shapes) -> bool:
    """Whether these are the tensors of a `.st` file; one that is official in all but the dtype is not."""
    return _is_rwkv7(shapes) or _is_rwkv6(shapes) or _is_rwkv5(shapes)


def _official_name(name: str, *, maa: bool) -> str:
    if maa:
        name = name.replace("time_mix", "time_maa")
    return name.replace("time_first", "time_faaaa")


def translate(archive: Archive) -> Archive:
    """The archive under official names and orientations."""
    shapes, maa = archive.shapes, _is_rwkv6(archive.shapes)
    width = _width(shapes)
    sources = {
        _official_name(name, maa=maa): Source(name, turned=_is_stored_turned(name, shape, width))
        for name, shape in shapes.items()
    }
    return renamed(archive, sources, "web-rwkv")
