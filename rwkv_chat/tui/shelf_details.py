"""One model of the shelf in full: facts, the state of its download, and what can be done with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import TokenizerMissing
from rwkv_chat.amounts import duration, speed
from rwkv_chat.explain import sentence, size
from rwkv_chat.phrases import listed
from rwkv_chat.session.cards import TOKENIZER_20B
from rwkv_chat.texts import say
from rwkv_chat.tui.widgets.model_details import Details

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.errors import EngineError
    from engine.types import ModelSpec
    from engine.weights.catalog import Entry
    from engine.weights.fit import Fit
    from rwkv_chat.session.shelf_types import Info, Offer, ShelfEntry
    from rwkv_chat.tui.pulls import PullState

Actions = tuple[tuple[str, str], ...]


BY_ENTER = ("use", "use_here", "companion", "get", "resume", "retry", "replace", "pause")


def _actions(*names: str, file: str = "") -> Actions:
    """With their labels; the first one's tells that Enter does it. `file` is what a label may speak of."""
    labels = [say(f"app.models.action.{name}", file=file) for name in names]
    if names and names[0] in BY_ENTER:
        labels[0] = say("app.models.action.enter", label=labels[0])
    return tuple(zip(names, labels, strict=True))


# ---------------------------------------------------------------------------------------------- what is here


def entry_details(
    entry: ShelfEntry,
    *,
    in_use: bool,
    info: Info | None = None,
    progress: float | None = None,
    pace: str = "",
    problem: str = "",
) -> Details:
    """A model that is here, with what its header tells (`info`) once it was read; `progress` and `pace` while
    it is verified; `problem`: why it did not load.
    """
    return Details(
        entry.name,
        entry.card.note,
        progress=progress,
        pace=pace,
        problem=sentence(entry.error) if entry.error is not None else problem,
        facts=_entry_facts(entry, info),
        actions=_entry_actions(entry, in_use=in_use),
    )


def _entry_actions(entry: ShelfEntry, *, in_use: bool) -> Actions:
    usable = () if in_use or entry.error is not None else ("use",)
    if entry.source == "built-in":
        return _actions(*usable)
    whole = () if entry.missing else ("verify",)
    readable = ("convert",) if entry.spec is not None and not entry.missing else ()
    wanted = ("companion",) if companion_of(entry) else ()
    return _actions(*usable, *wanted, *whole, *readable, "remove", file=companion_of(entry))


def companion_of(entry: ShelfEntry) -> str:
    """The file that a model lacks and the catalogue knows where to get, "" for none."""
    error = entry.error
    return error.file if isinstance(error, TokenizerMissing) and error.file == TOKENIZER_20B else ""


def _entry_facts(entry: ShelfEntry, info: Info | None) -> tuple[tuple[str, str], ...]:
    facts = [
        ("size", size(entry.nbytes) if entry.nbytes else ""),
        *_memory_facts(entry.fits),
        ("format", entry.format),
        ("shape", shape(entry.spec) if entry.spec is not None else ""),
        *(_info_facts(info) if info is not None else ()),
        ("template", entry.card.template),
        ("source", say(f"app.models.source.{entry.source.replace(' ', '_').replace('-', '_')}")),
        ("checksum", _checksum(entry)),
        ("id", entry.id or (info.entry.id if info is not None else "")),
        ("path", str(entry.path)),
    ]
    return _labelled(facts)


def _info_facts(info: Info) -> list[tuple[str, str]]:
    stored = listed(say("app.models.stored", name=name, count=count) for name, count in info.types)
    kept = [
        ("converted", say("app.models.converted", size=size(nbytes), path=path))
        for path, nbytes in info.converted
    ]
    return [("stored", stored), ("state", say("app.models.state_size", size=size(info.state_nbytes))), *kept]


def _checksum(entry: ShelfEntry) -> str:
    if entry.source == "built-in":
        return ""
    if entry.checked == "mirror":
        return say("app.models.checksum.mirror")
    if entry.checked:
        return say("app.models.checksum.known")
    return say("app.models.checksum.read") if entry.verified else say("app.models.checksum.none")


def shape(spec: ModelSpec) -> str:
    return say(
        "app.models.shape",
        arch=spec.arch,
        layers=spec.n_layer,
        width=spec.n_embd,
        vocab=f"{spec.vocab_size:,}",
    )


# ---------------------------------------------------------------------------------------------- what can be h


