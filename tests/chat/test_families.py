"""Every family of the catalogue gets its template, think modes, sampling and tokenizer; a wrong name does not
win over the weights."""

from __future__ import annotations

import pytest

from engine.types import ModelSpec, SamplingParams
from engine.weights.catalog import read_catalog
from rwkv_chat import templates
from rwkv_chat.families import families, family_for
from rwkv_chat.paths import resource
from rwkv_chat.presets import KNOWN, PresetInvalid, preset, presets, read

THINK = ("none", "fast", "free")
HINTS = (*THINK, "bit", "lot")


def spec(arch: str, vocab: int = 65536) -> ModelSpec:
    return ModelSpec(arch, 12, 768, 64, 3072, vocab)


NAMES = [
    ("rwkv7-g1k-2.9b-20260930-ctx25600.pth", "g1-bot", "bot", THINK),
    ("rwkv7-g1h-2.9b-20260701-ctx8192.pth", "g1-bot", "bot", THINK),
    ("RWKV7-G1j-1.5B-20260831", "g1-bot", "bot", THINK),
    ("rwkv7-g1h-1.5b-Q8_0.gguf", "g1-bot", "bot", THINK),
    ("rwkv7-g1l-1.5b-20270101-ctx8192.pth", "g1-bot", "bot", THINK),
    ("rwkv7-g1g-1.5b-20260526-ctx8192.pth", "g1-hints", "classic", HINTS),
    ("rwkv7-g1d-0.1b-20260129-ctx8192.pth", "g1-hints", "classic", HINTS),
    ("rwkv7-g1c-7.2b-20251231-ctx8192.pth", "g1-hints", "classic", HINTS),
    ("rwkv7-g1b-1.5b-20251202-ctx8192.pth", "g1-2025", "classic-2025", THINK),
    ("rwkv7-g0b-13.3b-20251130-ctx8192.pth", "g1-2025", "classic-2025", THINK),
    ("rwkv7-g0a2-7.2b-20251005-ctx4096.pth", "g1-2025", "classic-2025", THINK),
    ("rwkv7-g1a4-2.9b-20251118-ctx8192.pth", "g1-2025", "classic-2025", THINK),
    ("rwkv7-g1a-2.9b-20250924-ctx4096.pth", "g1-2025", "classic-2025", THINK),
    ("rwkv7-g1a-0.1b-20250728-ctx4096.pth", "g1-first", "classic", THINK),
    ("rwkv7-g0-7.2b-20250722-ctx4096.pth", "g1-first", "classic", THINK),
    ("rwkv7-g1-2.9b-20250519-ctx4096.pth", "g1-first", "classic", THINK),
    ("rwkv7-2.9B-g1", "g1-first", "classic", THINK),
    ("RWKV-x070-World-1.5B-v3-20250127-ctx4096.pth", "world-v7", "classic", ("none",)),
    ("RWKV7-Goose-World3-2.9B-HF", "world-v7", "classic", ("none",)),
    ("RWKV-x070-Pile-421M-20241127-ctx4096.pth", "pile-v7", "pile", ("none",)),
    ("RWKV-x060-World-7B-v3-20241112-ctx4096.pth", "world-v6", "classic", ("none",)),
    ("v6-Finch-1B6-HF", "world-v6", "classic", ("none",)),
    ("RWKV-6-ChnNovel-3B-20240807-ctx4096.pth", "novel", "completion", ("none",)),
    ("RWKV-5-World-0.1B-v1-20230803-ctx4096.pth", "world-v5", "classic", ("none",)),
    ("v5-Eagle-7B-HF", "world-v5", "classic", ("none",)),
    ("RWKV-4-World-1.5B-v1-fixed-20230612-ctx4096.pth", "world-v4", "world-v4", ("none",)),
    ("RWKV-4-World-CHNtuned-7B-v1-20230709-ctx4096.pth", "world-v4", "world-v4", ("none",)),
    ("RWKV-4-Raven-7B-v12-Eng98%-Other2%-20230521-ctx8192.pth", "raven", "raven", ("none",)),
    ("RWKV-4-Pile-169M-20220807-8023.pth", "pile-v4", "pile", ("none",)),
    ("RWKV-4b-Pile-171M-20230202-7922.pth", "pile-v4", "pile", ("none",)),
    ("RWKV-5-MIDI-120M-v1-20230728.pth", "music", "completion", ("none",)),
    ("demo.safetensors", "guide", "classic", ("none",)),
    ("my-finetune.pth", "custom", "classic", THINK),
]


@pytest.mark.parametrize(("name", "family", "template", "modes"), NAMES, ids=[each[0] for each in NAMES])
def test_a_name_and_its_date_tell_the_family(
    name: str, family: str, template: str, modes: tuple[str, ...]
) -> None:
    found = family_for(name)
    assert (found.name, found.template, found.modes) == (family, template, modes)


