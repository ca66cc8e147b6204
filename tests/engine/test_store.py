"""Snapshots: exact, checked to the last byte, within their budget, and safe beside other processes."""

from __future__ import annotations

import errno
import json
import os
import random
import stat
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file

from engine.errors import DiskFailed, StateCorrupt, StateMismatch, StoreFull
from engine.models.state import State
from engine.prefix import extend
from engine.sampling import SamplerState
from engine.store import statestore
from engine.store.fingerprint import FILE, Stopped, fingerprint
from engine.store.snapshot import Snapshot, layout_of, read, to_bytes
from engine.store.statestore import TEMPORARY, StateStore
from engine.types import StateKey
from tests.children import warm

if TYPE_CHECKING:
    from pathlib import Path


def key(*tokens: int, model: str = "m" * 64, tier: str = "fp32") -> StateKey:
    return StateKey(model, tier, "", "", extend(tokens))


def snapshot(*tokens: int, seed: int = 0, size: int = 4) -> Snapshot:
    rng = torch.Generator().manual_seed(seed)
    wkv = torch.randn(1, 2, size, 3, 3, generator=rng)
    shift = torch.randn(1, 2, size, generator=rng).bfloat16()
    tokens = tokens or (1, 2, 3)
    sampler = SamplerState(7, 2, ((5, 0.1), (300, 1 / 3)))
    state = State("rwkv7", {"wkv_BLHVK": wkv, "att_shift_BLC": shift})
    return Snapshot(key(*tokens), len(tokens), state, tokens[-1:], sampler, b"\xe4\xbd")


def load(store: StateStore, like: Snapshot) -> Snapshot | None:
    return store.load(like.key, layout_of(like.state), like.state.arch)


@pytest.fixture
def store(tmp_path: Path) -> StateStore:
    return StateStore(tmp_path / "states", 1_000_000)


# ------------------------------------------------------------------------------------------------ one file


def test_everything_comes_back_bit_for_bit(store: StateStore) -> None:
    saved = snapshot()
    nbytes = store.save(saved)
    found = load(store, saved)
    assert found is not None
    assert nbytes == store.path(saved.key).stat().st_size
    for name, x in saved.state.tensors.items():
        assert torch.equal(found.state.tensors[name], x)
    assert replace(found, state=saved.state) == saved


def test_rows_of_a_batch_and_other_strides_are_saved_right(store: StateStore) -> None:
    saved = snapshot()
    wkv = saved.state.tensors["wkv_BLHVK"]
    turned = wkv.transpose(1, 2).contiguous().transpose(1, 2)
    saved = replace(saved, state=State("rwkv7", {**saved.state.tensors, "wkv_BLHVK": turned}))
    store.save(saved)
    found = load(store, saved)
    assert found is not None
    assert torch.equal(found.state.tensors["wkv_BLHVK"], wkv)


def test_the_file_is_an_ordinary_safetensors_file(store: StateStore) -> None:
    saved = snapshot()
    store.save(saved)
    for name, x in load_file(store.path(saved.key)).items():
        assert torch.equal(x, saved.state.tensors[name])


def test_a_missing_snapshot_is_none(store: StateStore) -> None:
    assert load(store, snapshot()) is None
    assert snapshot().key not in store


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_folder_and_files_are_private(store: StateStore) -> None:
    saved = snapshot()
    store.save(saved)
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(store.path(saved.key).stat().st_mode) == 0o600


def test_the_same_state_is_not_written_again(store: StateStore) -> None:
    saved = snapshot()
    store.save(saved)
    inode = store.path(saved.key).stat().st_ino
    store.save(snapshot(seed=1))
    assert store.path(saved.key).stat().st_ino == inode


# ------------------------------------------------------------------------------------------------ damage


def test_every_flipped_byte_is_noticed(store: StateStore) -> None:
    """All of them in the header, a sample in the tensors (the checksum does not know where it looks)."""
    saved = snapshot()
    path = store.path(saved.key)
    data = to_bytes(saved)
    header = 8 + int.from_bytes(data[:8], "little")
    places = [*range(header), *random.Random(1).sample(range(header, len(data)), 100)]
    for at in places:
        path.write_bytes(data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :])
        with pytest.raises((StateCorrupt, StateMismatch)):
            load(store, saved)
        assert not path.exists(), "what cannot be used is deleted, so that it is written again"


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 100, -100, -1])
def test_every_cut_is_noticed(store: StateStore, length: int) -> None:
    saved = snapshot()
    store.path(saved.key).write_bytes(to_bytes(saved)[:length])
    with pytest.raises(StateCorrupt):
        load(store, saved)


