"""Opens mutated files in a process of its own and says how each ended: one JSON line per case.

    python -m tests.engine.fuzz_worker FOLDER SUBJECT FIRST COUNT [SUBJECT FIRST COUNT …]

The case number is its seed, so a case that went wrong is seen again with COUNT 1. Watched from inside: memory
beyond what the files justify, commands run, programs started, files written elsewhere, connections, time.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from engine.errors import EngineError
from engine.types import TokenizerRef
from engine.weights import layout, reading
from tests.engine import tiny
from tests.engine.mutations import mutated
from tests.engine.samples import SAMPLES, spec_of
from tests.engine.small import write_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.engine.mutations import Files

PATIENCE = 60.0  # seconds for one case
ROOM = 40 << 20  # bytes that a case may take whatever its size, and
TIMES = 8  # for each byte of its files
ADDRESSES = 2 << 30  # what may be asked for at once beyond what the process has

SMALL = tiny.spec(n_layer=2, n_embd=16, head_size=8, vocab_size=11, rank=4)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is fuzzed.

    Attributes:
        make: writes a good one into a folder; returns what is to be opened.
        open: reads it to the end; whatever it returns has been checked.
    """

    make: Callable[[Path], Path]
    open: Callable[[Path, random.Random], None]


def load_model(path: Path, rng: random.Random) -> None:
    """Mapped or copied, in the stored dtype or another; what comes out is a whole model."""
    from engine.weights.load import load

    reading.MAPPED_FROM = rng.choice((0, 1 << 60))
    loading = load(path, device="cpu", dtype=rng.choice(("fp32", "bf16", "int8")))
    try:
        while True:
            next(loading)
    except StopIteration as stop:
        model = stop.value
    for name, x in model.tensors.items():
        assert bool(torch.isfinite(x).all()), name
    model.forward(torch.zeros(1, 2, dtype=torch.int64), model.zero_state())


def make_tuned(folder: Path) -> Path:
    N, H = SMALL.head_size, SMALL.n_head
    state = {f"blocks.{i}.att.time_state": torch.randn(H, N, N) for i in range(SMALL.n_layer)}
    return tiny.save(folder / "state.pth", state, torch.bfloat16)


def open_tuned(path: Path, _: random.Random) -> None:
    from engine.weights.tuned import read_tuned_state

    for x in read_tuned_state(path, SMALL).values():
        assert bool(torch.isfinite(x).all())