@pytest.mark.parametrize(
    ("arch", "vocab", "family", "tokenizer"),
    [
        ("rwkv7", 65536, "custom", "world"),
        ("rwkv6", 65536, "custom", "world"),
        ("rwkv5.2", 65536, "custom", "world"),
        ("rwkv4", 65536, "rwkv4", "world"),
        ("rwkv4", 50277, "custom-20b", "20b"),
        ("rwkv7", 50304, "custom-20b", "20b"),
        ("rwkv5.1", 20096, "other", "file"),
        ("rwkv7", 264, "other", "file"),
    ],
)
def test_weights_tell_the_family_of_a_file_of_any_name(
    arch: str, vocab: int, family: str, tokenizer: str
) -> None:
    found = family_for("weights.bin", spec(arch, vocab))
    assert (found.name, found.tokenizer) == (family, tokenizer)


def test_a_wrong_name_does_not_win_over_the_weights() -> None:
    assert family_for("rwkv7-g1k-1.5b-20260930.pth", spec("rwkv4", 50277)).tokenizer == "20b"
    assert family_for("RWKV-4-Raven-7B.pth", spec("rwkv7")).name == "custom"
    assert family_for("RWKV-4-Pile-169M.pth", spec("rwkv7", 50304)).name == "custom-20b"


def test_a_family_that_is_named_decides_and_the_catalogue_s_word_helps() -> None:
    assert family_for("rwkv7-g1g-1.5b.pth", spec("rwkv7"), "g1-bot").name == "g1-bot"
    assert family_for("weights.pth", spec("rwkv7"), "g1h").name == "g1-bot"
    assert family_for("rwkv7-g1a-2.9b-20250924.pth", spec("rwkv7"), "g1").name == "g1-2025"
    assert family_for("weights.pth", spec("rwkv4", 50277), "g1h").name == "custom-20b"
    assert family_for("weights.pth", spec("rwkv7"), "nobody").name == "custom"


def test_every_rule_names_what_there_is() -> None:
    for each in families():
        template = templates.template(each.template)
        known = {mode.name for mode in template.modes}
        assert set(each.modes) <= known, each.name
        assert each.mode in each.modes
        assert set(each.sampling) <= {"", *each.modes}
        assert all(preset(name) for name in each.presets)
    assert [each.name for each in families() if each.tried] == ["guide"]


def test_thinking_and_fast_replies_are_sampled_their_own_way() -> None:
    family = family_for("rwkv7-g1k-2.9b-20260930-ctx25600.pth")
    fast, free = family.sampling_for(), family.sampling_for("free")
    assert fast is not None
    assert free is not None
    assert (fast.temperature, fast.top_p, fast.top_k, fast.presence_penalty) == (1.0, 0.28, 32, 0.0)
    assert (free.temperature, free.top_p, free.top_k) == (0.96, 0.76, 32)
    assert (free.presence_penalty, free.frequency_penalty, free.penalty_decay) == (1.0, 0.1, 0.988)
    assert family_for("demo.safetensors").sampling_for() is None


def test_presets_are_named_after_their_files_and_hold_known_values() -> None:
    assert len({each.title for each in presets()}) == len(presets()) > 10
    assert all(preset(each.name) is each for each in presets())
    assert preset("mechanical").params.temperature == 0
    assert {"temperature", "top_p", "max_tokens"} <= KNOWN
    assert preset("tools").params == SamplingParams()


@pytest.mark.parametrize(
    "content",
    [
        "name = 'x'",
        "no toml",
        "name = 'x'\ntitle = 'x'\nsampling = 3",
        "name = 'x'\ntitle = 'x'\n[sampling]\ntemperatur = 1",
        "name = 'x'\ntitle = 'x'\n[sampling]\ntemperature = 99",
        "name = 'x'\ntitle = 'x'\n[sampling]\ntemperature = 'hot'",
    ],
)
def test_a_preset_that_cannot_be_used_is_a_typed_error(tmp_path, content: str) -> None:
    file = tmp_path / "x.toml"
    file.write_text(content)
    with pytest.raises(PresetInvalid):
        read(file)
    with pytest.raises(PresetInvalid):
        preset("../classic")


OF_CATALOGUE = {
    "g1h": {"g1-bot"},
    "g1c": {"g1-hints"},
    "g1": {"g1-first", "g1-2025"},
    "world7": {"world-v7"},
    "pile7": {"pile-v7"},
    "world6": {"world-v6"},
    "misc6": {"world-v6", "novel"},
    "world5": {"world-v5"},
    "world4": {"world-v4"},
    "raven4": {"raven"},
    "pile4": {"pile-v4"},
}


def test_every_file_of_the_catalogue_is_of_its_family_by_name_alone() -> None:
    found: dict[str, set[str]] = {}
    for entry in read_catalog(resource("assets/models.toml")).entries:
        family = family_for(entry.file, spec(entry.arch, entry.vocab_size))
        assert family == family_for(entry.file) == family_for(entry.file, None, entry.family)
        assert (family.tokenizer, family.licence) == (entry.tokenizer, entry.licence)
        found.setdefault(entry.family, set()).add(family.name)
    assert found == OF_CATALOGUE


def test_families_and_templates_are_values() -> None:
    assert len({family_for(name) for name, *_ in NAMES}) == len({family for _, family, *_ in NAMES}) + 1
    assert len({templates.template(name) for name in templates.names()}) == len(templates.names())
