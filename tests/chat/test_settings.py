"""Settings: defaults, checks, comments kept, damaged files kept aside."""

from __future__ import annotations

import os
import stat
import tomllib
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from engine.types import SamplingParams
from rwkv_chat.explain import sentence
from rwkv_chat.paths import HOME_VARIABLE, FolderUnusable, Paths, resource
from rwkv_chat.setting_specs import GROUPS, SPECS, SettingRefused, SettingUnknown, Spec
from rwkv_chat.settings import Settings
from rwkv_chat.settings_file import SettingsFile, Wrong, check
from rwkv_chat.texts import lookup

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.toml"


def test_without_a_file_the_defaults_hold_and_nothing_is_written(file: Path) -> None:
    settings = SettingsFile(file)
    assert settings.values == Settings()
    assert settings.warning is None
    assert not file.exists()


def test_comments_and_unknown_keys_survive_a_change(file: Path) -> None:
    file.write_text('# mine\ntheme = "nord" # cold\nfuture = [1, 2]\n[plugin]\nx = 1\n')
    SettingsFile(file).change(show_list=False, sampling={"top_p": 0.3})
    text = file.read_text()
    assert "# mine" in text
    assert "# cold" in text
    again = SettingsFile(file)
    assert (again.values.theme, again.values.show_list) == ("nord", False)
    assert again.values.sampling == {"top_p": 0.3}
    assert tomllib.loads(text)["future"] == [1, 2]
    assert tomllib.loads(text)["plugin"] == {"x": 1}
    assert again.warning is not None  # they may have been meant otherwise
    assert [(each.name, each.near) for each in again.warning.wrong] == [("future", ""), ("plugin", "")]


@pytest.mark.parametrize(
    ("line", "name", "near"),
    [
        ("theem = 1", "theem", "theme"),
        ("Language = 'en'", "Language", "language"),
        ("[samplings]\ntop_k = 1", "samplings", "sampling"),
        ("zzz = 1", "zzz", ""),
    ],
)
def test_a_name_that_is_not_known_is_told_with_the_nearest_one(
    file: Path, line: str, name: str, near: str
) -> None:
    file.write_text(line)
    warning = SettingsFile(file).warning
    assert warning is not None
    assert warning.wrong == (Wrong(name, near=near),)


def test_a_default_comes_back_and_comments_stay(file: Path) -> None:
    file.write_text("# mine\nthreads = 3 # three\nshow_list = false\n")
    settings = SettingsFile(file)
    settings.reset("threads")
    assert settings.values == Settings(show_list=False)
    assert file.read_text() == "# mine\nshow_list = false\n"
    with pytest.raises(SettingUnknown):
        settings.reset("nonsense")


def test_a_reset_without_a_file_writes_none(file: Path) -> None:
    SettingsFile(file).reset("threads")
    assert not file.exists()


def test_keys_of_the_key_map_need_no_quotation_marks(file: Path) -> None:
    file.write_text('[keymap]\nchat.stop = "ctrl+x"\n"app.help" = "f11"\n')
    settings = SettingsFile(file)
    assert settings.warning is None
    assert settings.values.keymap == {"chat.stop": "ctrl+x", "app.help": "f11"}


# -------------------------------------------------------------------------------- one declaration


def test_every_setting_with_a_group_has_its_words() -> None:
    shown = [each for each in SPECS.values() if each.group]
    assert [each.name for each in shown if not lookup(f"settings.{each.name}.label")] == []
    assert [each.name for each in shown if not lookup(f"settings.{each.name}.help")] == []
    assert {each.group for each in shown} <= set(GROUPS)