def offer_details(offer: Offer, pull: PullState | None) -> Details:
    """A model that can be downloaded, or is being downloaded."""
    if pull is not None and pull.phase == "done":
        pull = None
    return Details(
        offer.name,
        say("app.models.advice") if offer.advice else "",
        progress=_share(offer, pull),
        pace=_pace(offer, pull),
        problem=sentence(pull.error) if pull is not None and pull.error is not None else "",
        facts=_offer_facts(offer),
        actions=_offer_actions(offer, pull),
    )


def _share(offer: Offer, pull: PullState | None) -> float | None:
    if pull is not None:
        return pull.share if pull.done or pull.active else None
    return min(1.0, offer.partial / offer.entry.size) if offer.partial and offer.entry.size else None


def _pace(offer: Offer, pull: PullState | None) -> str:
    """Bytes, speed and time left, or why none of them moves."""
    if pull is None:
        return _amount(offer.partial, offer.entry.size, "paused") if offer.partial else ""
    if pull.phase == "failed" and not pull.done:
        return ""
    if pull.phase != "running":
        return _amount(pull.done, pull.total, pull.phase)
    parts = [say("app.models.amount", done=size(pull.done), total=size(pull.total))]
    if pull.speed:
        parts.append(speed(pull.speed))
    if pull.seconds_left is not None:
        parts.append(say("app.models.left", time=duration(pull.seconds_left)))
    return " · ".join(parts)


def _amount(done: int, total: int, phase: str) -> str:
    amount = say("app.models.amount", done=size(done), total=size(total)) if total else size(done)
    return f"{amount} · {say(f'app.models.pull.{phase}')}"


def _offer_actions(offer: Offer, pull: PullState | None) -> Actions:
    if pull is not None and pull.active:
        return _actions("pause")
    if pull is not None and pull.phase == "failed":
        return _actions("replace", "retry") if replacement(pull.error) else _actions("retry")
    if offer.here is not None:
        return _actions("use_here")
    if pull is not None or offer.partial:
        return _actions("resume")
    return _actions("get") if offer.entry.loadable else ()


def replacement(error: EngineError | None) -> str:
    """Name of the model that is offered instead of one that is gone, "" if there is none."""
    return getattr(error, "replacement", "") or ""


def _offer_facts(offer: Offer) -> tuple[tuple[str, str], ...]:
    entry = offer.entry
    facts = [
        ("size", size(entry.size) if entry.size else ""),
        *_memory_facts(offer.fits),
        ("shape", _entry_shape(entry)),
        ("context", say("app.models.tokens", count=f"{entry.context:,}") if entry.context else ""),
        ("date", f"{entry.date:%Y-%m-%d}"),
        ("kind", "" if entry.chat else say("app.models.base")),
        ("licence", entry.licence),
        ("checksum", say("app.models.checksum.will" if entry.sha256 else "app.models.checksum.will_not")),
        ("file", entry.file),
        ("from", entry.repository),
    ]
    return _labelled(facts)


def _entry_shape(entry: Entry) -> str:
    return say(
        "app.models.shape",
        arch=entry.arch,
        layers=entry.n_layer,
        width=entry.n_embd,
        vocab=f"{entry.vocab_size:,}",
    )


# ---------------------------------------------------------------------------------------------- both


def _memory_facts(fits: Sequence[Fit]) -> list[tuple[str, str]]:
    """One line for each need, with the tiers that share it."""
    tiers: dict[tuple[int, str], list[Fit]] = {}
    for each in fits:
        tiers.setdefault((each.needed, each.device), []).append(each)
    return [("memory", _fit(same[0], listed(each.name for each in same))) for same in tiers.values()]


def _fit(fit: Fit, tiers: str) -> str:
    """The two numbers, and what they mean."""
    known = {"tier": tiers, "device": fit.device, "needed": size(fit.needed)}
    if fit.free is None:
        return say("app.models.fit.unknown", **known)
    if fit.fits:
        return say("app.models.fit.fits", **known, free=size(fit.free))
    return say("app.models.fit.too_big", **known, free=size(fit.free))


def _labelled(facts: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """With labels from the catalogue, a repeated one only once; empty values are left out."""
    found: list[tuple[str, str]] = []
    last = ""
    for name, value in facts:
        if value:
            found.append(("" if name == last else say(f"app.models.fact.{name}"), value))
            last = name
    return tuple(found)
