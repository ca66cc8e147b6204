"""The shelf's values as rows of the table of models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.explain import size
from rwkv_chat.texts import say
from rwkv_chat.tui.widgets.model_table import ModelRow, Section

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.weights.fit import Fit
    from rwkv_chat.session.shelf_types import Offer, ShelfEntry
    from rwkv_chat.tui.pulls import PullState
    from rwkv_chat.tui.widgets.model_table import Tone

HERE, THERE = "here:", "offer:"
USUAL = "bf16"


def key_of(model: ShelfEntry | Offer) -> str:
    """What the table knows it by."""
    path = getattr(model, "path", None)
    return f"{THERE}{model.name}" if path is None else f"{HERE}{path}"


def best_fit(fits: Sequence[Fit]) -> Fit | None:
    """The usual tier if it fits, else the one that needs least; None while unknown."""
    usual = next((each for each in fits if each.tier == USUAL and each.fits), None)
    return usual or min(fits, key=lambda each: each.needed, default=None)


def memory(fit: Fit | None) -> str:
    """Needed, and free on that device: "3.4 of 12.1 GB"."""
    if fit is None:
        return ""
    if fit.free is None:
        return size(fit.needed)
    needed, free = size(fit.needed), size(fit.free)
    same_unit = needed.rpartition(" ")[2] == free.rpartition(" ")[2]
    return say("app.models.memory", needed=needed.rpartition(" ")[0] if same_unit else needed, free=free)


def matches(model: ShelfEntry | Offer, typed: str) -> bool:
    """Whether every typed word stands in the model's name, family or format."""
    kind = getattr(model, "format", "") or getattr(getattr(model, "entry", None), "family", "")
    text = f"{model.name} {kind} {_arch(model)}".lower()
    return all(word in text for word in typed.lower().split())


def _arch(model: ShelfEntry | Offer) -> str:
    spec = getattr(model, "spec", None)
    return spec.arch if spec is not None else getattr(getattr(model, "entry", None), "arch", "")


def sections(
    entries: Iterable[ShelfEntry],
    offers: Iterable[Offer],
    pulls: dict[str, PullState],
    *,
    in_use: str,
    loading: str,
    typed: str = "",
) -> tuple[Section, Section]:
    """What is here, and what can be downloaded; `in_use` is the key of the model in use, `loading` what is to
    be said of it ("" once it is ready).
    """
    here = tuple(
        entry_row(each, in_use=key_of(each) == in_use, loading=loading)
        for each in entries
        if matches(each, typed)
    )
    there = tuple(offer_row(each, pulls.get(each.name)) for each in offers if matches(each, typed))
    nothing = say("app.models.no_match") if typed else say("app.models.none")
    return (
        Section(say("app.models.here"), here, nothing),
        Section(say("app.models.there"), there, nothing),
    )


def entry_row(entry: ShelfEntry, *, in_use: bool, loading: str) -> ModelRow:
    state, tone = _entry_state(entry, in_use=in_use, loading=loading)
    return ModelRow(
        key_of(entry),
        entry.name,
        _arch(entry),
        size(entry.nbytes) if entry.nbytes else "",
        memory(best_fit(entry.fits)),
        state,
        tone,
        quiet=entry.error is not None,
    )


def _entry_state(entry: ShelfEntry, *, in_use: bool, loading: str) -> tuple[str, Tone]:
    if in_use and loading:
        return loading, "busy"
    if entry.missing:
        return say("app.models.state.missing"), "bad"
    if entry.error is not None:
        return say("app.models.state.unusable"), "bad"
    if in_use:
        return say("app.models.state.in_use"), "good"
    fit = best_fit(entry.fits)
    if fit is not None and not fit.fits:
        return say("app.models.state.too_big"), "bad"
    return say("app.models.state.here"), "plain"


def offer_row(offer: Offer, pull: PullState | None) -> ModelRow:
    state, tone = _offer_state(offer, pull)
    fit = best_fit(offer.fits)
    return ModelRow(
        key_of(offer),
        offer.name,
        offer.entry.arch,
        size(offer.entry.size) if offer.entry.size else "",
        memory(fit),
        state,
        tone,
        quiet=fit is not None and not fit.fits,
    )


def _offer_state(offer: Offer, pull: PullState | None) -> tuple[str, Tone]:
    if pull is not None and pull.phase != "done":
        return pull_state(pull)
    if offer.here is not None:
        return say("app.models.state.here"), "quiet"
    if offer.partial:
        return say("app.models.state.paused"), "busy"
    if not offer.entry.loadable:
        return say("app.models.state.unusable"), "quiet"
    if offer.advice:
        return say("app.models.state.advised"), "good"
    fit = best_fit(offer.fits)
    if fit is None:
        return "", "plain"
    return (say("app.models.state.fits"), "plain") if fit.fits else (say("app.models.state.too_big"), "bad")


def pull_state(pull: PullState) -> tuple[str, Tone]:
    """A download in two words."""
    if pull.phase == "running" and pull.share is not None:
        return say("app.models.state.running", share=f"{pull.share:.0%}"), "busy"
    if pull.phase == "failed":
        return say("app.models.state.failed"), "bad"
    if pull.phase == "paused":
        return say("app.models.state.paused"), "busy"
    if pull.phase == "pausing":
        return say("app.models.state.pausing"), "busy"
    return say("app.models.state.queued"), "busy"
