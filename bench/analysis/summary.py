"""What the gate and the history need of a record, read line by line, so that a hundred thousand fit in memory.

The decoder skips everything else (environment, warm-ups, queued steps) without building it, and samples are reduced
to medians of blocks before the next line is read.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from weighbridge.bench.core.cell import Cell, Pairing, Status
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.core.process import Count, Seconds, Share, steady_peaks, until_the_last_timed
from weighbridge.bench.core.record import DEFAULT_FLOOR, SCHEMA, Parity
from weighbridge.bench.measure import statistics
from weighbridge.bench.measure.sides import blocks_of
from weighbridge.bench.run.alongside import WORTH_BYTES, alongside
from weighbridge.bench.storage import journals, migrations
from weighbridge.bench.storage.coding import UnreadableError
from weighbridge.bench.storage.contradictions import contradiction
from weighbridge.bench.storage.files import UNREADABLE
from weighbridge.bench.storage.journals import Unreadable


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """The facts that two runs of a cell must share for its speed to be compared; weights may differ between runs."""

    threads: Any = None
    affinity: Any = None
    precision: Any = None
    scope: Any = None
    batch_hash: Any = None
    host_allocator: Any = None


class Target(msgspec.Struct, frozen=True):
    """Which score is compared, and which way is up."""

    metric: str
    higher_is_better: bool


class About(msgspec.Struct, frozen=True):
    """Where a score comes from; that of `seeded` weights says nothing."""

    weights: str
    target: Target


class Noise(msgspec.Struct, frozen=True):
    """How far equal programs, and whole runs of identical code, came out apart."""

    floor: Share = DEFAULT_FLOOR
    calibrated: str = ""
    between_runs: Share | None = None
    ratio_spread: Share | None = None


class Environment(msgspec.Struct, frozen=True):
    """Where a record was taken, and with what."""

    machine: str = ""
    python: str = ""
    versions: msgspec.Raw = msgspec.Raw(b"{}")


class Process(msgspec.Struct, frozen=True):
    """As in `bench.core.record`, less what only a report shows."""

    step_s: list[Seconds] = []
    blocks: list[Count] = []
    crowded: list[bool] = []
    host_peak_bytes: Count | None = None
    device_peak_bytes: Count | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a record that are read at all."""

    cell: Cell
    status: Status
    reason: str = ""
    schema: int = SCHEMA
    processes: list[Process] = []
    pairing: Pairing = ""
    score: dict[str, float | None] = {}
    parity: Parity | None = None
    facts: msgspec.Raw = msgspec.Raw(b"{}")
    noise: Noise | None = None
    about: msgspec.Raw = msgspec.Raw(b"null")
    environment: Environment = Environment()
    started: str = ""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A record in brief. Times in seconds a step, memory in bytes."""

    cell: Cell
    status: Status
    reason: str
    processes: list[list[float]]
    """Medians of blocks, NaN where a neighbour was busy and the others suffice; empty where there is no usable time."""
    sure: bool
    """Whether there are processes and undisturbed blocks enough for a verdict."""
    pairing: Pairing
    metric: str
    """Of the score; empty where the record has none that says anything."""
    score: float | None
    higher_is_better: bool
    parity: Parity | None
    host_peaks: list[int]
    """In the steady state, of each process; empty where it cannot be known."""
    device_peaks: list[int]
    facts: Facts
    floor: float
    between_runs: float | None
    ratio_spread: float | None
    machine: str
    python: str
    versions: dict[str, str | None]
    """Of the backend's distributions."""
    started: str

    @property
    def host_peak_bytes(self) -> int | None:
        """The largest of all processes."""
        return max(self.host_peaks, default=None)

    @property
    def device_peak_bytes(self) -> int | None:
        """The largest of all processes."""
        return max(self.device_peaks, default=None)

    @property
    def quiet(self) -> list[list[float]]:
        """Medians of the blocks that count."""
        return statistics.known(self.processes)

    @property
    def step_s(self) -> float | None:
        """Median of all blocks that count."""
        return statistics.median([step_s for process in self.quiet for step_s in process]) if self.processes else None


decoder = msgspec.json.Decoder(Line)