def test_a_longer_file_is_refused(store: StateStore) -> None:
    saved = snapshot()
    store.path(saved.key).write_bytes(to_bytes(saved) + b"x")
    with pytest.raises(StateCorrupt):
        load(store, saved)


def test_a_giant_header_is_refused_unread(store: StateStore) -> None:
    saved = snapshot()
    with store.path(saved.key).open("wb") as file:
        file.write((1 << 62).to_bytes(8, "little"))
        file.truncate(1 << 40)
    with pytest.raises(StateCorrupt):
        load(store, saved)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are a Unix thing")
def test_a_pipe_is_not_waited_for(store: StateStore) -> None:
    saved = snapshot()
    os.mkfifo(store.path(saved.key))
    with pytest.raises(StateCorrupt, match="not a file"):
        load(store, saved)
    assert not store.path(saved.key).exists()


@pytest.mark.parametrize("text", [b"[]", b"{}", b"[" * 50_000, b'{"__metadata__": 1}', b"\xff"])
def test_strange_headers_are_refused(store: StateStore, text: bytes) -> None:
    saved = snapshot()
    tensors = sum(x.nbytes for x in saved.state.tensors.values())
    store.path(saved.key).write_bytes(len(text).to_bytes(8, "little") + text + bytes(tensors))
    with pytest.raises(StateCorrupt):
        load(store, saved)


@pytest.mark.parametrize("field", ["model", "tier", "adapter", "initial", "prefix"])
def test_a_state_of_something_else_is_refused(store: StateStore, field: str) -> None:
    """The file of another key under this key's name: the header decides, not the name."""
    saved, other = snapshot(), snapshot()
    other = replace(other, key=StateKey(**{**asdict(saved.key), field: "f" * 64}))
    store.path(saved.key).write_bytes(to_bytes(other))
    with pytest.raises(StateMismatch) as caught:
        load(store, saved)
    assert field in caught.value.expected


def test_a_file_of_another_layout_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = snapshot()
    monkeypatch.setattr("engine.store.snapshot.LAYOUT", "0")
    (tmp_path / "old").write_bytes(to_bytes(saved))
    monkeypatch.undo()
    with pytest.raises(StateMismatch):
        read(tmp_path / "old", saved.key, layout_of(saved.state), "rwkv7")


def test_a_state_of_another_shape_is_refused(store: StateStore) -> None:
    saved = snapshot()
    store.save(saved)
    with pytest.raises(StateCorrupt):
        store.load(saved.key, layout_of(snapshot(size=8).state), "rwkv7")


def test_metadata_with_a_right_checksum_is_still_checked(store: StateStore) -> None:
    saved = replace(snapshot(), pending=())
    store.path(saved.key).write_bytes(to_bytes(saved))
    with pytest.raises(StateCorrupt):
        load(store, saved)


# ------------------------------------------------------------------------------------------------ the budget


