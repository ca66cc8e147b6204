"""One program with one model in a process of its own, asked through a pipe to feed tokens and say how long it
took. Only what computes is timed: no sampling, no text.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import multiprocessing
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

SPAWN = multiprocessing.get_context("spawn")
PATIENCE = 600.0
WARM = 3  # tokens before the first that is timed
LAST_ID = 1000


class PeerFailed(Exception):  # an outcome of ours: the row is left out
    """It ended, or said why it cannot; the name of its error."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison.

    Attributes:
        kind: a key of `KINDS`.  form: our tier, or the other program's own word.
        cache: where ours keeps what it converts and compiles.
    """

    kind: str
    path: str
    form: str
    device: str
    threads: int
    cache: str | None = None


class Fed(Protocol):
    """A program with its model."""

    def begin(self) -> None:
        """Forgets everything that was fed."""

    def feed(self, tokens: list[int]) -> None:
        """Feeds tokens at once; the last one's logits are ready afterwards."""


class Ours:
    """This engine."""

    def __init__(self, side: Side) -> None:
        from engine.bench.rows import Plan
        from engine.bench.subject import just_loaded

        self._model = just_loaded(Plan(side.path, side.device, side.form, cache=side.cache))
        self._settled = False
        self._state = self._model.zero_state()

    def begin(self) -> None:
        """After the first token and before any that is timed, the weights take their lasting place."""
        from engine.bench.subject import settle

        if not self._settled:
            settle(self._model)
            self._settled = True
        self._state = self._model.zero_state()

    def feed(self, tokens: list[int]) -> None:
        import torch

        ids = torch.tensor(tokens, device=self._model.device)
        with torch.inference_mode():
            if len(tokens) == 1:
                logits, self._state = self._model.step(ids, self._state)
            else:
                logits, self._state = self._model.forward(ids[None], self._state)
            logits[0, 0].item()  # waits for the device


class Llama:
    """llama.cpp, through llama-cpp-python; the file has the form already, or is made to have it (Q4_0)."""

    def __init__(self, side: Side) -> None:
        import llama_cpp  # pyright: ignore[reportMissingImports]
        import torch

        llama: Any = llama_cpp  # its types are stricter than ctypes
        self._llama = llama
        self._quiet = llama.llama_log_callback(lambda *_: None)  # C holds it
        llama.llama_log_set(self._quiet, ctypes.c_void_p(0))
        model, context = llama.llama_model_default_params(), llama.llama_context_default_params()
        model.n_gpu_layers = 0
        context.n_ctx = context.n_batch = context.n_ubatch = 512
        context.n_threads = context.n_threads_batch = torch.get_num_threads()
        path = self._quantised(side.path) if side.form == "Q4_0" else side.path
        loaded = llama.llama_model_load_from_file(path.encode(), model)
        if not loaded:
            raise PeerFailed("refused")
        self._context = llama.llama_init_from_model(loaded, context)

    def _quantised(self, path: str) -> str:
        """Q4_0 of a file with 16 bits, beside it, by llama.cpp's own quantiser."""
        target = Path(path).with_suffix(".Q4_0.gguf")
        params = self._llama.llama_model_quantize_default_params()
        params.ftype = self._llama.LLAMA_FTYPE_MOSTLY_Q4_0
        given = path.encode(), str(target).encode(), ctypes.byref(params)
        if not target.exists() and self._llama.llama_model_quantize(*given):
            raise PeerFailed("refused")
        return str(target)

    def begin(self) -> None:
        self._llama.llama_memory_clear(self._llama.llama_get_memory(self._context), True)

    def feed(self, tokens: list[int]) -> None:
        array = (ctypes.c_int32 * len(tokens))(*tokens)
        if self._llama.llama_decode(self._context, self._llama.llama_batch_get_one(array, len(tokens))):
            raise PeerFailed("refused")
        self._llama.llama_get_logits_ith(self._context, -1)


class Package:
    """The `rwkv` package; `form` is its strategy. Its switches are environment variables of this process."""

    def __init__(self, side: Side) -> None:
        from engine.weights.load import read_spec

        new, cuda = (str(int(each)) for each in (read_spec(side.path).arch == "rwkv7", side.device != "cpu"))
        os.environ |= {"RWKV_V7_ON": new, "RWKV_JIT_ON": "1", "RWKV_CUDA_ON": cuda}
        with contextlib.redirect_stdout(io.StringIO()):
            from rwkv.model import RWKV

            self._model = RWKV(model=side.path.removesuffix(".pth"), strategy=side.form)
        self.begin()

    def begin(self) -> None:
        self._state: Any = None

    def feed(self, tokens: list[int]) -> None:
        logits, self._state = self._model.forward(tokens, self._state)
        logits[0].item()


KINDS: dict[str, Callable[[Side], Fed]] = {"ours": Ours, "llama.cpp": Llama, "rwkv": Package}


class PeerProcess:
    """A child with a loaded model; killed when it is left.

    Attributes:
        started: seconds from the import of torch to the first token, and how many bytes of memory the child
            had grown by at most since then (0 where the system does not say).
    """

    def __init__(self, side: Side) -> None:
        """Raises: PeerFailed."""
        self._pipe, theirs = SPAWN.Pipe()
        self._process = SPAWN.Process(target=_child, args=(theirs, side), daemon=True)
        self._process.start()
        theirs.close()
        self.started: tuple[float, float] = self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def seconds(self, tokens: int, *, at_once: bool) -> float:
        """Of one token (the median of so many), or of all of them at once.  Raises: PeerFailed."""
        self._pipe.send((tokens, at_once))
        return self._answer()

    def _answer(self) -> Any:
        try:
            found = self._pipe.recv() if self._pipe.poll(PATIENCE) else "TimeoutError"
        except (EOFError, OSError):
            found = "it ended"
        if isinstance(found, str):
            self.__exit__()
            raise PeerFailed(found)
        return found


def _child(told: Connection, side: Side) -> None:
    import torch

    from engine.bench.clock import peak_bytes, resident_bytes

    torch.set_num_threads(side.threads)
    begun, before = time.perf_counter(), resident_bytes()
    try:
        peer = KINDS[side.kind](side)
        peer.feed([1])
        told.send((time.perf_counter() - begun, float((peak_bytes() or 0) - (before or 0))))
        while True:
            tokens, at_once = told.recv()
            told.send(_timed(peer, tokens, at_once=at_once))
    except EOFError:
        return
    except Exception as error:
        told.send(str(error) if isinstance(error, PeerFailed) else type(error).__name__)


def _timed(peer: Fed, tokens: int, *, at_once: bool) -> float:
    peer.begin()
    if at_once:
        return _seconds(peer, [each % LAST_ID for each in range(tokens)])
    found = sorted([_seconds(peer, [each % LAST_ID]) for each in range(WARM + tokens)][WARM:])
    return found[len(found) // 2]


def _seconds(peer: Fed, tokens: list[int]) -> float:
    begun = time.perf_counter()
    peer.feed(tokens)
    return time.perf_counter() - begun