@lru_cache(maxsize=4096)
def facts(text: bytes) -> Facts:
    """Equal texts, which most cells of a run have, are decoded once and share the result."""
    return msgspec.json.decode(text, type=Facts)


@lru_cache(maxsize=4096)
def versions_of(text: bytes) -> dict[str, str | None]:
    """Name of a distribution -> its version; None where it was not installed."""
    return msgspec.json.decode(text, type=dict[str, str | None])


@lru_cache(maxsize=4096)
def target_of(text: bytes) -> Target | None:
    """Return what the score is held to; None where its weights are random, or it has no source."""
    about = msgspec.json.decode(text, type=About | None)
    return about.target if about and about.weights != "seeded" else None


def parse(text: bytes) -> Summary:
    """One record in brief, of this schema or an older one. Raises UnreadableError where the line is neither."""
    try:
        line = decoder.decode(text)
        if line.schema != SCHEMA:
            line = decoder.decode(msgspec.json.encode(migrations.migrated(text, line.schema)))
        if reason := contradiction(line):
            raise UnreadableError(reason)
        return summary(line)
    except UNREADABLE as error:
        raise UnreadableError(str(error)) from error


def summary(line: Line) -> Summary:
    """The figures of a line."""
    ok = line.status == "ok"
    target = target_of(bytes(line.about))
    scored = ok and target is not None and target.metric in line.score
    timed = until_the_last_timed(line.processes)
    blocks = blocks_of(timed) if ok else []
    crowded = [process.crowded for process in timed]
    quiet = statistics.without(blocks, crowded) if any(map(any, crowded)) else blocks
    sure = statistics.enough(statistics.known(quiet) if quiet is not blocks else blocks)
    return Summary(
        cell=line.cell,
        status=line.status,
        reason=line.reason,
        processes=quiet if sure else blocks,
        sure=sure,
        pairing=line.pairing,
        metric=target.metric if target and scored else "",
        score=line.score[target.metric] if target and scored else None,
        higher_is_better=target.higher_is_better if target else True,
        parity=line.parity,
        host_peaks=steady_peaks([process.host_peak_bytes for process in line.processes]),
        device_peaks=steady_peaks([process.device_peak_bytes for process in line.processes]),
        facts=facts(bytes(line.facts)),
        floor=line.noise.floor if line.noise else DEFAULT_FLOOR,
        between_runs=line.noise.between_runs if line.noise else None,
        ratio_spread=line.noise.ratio_spread if line.noise else None,
        machine=line.environment.machine,
        python=line.environment.python,
        versions=versions_of(bytes(line.environment.versions)),
        started=line.started,
    )


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A journal in brief: the last record of each cell, where a retry wrote another."""

    path: Path
    cells: dict[Cell, Summary]
    unreadable: list[str]
    """What to tell of lines that are no record."""


def read(path: Path) -> Run:
    """A journal, line by line; raises WeighbridgeError where it holds no record at all."""
    cells: dict[Cell, Summary] = {}
    others: list[Unreadable] = []
    for _, found in journals.parsed(path, parse, others):
        cells[found.cell] = found
    if not cells:
        why = f": {others[0].reason}" if others else ""
        raise WeighbridgeError(f"{path} holds no record that this version can read{why}")
    return Run(path=path, cells=cells, unreadable=journals.complaints(path, others))


def read_both(before: Path, after: Path) -> tuple[Run, Run]:
    """Two journals, each by a process of its own where they are large."""
    if after.stat().st_size < WORTH_BYTES:
        return read(before), read(after)
    with alongside(packed, str(after), returns=tuple[list[Summary], list[str]]) as other:
        ours = read(before)
        summaries, unreadable = other()
    return ours, Run(path=after, cells={each.cell: each for each in summaries}, unreadable=unreadable)


def packed(path: str) -> tuple[list[Summary], list[str]]:
    """A journal in brief, to be sent."""
    run = read(Path(path))
    return list(run.cells.values()), run.unreadable


@contextmanager
def no_collection() -> Generator[None]:
    """Millions of objects that all stay, and hold no cycle, are looked through again and again by the collector.

    They are frozen at the end: the first object made afterwards would have it look through them after all.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.freeze()
            gc.enable()
