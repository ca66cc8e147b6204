"""From a run's folder to its end: reads what was asked for, tunes, logs every event, writes the result."""

from __future__ import annotations

import json
import logging
import signal
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from engine.durable import into_place
from engine.errors import EngineError, InvalidRequest, TuneDataInvalid, Unexpected
from engine.shortage import shortage
from engine.tune import rows as row_files
from engine.tune.batches import from_rows, useful
from engine.tune.folder import Folder, owned, read_config, read_probes
from engine.tune.group import join
from engine.tune.log import Log
from engine.tune.loop import Trainer
from engine.tune.peak import Peak
from engine.tune.sizes import estimate
from engine.tune.subject import open_subject
from engine.types import Failed, Memory, Started, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.tune.group import Alone
    from engine.tune.rows import Rows
    from engine.tune.subject import Subject
    from engine.types import Row, TuneConfig, TuneEvent

log = logging.getLogger("engine")

PROBE_STEPS = 3  # the first of which warms up


def run(path: Path) -> bool:
    """Tunes until the end, or until it is asked to stop; whether that is how it ended. Every event is logged.

    Raises:
        TuneBusy: another process is at it.  DiskFailed: nothing can be logged.
    """
    folder = Folder(path)
    try:
        config = read_config(folder)
    except EngineError as error:
        _tell_failure(folder, error)
        return False
    group = join(config.device)
    try:
        return _first(folder, config, group) if group.rank == 0 else _other(folder, config, group)
    finally:
        group.close()


def _tell_failure(folder: Folder, error: EngineError) -> None:
    told = Log(folder)
    told(Failed(error))
    told.close()


def _first(folder: Folder, config: TuneConfig, group: Alone) -> bool:
    """The process that owns the folder and tells everything."""
    with owned(folder):
        told = Log(folder)
        try:
            for event in events(folder, config, group):
                told(event)
        except EngineError as error:
            told(Failed(error))
            return False
        except Exception as error:
            found = shortage(error)
            log.exception("a tuning run failed")
            told(Failed(found or Unexpected(type(error).__name__, str(error)[:500])))
            return False
        finally:
            told.close()
    return True


def _other(folder: Folder, config: TuneConfig, group: Alone) -> bool:
    """One that computes along; its errors are those of the first."""
    for _ in events(folder, config, group):
        pass
    return True


def events(folder: Folder, config: TuneConfig, group: Alone) -> Iterator[TuneEvent]:
    """What the run tells, from `Started` to `Stopped`.

    Raises:
        EngineError.
    """
    folder.stop.unlink(missing_ok=True)
    if config.threads:
        torch.set_num_threads(config.threads)
    if group.size > 1 and config.device != "cpu" and torch.cuda.is_available():
        config = replace(config, device=f"cuda:{group.local_rank}")
    if config.batch_size < group.size:
        raise InvalidRequest(f"{group.size} processes have {config.batch_size} rows a step to share")
    rows, validation = _read_rows(folder)
    peak = Peak(torch.device("cpu" if config.device == "auto" else config.device))
    subject = open_subject(config)
    peak = Peak(subject.model.device) if subject.model.device.type == "cuda" else peak
    _check_ids(folder, subject, rows, validation)
    trainer = Trainer(
        subject,
        from_rows(rows, config.batch_size, config.seed),
        validation=_listed(validation),
        folder=folder.checkpoints,
        probes=read_probes(folder, subject.model.spec.vocab_size),
        group=group,
    )
    yield _started(trainer, rows, group)
    with asked_by_signal() as asked:
        yield from trainer.run(lambda: asked() or folder.stop.exists())
    guess = estimate(replace(config, device=subject.model.device.type), subject.model.spec, rows.lengths)
    yield Memory(trainer.at.step, guess.bytes_needed, peak.bytes(), peak.device_total())
    yield Stopped(trainer.at.step, trainer.reason, _result(folder, trainer, group), trainer.at.best)


def _read_rows(folder: Folder) -> tuple[Rows, Rows | None]:
    """Raises TuneDataInvalid: nothing to learn from."""
    rows = row_files.read(folder.train)
    if not useful(rows):
        raise TuneDataInvalid(str(folder.train), 0, "no row of it has anything to learn")
    if not folder.valid.exists():
        return rows, None
    return rows, row_files.read(folder.valid)


def _check_ids(folder: Folder, subject: Subject, rows: Rows, validation: Rows | None) -> None:
    """Raises TuneDataInvalid: rows of another tokenizer."""
    size = subject.model.spec.vocab_size
    for path, found in ((folder.train, rows), (folder.valid, validation)):
        if found is not None and found.largest_id >= size:
            raise TuneDataInvalid(str(path), 0, f"token {found.largest_id}, where the model has {size}")


def _listed(rows: Rows | None) -> list[Row]:
    return [] if rows is None else [rows.row(i) for i in useful(rows)]


def _started(trainer: Trainer, rows: Rows, group: Alone) -> Started:
    trained = sum(x.numel() for x in trainer.subject.trained.values())
    skipped = len(rows) - len(useful(rows))
    device, config = str(trainer.subject.model.device), trainer.config
    return Started(
        trainer.at.step, config.steps, len(rows), rows.tokens, skipped, trained, device, group.size
    )


def _result(folder: Folder, trainer: Trainer, group: Alone) -> str:
    """Writes the best found, else the last; where it lies."""
    if group.rank:
        return ""
    name = trainer.subject.write(folder.result, trainer.best())
    return "result" if name == "." else f"result/{name}"


@contextmanager
def asked_by_signal() -> Iterator[Callable[[], bool]]:
    """Whether the system (or a person at the keyboard) has asked this process to end, from here on."""
    asked: list[int] = []
    before: dict[int, Any] = {}
    with suppress(ValueError):  # not in the main thread: a test, which asks by the file
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, lambda number, _: asked.append(number))
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def probe(path: Path) -> None:
    """Measures a few steps and changes nothing but `probe.json`: tokens per second and the peak of memory. It
    is written after every step, and the first is of one row: who cannot wait for a whole one has that.

    Raises:
        EngineError.
    """
    folder = Folder(path)
    config = replace(read_config(folder), steps=PROBE_STEPS)
    if config.threads:
        torch.set_num_threads(config.threads)
    rows, _ = _read_rows(folder)
    peak = Peak(torch.device("cpu"))
    subject = open_subject(config)
    peak = Peak(subject.model.device) if subject.model.device.type == "cuda" else peak
    _check_ids(folder, subject, rows, None)
    batches = from_rows(rows, config.batch_size, config.seed)
    fastest = 0.0
    for event in Trainer(subject, lambda step: batches(step)[: None if step else 1]).run():
        fastest = max(fastest, getattr(event, "tokens_per_second", 0.0))
        _tell_probe(folder, {"tokens_per_second": fastest, "peak": peak.bytes()})


def _tell_probe(folder: Folder, found: dict[str, float]) -> None:
    temporary = folder.path / ".probe.json.tmp"
    temporary.write_text(json.dumps(found) + "\n", encoding="utf-8")
    into_place(temporary, folder.path / "probe.json")