@pytest.mark.parametrize("spec", [each for each in SPECS.values() if each.kind != "table"], ids=str)
def test_what_is_written_is_read_again(spec: Spec) -> None:
    for value in (spec.default, *spec.choices):
        assert spec.read(spec.written(value)) == value


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("threads", " 4 ", 4),
        ("snapshot_budget_gb", "2,5", 2.5),
        ("mouse", "off", False),
        ("mouse", "TRUE", True),
        ("theme", '""', ""),
        ("device", "cuda:1", "cuda:1"),
        ("model", "/a/b c.pth", "/a/b c.pth"),
    ],
)
def test_what_people_type(name: str, text: str, value: object) -> None:
    assert SPECS[name].read(text) == value


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("threads", "2.5", "0 … 1,024"),
        ("threads", "-1", "0 … 1,024"),
        ("snapshot_budget_gb", "nan", "0 … 1,000,000"),
        ("snapshot_ram_gb", "inf", "0 … 100,000"),
        ("mouse", "perhaps", "true | false"),
        ("dtype", "fp7", "auto | fp32 | bf16 | fp16 | int8 | int4"),
        ("device", "tpu", "auto | cpu | cuda | cuda:0"),
        ("keymap", "x", "[…]"),
    ],
)
def test_what_cannot_be_is_told_with_what_can(name: str, text: str, allowed: str) -> None:
    with pytest.raises(SettingRefused) as raised:
        SPECS[name].read(text)
    assert raised.value.allowed == allowed
    assert allowed in sentence(raised.value)


@pytest.mark.parametrize("by", [-1, 1])
def test_steps_stay_in_the_range(by: int) -> None:
    spec = SPECS["threads"]
    assert spec.stepped(spec.high if by > 0 else spec.low, by) == (spec.high if by > 0 else spec.low)
    assert SPECS["snapshot_ram_gb"].stepped(1.0, by) == 1.0 + 0.5 * by


def test_the_file_is_private_and_no_leftover_stays(file: Path) -> None:
    SettingsFile(file).change(theme="nord")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("content", [b"theme = ", b"\xff\xfe\0", b"theme = 'a'\ntheme = 'b'"])