def make_adapter(folder: Path) -> Path:
    """In the form that peft writes."""
    made = {}
    for layer in range(SMALL.n_layer):
        start = f"base_model.model.blocks.{layer}.att.key"
        made[f"{start}.lora_A.weight"] = torch.randn(2, SMALL.n_embd)
        made[f"{start}.lora_B.weight"] = torch.randn(SMALL.n_embd, 2)
    tiny.save(folder / "adapter_model.safetensors", made)
    config = {"peft_type": "LORA", "lora_alpha": 4, "r": 2, "target_modules": ["key"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def open_adapter(path: Path, _: random.Random) -> None:
    from engine.weights.adapters import check_adapter, merged, read_adapter

    adapter = read_adapter(path)
    check_adapter(adapter, SMALL)
    for name in adapter.parts:
        merged(name, torch.zeros(SMALL.n_embd, SMALL.n_embd), adapter)


def make_tokenizer(folder: Path) -> Path:
    write_tokenizer(folder / "tokenizer.json")
    return folder / "tokenizer.json"


def open_tokenizer(path: Path, _: random.Random) -> None:
    from engine.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(TokenizerRef("json", str(path)))
    for each in tokenizer.encode("Hello, world ✿ 你好"):
        tokenizer.token_bytes(each)


def make_card(folder: Path) -> Path:
    tiny.checkpoint(folder / "model.pth", SMALL)
    text = 'file = "model.pth"\nname = "Tiny"\ntemplate = "classic"\ntokenizer = "world"\n'
    (folder / "model.toml").write_text(text + "[sampling]\ntemperature = 0.7\n")
    return folder / "model.pth"


def open_card(path: Path, _: random.Random) -> None:
    from rwkv_chat.session.cards import card_for

    card_for(path)


def _model(name: str) -> Subject:
    def make(folder: Path) -> Path:
        of = spec_of(name)
        small = tiny.spec(n_layer=2, n_embd=32, head_size=16, vocab_size=17, rank=4, arch=of.arch)
        return SAMPLES[name](folder, small)

    return Subject(make, load_model)


SUBJECTS: dict[str, Subject] = {
    **{name: _model(name) for name in SAMPLES},
    "tuned state": Subject(make_tuned, open_tuned),
    "adapter": Subject(make_adapter, open_adapter),
    "tokenizer.json": Subject(make_tokenizer, open_tokenizer),
    "model.toml": Subject(make_card, open_card),
}


def _trusting(path: Path, _: random.Random) -> None:
    torch.load(path, weights_only=False)


def _greedy(path: Path, _: random.Random) -> None:
    bytearray(300 << 20)


def _careless(path: Path, _: random.Random) -> None:
    (path.parent.parent.parent / "elsewhere").write_text("x")


# readers with a fault that must be noticed
PLANTED: dict[str, Subject] = {
    "runs code": Subject(SUBJECTS["pth"].make, _trusting),
    "takes memory": Subject(SUBJECTS["pth"].make, _greedy),
    "writes elsewhere": Subject(SUBJECTS["pth"].make, _careless),
}

# ------------------------------------------------------------------------------------------------- watching

_FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect")
_FORBIDDEN += ("shutil.rmtree", "os.chmod", "os.chown", "pickle.find_class", "webbrowser.open")
_seen: list[str] = []


def _watch(folder: Path) -> None:
    """Whatever would run, start, connect or write elsewhere is noted."""
    place = str(folder.resolve())

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if not _seen or _seen[0] != "on":
            return
        if event in _FORBIDDEN:
            _seen.append(event)
        elif event == "open" and _writes(arguments) and not str(arguments[0]).startswith(place):
            _seen.append(f"wrote to {arguments[0]}")

    sys.addaudithook(hook)


def _writes(arguments: tuple[Any, ...]) -> bool:
    path, mode, flags = arguments
    if not isinstance(path, str):
        return False
    return bool(flags & (os.O_WRONLY | os.O_RDWR)) if isinstance(flags, int) else "w" in str(mode)


def _status(row: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(row))


def _late(*_: object) -> None:
    raise TimeoutError


def _case(subject: Subject, files: Files, name: str, folder: Path, seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    canary = folder.parent / "canary"
    changed = mutated(files, rng, str(canary))
    _write(folder, changed)
    if rng.random() < 0.03:
        _strange(folder, rng)
    nbytes = sum(len(data) for data in changed.values())
    Path("/proc/self/clear_refs").write_text("5")
    before, start = _status("VmRSS"), time.monotonic()
    ended = _ended(subject, folder / name, rng)
    taken = _status("VmHWM") - before
    found: dict[str, Any] = {"ended": ended, "bad": []}
    found["bad"] += [f"did {each}" for each in _seen[1:]]
    if canary.exists():
        canary.unlink()
        found["bad"].append("ran code")
    if taken > ROOM + TIMES * nbytes:
        found["bad"].append(f"took {taken >> 20} MB for {nbytes} bytes")
    if time.monotonic() - start > PATIENCE:
        found["bad"].append(f"took {time.monotonic() - start:.0f} s")
    if ended not in ("read",) and not ended[0].isupper():
        found["bad"].append(ended)
    return found


def _ended(subject: Subject, path: Path, rng: random.Random) -> str:
    """ "read", or the typed error's name; anything else begins with a small letter."""
    _seen[:] = ["on"]
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        try:
            subject.open(path, rng)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            _seen[0] = "off"
    except EngineError as error:
        json.dumps(str(error))
        return "unexpected Unexpected" if type(error).__name__ == "Unexpected" else type(error).__name__
    except BaseException as error:
        return f"untyped {type(error).__name__}: {str(error)[:200]}"
    return "read"


def _write(folder: Path, files: Files) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)


def _strange(folder: Path, rng: random.Random) -> None:
    """A link to itself, to a device or to nothing, a pipe, a folder: in the place of a file."""
    path = rng.choice(sorted(folder.iterdir()))
    path.unlink()
    kind = rng.randrange(4)
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.mkdir()
    else:
        path.symlink_to(rng.choice((path.name, "/dev/zero", "/dev/null", "nowhere", "..", "/etc")))


def _limit_addresses() -> None:
    limit = _status("VmSize") + ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _batch(name: str, first: int, count: int, folder: Path) -> None:
    subject, case = (SUBJECTS | PLANTED)[name], folder / "case"
    _write(case, {})
    path = subject.make(case)
    files = {each.name: each.read_bytes() for each in case.iterdir()}
    for seed in range(2):  # what is imported late is imported now
        subject.open(path, random.Random(seed))
    opened = "" if path == case else path.name
    start = zlib.crc32(name.encode()) << 32
    for number in range(first, first + count):
        found = _case(subject, files, opened, case, start + number)
        print(json.dumps({"subject": name, "number": number} | found), flush=True)


def main(folder: Path, batches: list[str]) -> None:
    torch.set_num_threads(1)
    reading.KEPT_FROM, layout.RESERVE = 1, 0
    folder.mkdir(exist_ok=True)
    signal.signal(signal.SIGALRM, _late)
    _watch(folder)
    _limit_addresses()
    for name, first, count in zip(batches[::3], batches[1::3], batches[2::3], strict=True):
        _batch(name, int(first), int(count), folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
