"""Settings: declared once. The file, the options of the command line and the Settings screen are made from
it.

Each field carries its group and what it may be; its label and help stand in the text catalogue under
`settings.<name>`. Fields without a group have a place of their own (the sampling panel, the list of keys).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from rwkv_chat.texts import languages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.types import SamplingParams


DTYPES = ("auto", "fp32", "bf16", "fp16", "int8", "int4")
THINK_MODES = ("none", "fast", "free", "bit", "lot")
# Ours, then Textual's; "" is the first. A test compares them with what the interface has.
THEMES = (
    "",
    *("rwkv-dark", "rwkv-light", "contrast-dark", "contrast-light"),
    *("ansi-dark", "ansi-light", "atom-one-dark", "atom-one-light", "catppuccin-frappe"),
    *("catppuccin-latte", "catppuccin-macchiato", "catppuccin-mocha", "dracula", "flexoki", "gruvbox"),
    *("monokai", "nord", "rose-pine", "rose-pine-dawn", "rose-pine-moon", "solarized-dark"),
    *("solarized-light", "textual-dark", "textual-light", "tokyo-night"),
)
DEVICES = r"auto|cpu|cuda(:[0-9]{1,2})?"


def _setting(default: Any, group: str = "", **limits: Any) -> Any:
    """A field; `choices` (or a function that gives them), `min`, `max` and `step`, or `pattern` with `forms`
    that show it, say what it may be. `start`: it holds from the next start of the program on; `loads`: the
    model is loaded again.
    """
    return field(default=default, metadata={"group": group, **limits})


@dataclass(frozen=True, slots=True)
class Settings:
    """What a person may choose. Values are checked on reading; a wrong one falls back to its default.

    Attributes:
        theme: a theme's name ("" for the app's own).
        language: of the interface; a folder of `rwkv_chat/texts`.
        reduced_motion: nothing blinks or slides.
        mouse: whether the program takes the mouse; without it, the terminal selects text by itself.
        threads: CPU threads of the engine (0 lets it choose).
        model: a weights file ("" for the built-in guide).
        snapshot_budget_gb: most GB of saved states (0 for the engine's default).
        snapshot_ram_gb: most GB of states kept in memory beside the disk (0 for the engine's default).
        pause_repeats: a reply that says the same again and again pauses, and asks what now.
        think: the usual think mode ("" leaves it to the model's family).
        sampling: what differs from the model's own sampling, by field of `SamplingParams`.
        keymap: key names by binding id, e.g. {"chat.stop": "ctrl+x"}.
    """

    theme: str = _setting("", "look", choices=THEMES)
    language: str = _setting("en", "look", choices=languages)
    reduced_motion: bool = _setting(False, "look")
    mouse: bool = _setting(True, "look")
    model: str = _setting("", "model")
    device: str = _setting("auto", "model", pattern=DEVICES, forms="auto | cpu | cuda | cuda:0", loads=True)
    dtype: str = _setting("auto", "model", choices=DTYPES, loads=True)
    threads: int = _setting(0, "model", min=0, max=1024, step=1, start=True)
    snapshot_budget_gb: float = _setting(0.0, "room", min=0.0, max=1_000_000.0, step=1.0)
    snapshot_ram_gb: float = _setting(0.0, "room", min=0.0, max=100_000.0, step=0.5)
    show_list: bool = _setting(True, "chat")
    show_sampling: bool = _setting(False, "chat")
    enter_sends: bool = _setting(True, "chat")
    pause_repeats: bool = _setting(True, "chat")
    first_run_done: bool = False
    think: str = _setting("", "chat", choices=("", *THINK_MODES))
    sampling: Mapping[str, Any] = field(default_factory=dict)
    keymap: Mapping[str, str] = field(default_factory=dict)

    def sampling_over(self, base: SamplingParams) -> SamplingParams:
        """The model's own sampling with the person's differences; what does not fit is left out."""
        return sampling_with(base, self.sampling)


def sampling_with(base: SamplingParams, differences: Mapping[str, Any]) -> SamplingParams:
    """`base` with what differs from it; what does not fit is left out."""
    for name, value in differences.items():
        base = _fitted(base, name, value) or base
    return base


def _fitted(base: SamplingParams, name: str, value: object) -> SamplingParams | None:
    """`base` with one value changed, None if there is no such parameter or it cannot be that."""
    from engine.errors import InvalidParameter

    known = {each.name for each in fields(base) if each.metadata}
    try:
        return replace(base, **{name: value}) if name in known else None
    except (TypeError, InvalidParameter):
        return None


def fitting_sampling(values: object) -> dict[str, Any]:
    """Of a file's differences to a model's sampling those that are allowed. Raises: ValueError."""
    from engine.types import SamplingParams
    from rwkv_chat.own_words import LISTS, texts_of  # help knows the settings, and has no time

    if not isinstance(values, dict):
        raise ValueError("sampling")
    known = {each.name for each in fields(SamplingParams) if each.metadata}
    numbers = {name: each for name, each in values.items() if name in known and not unfit({name: each})}
    return numbers | {name: list(texts) for name in LISTS if (texts := texts_of(values, name))}


def unfit(sampling: Mapping[str, Any]) -> list[str]:
    """Sampling values that `sampling_over` leaves out, whatever the model."""
    if not sampling:  # as for most people: the first frame needs no parameters
        return []
    from engine.types import SamplingParams

    base = SamplingParams()
    known = {each.name for each in fields(base)}
    return [name for name, value in sampling.items() if name in known and _fitted(base, name, value) is None]