def test_a_damaged_file_is_kept_aside(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    settings = SettingsFile(file)
    assert settings.values == Settings()
    assert settings.warning is not None
    assert settings.warning.kind == "damaged"
    assert settings.warning.reason
    assert file.read_bytes() == content  # looking changes nothing
    settings.change(theme="nord")
    kept = [each for each in file.parent.iterdir() if "damaged" in each.name]
    assert [each.read_bytes() for each in kept] == [content]
    assert SettingsFile(file).values.theme == "nord"


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "none"])
def test_files_that_are_damaged_one_after_the_other_are_all_kept(
    file: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """Within one second, as two windows may do it."""
    monkeypatch.setattr("rwkv_chat.settings_file.time.strftime", lambda *_: "20260101-000000")
    if not links:
        monkeypatch.setattr("os.link", _refused)
    for content in ("a = ", "b = ", "c = "):
        file.write_text(content)
        SettingsFile(file).change(theme="nord")
    kept = {each.name: each.read_text() for each in file.parent.iterdir() if "damaged" in each.name}
    aside = f"{file.name}.damaged-20260101-000000"
    assert kept == {aside: "a = ", f"{aside}-2": "b = ", f"{aside}-3": "c = "}


def _refused(*_: object) -> None:
    raise OSError(1, "Operation not permitted")


def test_wrong_values_fall_back_alone(file: Path) -> None:
    file.write_text(
        'dtype = "fp7"\nthreads = true\nshow_list = "no"\ntheme = "nord"\nsnapshot_budget_gb = -1\n'
    )
    settings = SettingsFile(file)
    assert settings.warning is not None
    assert settings.warning.kind == "invalid"
    assert settings.warning.names == ("dtype", "show_list", "snapshot_budget_gb", "threads")
    assert settings.values == Settings(theme="nord")


def test_every_setting_can_be_written_and_read_again(file: Path) -> None:
    changed = {
        "theme": "nord",
        "reduced_motion": True,
        "mouse": False,
        "language": "en",
        "model": "/a/ü.pth",
        "device": "cuda:1",
        "dtype": "bf16",
        "threads": 3,
        "snapshot_budget_gb": 2.5,
        "snapshot_ram_gb": 0.5,
        "show_list": False,
        "show_sampling": True,
        "enter_sends": False,
        "pause_repeats": False,
        "first_run_done": True,
        "think": "fast",
        "sampling": {"top_k": 5},
        "keymap": {"chat.stop": "x"},
    }
    assert changed.keys() == {each.name for each in fields(Settings)}
    SettingsFile(file).change(**changed)
    assert SettingsFile(file).values == Settings(**changed)


@pytest.mark.parametrize(("name", "value"), [("dtype", "fp7"), ("nonsense", 1), ("threads", 2.5)])
def test_a_wrong_change_is_refused(file: Path, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        SettingsFile(file).change(**{name: value})
    assert not file.exists()


def test_overrides_hold_for_this_run_only(file: Path) -> None:
    settings = SettingsFile(file, {"device": "cpu"})
    settings.change(theme="nord")
    assert settings.values.device == "cpu"
    assert SettingsFile(file).values.device == "auto"


def test_sampling_differences_lie_over_the_model_s_own() -> None:
    base = SamplingParams(temperature=0.5, top_p=0.9)
    settings = Settings(sampling={"top_p": 0.2, "nonsense": 1, "top_k": -4, "min_p": "x"})
    assert settings.sampling_over(base) == SamplingParams(temperature=0.5, top_p=0.2)


def test_what_is_not_known_changes_nothing() -> None:
    assert check({"later": 1}) == (Settings(), (Wrong("later"),))


# -------------------------------------------------------------------------------- paths


def test_one_variable_moves_everything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    paths = Paths.find().make()
    every = (paths.data, paths.config, paths.cache, paths.states, paths.logs, paths.backups)
    assert all(
        each.is_relative_to(tmp_path / "home") for each in (*every, paths.database, paths.settings_file)
    )
    assert {stat.S_IMODE(each.stat().st_mode) for each in every} == {0o700}


def test_folders_above_are_private_too(tmp_path: Path) -> None:
    """Whatever has to be made on the way, under any umask."""
    before = os.umask(0o022)
    try:
        Paths.under(tmp_path / "new" / "home").make()
    finally:
        os.umask(before)
    assert {stat.S_IMODE((tmp_path / each).stat().st_mode) for each in ("new", "new/home")} == {0o700}


def test_without_it_the_platform_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    assert "rwkv-chat" in str(Paths.find().data)


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderUnusable):
        Paths.under(tmp_path / "file").make()


def test_resources_are_found_beside_the_packages() -> None:
    assert resource("prompts/templates/classic.toml").is_file()


def test_a_file_nested_beyond_reason_is_a_damaged_one(file: Path) -> None:
    file.write_text("x = " + "[" * 50_000)
    settings = SettingsFile(file)
    assert settings.warning is not None
    assert settings.warning.kind == "damaged"
    settings.change(show_list=False)
    assert not SettingsFile(file).values.show_list


def test_a_home_of_nobody_is_taken_literally(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, "~nobody-of-this-name/chat")
    assert Paths.find().data.parts[-3:] == ("~nobody-of-this-name", "chat", "data")


def test_a_sampling_value_that_cannot_be_is_told(file: Path) -> None:
    file.write_text('[sampling]\ntemperature = "hot"\ntop_k = 5\nlater = 1\n')
    warning = SettingsFile(file).warning
    assert warning is not None
    assert warning.wrong == (Wrong("sampling.later"), Wrong("sampling.temperature", allowed="0 … 5"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are a Unix thing")
def test_a_pipe_in_the_file_s_place_is_not_waited_for(file: Path) -> None:
    os.mkfifo(file)
    settings = SettingsFile(file)
    assert settings.warning is not None
    settings.change(show_list=False)
    assert not SettingsFile(file).values.show_list
