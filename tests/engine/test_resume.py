"""Taking up a conversation costs the read of one file: its checksum is cheap, and nothing is copied twice."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING

import pytest
import torch
import xxhash

from engine.errors import StateCorrupt
from engine.models.state import State
from engine.sampling import SamplerState
from engine.store.snapshot import Snapshot, layout_of, read, to_bytes
from engine.store.statestore import StateStore
from engine.types import StateKey

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Sample

BAR = 1.5
# wkv [B,L,H,V,K] and shifts of a 1.5B model: 12.8 MB
SHAPES = {"wkv_BLHVK": (1, 24, 32, 64, 64), "att_shift_BLC": (1, 24, 2048), "ffn_shift_BLC": (1, 24, 2048)}
TURNS, MANY = 40, 400


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    made = torch.Generator().manual_seed(1)
    state = State("rwkv7", {name: torch.randn(shape, generator=made) for name, shape in SHAPES.items()})
    key = StateKey("a" * 64, "fp32", "", "", "b" * 64)
    return Snapshot(key, 9, state, (5, 7), SamplerState(3, 2, ((5, 1.0), (7, 0.5))), b"\xe2\x82")


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def test_taking_up_a_state_costs_little_more_than_its_bytes(
    snapshot: Snapshot, tmp_path: Path, sample: Sample, room: float
) -> None:
    """The shortest of turns with the bare read, checksum and copy of the same file."""
    store = StateStore(tmp_path, 1 << 30)
    size, path = store.save(snapshot), store.path(snapshot.key)
    layout = layout_of(snapshot.state)

    def ours() -> None:
        store.prefixes()
        assert store.load(snapshot.key, layout, "rwkv7") is not None

    def floor() -> None:
        data = bytearray(size)
        with path.open("rb", buffering=0) as file:
            file.readinto(data)
        xxhash.xxh3_128(data).digest()

    turns = [(seconds(ours), seconds(floor)) for _ in range(sample("turns", TURNS, MANY))]
    ratio = min(a for a, _ in turns) / min(b for _, b in turns)
    print(f"a state of {size / 1e6:.1f} MB: {ratio:.2f} × its bytes")
    assert ratio <= BAR * room


def test_what_is_read_is_what_was_written_and_shares_the_files_bytes(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    store = StateStore(tmp_path, 1 << 30)
    store.save(snapshot)
    found = store.load(snapshot.key, layout_of(snapshot.state), "rwkv7")
    assert found is not None
    for name, x in snapshot.state.tensors.items():
        assert torch.equal(found.state.tensors[name], x)
    assert (found.length, found.pending, found.sampler, found.carry) == (
        9,
        (5, 7),
        snapshot.sampler,
        b"\xe2\x82",
    )
    storages = {x.untyped_storage().data_ptr() for x in found.state.tensors.values()}
    first = min(x.data_ptr() for x in found.state.tensors.values())
    assert max(storages) - first < sum(x.nbytes for x in snapshot.state.tensors.values())


def as_before(data: bytes) -> bytes:
    """The same file as version 0.1.0 wrote it: with a BLAKE2b checksum in place of the new one."""
    length = int.from_bytes(data[:8], "little")
    header, tensors = json.loads(data[8 : 8 + length]), data[8 + length :]
    del header["__metadata__"]["xxh3"]
    digest = hashlib.blake2b(digest_size=32)
    digest.update(json.dumps(header, sort_keys=True).encode())
    digest.update(tensors)
    header["__metadata__"]["checksum"] = digest.hexdigest()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + tensors


def test_a_file_of_an_earlier_version_is_read_and_checked(snapshot: Snapshot, tmp_path: Path) -> None:
    path, layout = tmp_path / "old.safetensors", layout_of(snapshot.state)
    old = as_before(to_bytes(snapshot))
    path.write_bytes(old)
    found = read(path, snapshot.key, layout, "rwkv7")
    assert found.pending == snapshot.pending
    assert torch.equal(found.state.tensors["wkv_BLHVK"], snapshot.state.tensors["wkv_BLHVK"])
    path.write_bytes(old[:-1] + bytes((old[-1] ^ 1,)))
    with pytest.raises(StateCorrupt, match="checksum"):
        read(path, snapshot.key, layout, "rwkv7")


def test_a_file_without_any_checksum_is_refused(snapshot: Snapshot, tmp_path: Path) -> None:
    data = to_bytes(snapshot).replace(b'"xxh3"', b'"xxhx"')
    path = tmp_path / "none.safetensors"
    path.write_bytes(data)
    with pytest.raises(StateCorrupt, match="checksum"):
        read(path, snapshot.key, layout_of(snapshot.state), "rwkv7")