def age(store: StateStore, one: Snapshot, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(store.path(one.key), (then, then))


def three(store: StateStore) -> list[Snapshot]:
    """Three states, the first used longest ago, in a store with room for three and a half."""
    made = [snapshot(n) for n in (1, 2, 3)]
    sizes = [store.save(one) for one in made]
    store.budget = int(max(sizes) * 3.5)
    for one, seconds in zip(made, (30, 20, 10), strict=True):
        age(store, one, seconds)
    return made


def test_the_least_recently_used_goes_first(store: StateStore) -> None:
    first, second, third = three(store)
    assert load(store, first) is not None  # now the second is the oldest
    store.save(snapshot(4))
    assert [one.key in store for one in (first, second, third, snapshot(4))] == [True, False, True, True]


def test_kept_states_go_last(store: StateStore) -> None:
    first, second, third = three(store)
    store.keep([first.key.prefix, third.key.prefix])
    store.save(snapshot(4))
    assert [one.key in store for one in (first, second, third)] == [True, False, True]


def test_the_budget_wins_even_over_kept_states(store: StateStore) -> None:
    made = three(store)
    store.keep([one.key.prefix for one in made])
    store.save(snapshot(4))
    assert [one.key in store for one in made] == [False, True, True]
    assert store.used() <= store.budget


def test_a_state_larger_than_the_budget_is_not_written(store: StateStore) -> None:
    store.budget = 100
    with pytest.raises(StoreFull) as caught:
        store.save(snapshot())
    assert caught.value.budget == 100
    assert store.used() == 0


def test_the_default_budget_is_a_tenth_of_the_free_disk_at_most_20_gb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for free, budget in ((1_000_000, 100_000), (10**15, 20_000_000_000)):
        monkeypatch.setattr(statestore.shutil, "disk_usage", lambda _, free=free: _Usage(free))
        assert StateStore(tmp_path / "states").budget == budget


class _Usage:
    def __init__(self, free: int) -> None:
        self.free = free


def test_forgetting_deletes_the_states_of_every_model(store: StateStore) -> None:
    one, other = snapshot(1), snapshot(2)
    elsewhere = replace(one, key=key(1, model="n" * 64))
    for each in (one, other, elsewhere):
        store.save(each)
    store.forget([one.key.prefix])
    assert [each.key in store for each in (one, other, elsewhere)] == [False, True, False]


# ------------------------------------------------------------------------------------------------ the folder


def test_what_others_put_into_the_folder_is_left_alone(store: StateStore) -> None:
    (store.folder / "notes.txt").write_text("mine")
    (store.folder / ".DS_Store").write_bytes(b"\0")
    (store.folder / "folder").mkdir()
    (store.folder / "x.safetensors").write_bytes(b"?")
    three(store)
    store.save(snapshot(4))
    assert {"notes.txt", ".DS_Store", "folder", "x.safetensors"} <= {
        path.name for path in store.folder.iterdir()
    }
    assert load(store, snapshot(4)) is not None


def test_half_written_files_of_dead_processes_are_cleaned_up(store: StateStore) -> None:
    saved = snapshot()
    store.save(saved)
    old = store.folder / f"{store.path(saved.key).name}.0{TEMPORARY}"
    new = store.folder / f"{store.path(saved.key).name}.1{TEMPORARY}"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    StateStore(store.folder)
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_is_an_error_and_leaves_nothing(
    store: StateStore, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if call == "fsync":
        monkeypatch.setattr(statestore.os, "fsync", full)
    else:
        monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(DiskFailed) as caught:
        store.save(snapshot())
    assert caught.value.reason == "No space left on device"
    assert list(store.folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskFailed):
        StateStore(tmp_path / "file" / "states")


def test_the_file_and_then_the_folder_are_synced(store: StateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real_sync, real_replace = os.fsync, type(store.folder).replace
    monkeypatch.setattr(
        statestore.os,
        "fsync",
        lambda fd: (order.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"), real_sync(fd)),
    )
    monkeypatch.setattr(
        type(store.folder), "replace", lambda self, to: (order.append("rename"), real_replace(self, to))
    )
    store.save(snapshot())
    assert order == (["file", "rename"] if os.name == "nt" else ["file", "rename", "folder"])


def use(folder: Path, seed: int) -> None:
    """Saves, reads and forgets at random, as one of several processes."""
    rng, store = random.Random(seed), StateStore(folder, 8000)
    for _ in range(60):
        one = snapshot(rng.randrange(12))
        if rng.random() < 0.5:
            store.save(one)
        else:
            load(store, one)
        if rng.random() < 0.1:
            store.forget([one.key.prefix])


def test_two_processes_share_one_folder(tmp_path: Path) -> None:
    """Both save, read, evict and forget the same dozen states; neither ever sees a broken one."""
    StateStore(tmp_path)
    with ProcessPoolExecutor(2, mp_context=warm()) as both:
        for used in [both.submit(use, tmp_path, n) for n in range(2)]:
            used.result()
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(TEMPORARY)]


# ------------------------------------------------------------------------------------------------ hashes


def test_a_hash_is_remembered_until_the_file_changes(tmp_path: Path) -> None:
    weights = tmp_path / "w"
    weights.write_bytes(b"one")
    first = fingerprint(weights, tmp_path / "cache")
    assert first == "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    known = tmp_path / "cache" / FILE
    known.write_text(known.read_text().replace(first, "0" * 64))
    assert fingerprint(weights, tmp_path / "cache") == "0" * 64
    weights.write_bytes(b"two!")
    assert fingerprint(weights, tmp_path / "cache") not in (first, "0" * 64)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 1}', "[" * 50_000])
def test_a_broken_memory_of_hashes_is_ignored(tmp_path: Path, content: str) -> None:
    weights = tmp_path / "w"
    weights.write_bytes(b"one")
    (tmp_path / FILE).write_text(content)
    assert fingerprint(weights, tmp_path) == fingerprint(weights, None)
    assert json.loads((tmp_path / FILE).read_text())[str(weights.resolve())]


def test_hashing_can_be_stopped(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"one")
    with pytest.raises(Stopped):
        fingerprint(tmp_path / "w", None, lambda: True)
