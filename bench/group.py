"""One group of cells, weighed against each other: opened together, readied one by one, timed in turns.

Whatever becomes of a worker, its cell ends in a record and the others go on (measuring rule 26). Cells that do
not fit in memory together are weighed one after the other, and their records say so (`pairing: sequential`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import msgspec

from bench.core.backend import Backend, Cost
from bench.core.cell import Cell, Device, Pairing, Status
from bench.core.effort import Tier
from bench.core.record import Peaks, Record
from bench.core.task import Task
from bench.measure import allocator, memory, noise, statistics
from bench.measure.allocator import Allocator
from bench.measure.noise import Calibration, Sampler
from bench.measure.roofline import beyond
from bench.process import Worker, WorkerFailed, thread_variables
from bench.scenarios.base import ImplausibleError, ParityError
from bench.scenarios.steps.measure import Weighing
from bench.storage.prepared import Artefacts, compile_cache
from bench.turns import take_turns
from bench.worker import Open

FRAMEWORK_BYTES = 1 << 30
"""What a process with a framework and its programs takes beside its weights: 0.4 to 0.9 GiB for the suite's."""
COPIES = 3
"""Weights as read, as loaded, and room for activations."""


class Watcher(Protocol):
    """Who is told what a run does. The terminal display is one; tests have another."""

    def started(self, cell: Cell) -> None:
        """A cell's turn has come."""

    def phase(self, name: str) -> None:
        """What its worker does now."""

    def progress(self, fraction: float) -> None:
        """How far that is, 0 to 1, where it can tell."""

    def finished(self, record: Record) -> None:
        """A cell's record is on the disk."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a run needs beside its cells."""

    reference: str
    tier: Tier
    allocator: Allocator = "keep"
    """Of every worker's host memory."""
    visible: Sequence[Any] = ()
    """The backends that a listing shows, whether they are asked for or not."""
    time_limit_s: float
    root: Path
    """The cache that holds artefacts and compiled programs."""
    backends: Mapping[str, Any]
    """Name -> Backend, the reference's among them."""
    tasks: Mapping[str, Any]
    """Name -> Task."""
    files: Callable[[str], dict[str, Path]]
    """Task name -> its verified data folders. Raises WeighbridgeError where a package cannot be had."""
    free_bytes: Callable[[], int]
    """Host memory that can be had now."""
    host_limit_bytes: int | None = None
    """What one worker may take of the host's memory; None where it is not bounded. Those that are open together are
    bounded by their share of what is free, too."""
    calibration: Calibration | None = None
    peaks: Mapping[Device, Peaks] = {}

    def backend(self, cell: Cell) -> Backend:
        """Of a cell."""
        return self.backends[cell.backend]

    def task(self, cell: Cell) -> Task:
        """Of a cell."""
        return self.tasks[cell.task]

    def variables(self) -> dict[str, str]:
        """The environment that all workers share: as many threads, and the same allocator."""
        return {**thread_variables(), **allocator.variables(self.allocator)}


NOTHING_MORE: Mapping[str, str] = {}


class Entrant:
    """One cell on its way through the group: its weighing, its worker of the moment, and how it ended."""

    def __init__(self, cell: Cell, job: Job, watcher: Watcher, variables: Mapping[str, str] = NOTHING_MORE) -> None:
        self.cell, self.watcher, self.variables = cell, watcher, variables
        self.weighing = Weighing(cell, job.tier, watcher.phase)
        self.worker: Worker
        self.status: Status = "ok"
        self.reason = ""
        self.left_s, self.wall_s = job.time_limit_s, 0.0

    def attempt(self, action: Callable[[], object]) -> None:
        """Runs `action` with the worker awake, unless the cell has failed; a failure is this cell's alone."""
        if self.failed():
            return
        begin = time.monotonic()
        try:
            with self.worker.awake():
                action()
        except WorkerFailed as failure:
            self.fail(failure.status, failure.reason)
        except ParityError as failure:
            self.fail("parity_failed", str(failure))
        except ImplausibleError as failure:
            self.fail("implausible", str(failure))
        self.left_s = self.worker.left_s
        self.wall_s += time.monotonic() - begin

    def begin(self) -> None:
        """Hears that the worker has opened the cell."""
        self.weighing.begin(self.worker.ask, self.worker.answer())

    def fail(self, status: Status, reason: str) -> None:
        """It takes no further part."""
        self.status, self.reason = status, reason
        self.worker.kept = True

    def failed(self) -> bool:
        """Whether it takes no further part."""
        return self.status != "ok"

    def turn(self) -> float:
        """One block, and whether it had a busy neighbour."""
        timed: list[float] = []
        sampler = Sampler([self.worker])
        self.attempt(lambda: timed.append(self.weighing.block()))
        if timed and sampler.is_crowded():
            self.weighing.crowd()
        return sum(timed)

    def crowded(self) -> bool:
        """Whether the last block had one."""
        return self.weighing.crowded()

    def medians(self) -> list[float]:
        """Of this process's blocks."""
        return self.weighing.block_medians()[-1]

    def samples(self) -> list[float]:
        """Of all processes."""
        return self.weighing.fields["step_s"]

    def record(self) -> Record:
        """What was learned."""
        return self.weighing.record(status=self.status, reason=self.reason, wall_s=self.wall_s)


class Group:
    """Cells that differ only in their backend, or equal cells that calibrate the machine."""

    def __init__(self, job: Job, cells: Sequence[Cell], made: Artefacts, watcher: Watcher, logs: Path) -> None:
        self.job, self.cells, self.made, self.watcher, self.logs = job, cells, made, watcher, logs
        self.rng = random.Random(cells[0].group)

    def weigh(self) -> Iterator[Record]:
        """A record a cell, as soon as its round is over. A cell that ran out of memory in company is tried alone."""
        for cells in self.rounds():
            entrants = self.round(cells)
            full = [entrant for entrant in entrants if entrant.status == "oom" and len(entrants) > 1]
            yield from (entrant.record() for entrant in entrants if entrant not in full)
            for entrant in full:
                yield from (again.record() for again in self.round([entrant.cell]))

    def rounds(self) -> list[list[Cell]]:
        """The cells that are held open together: all of them, or as many as memory has room for, reference first."""
        need = FRAMEWORK_BYTES + COPIES * self.made.weights.stat().st_size
        room = max(1, self.job.free_bytes() // need)
        ordered = sorted(self.cells, key=lambda cell: cell.backend != self.job.reference)
        return [list(ordered[start : start + room]) for start in range(0, len(ordered), room)]

    def round(self, cells: Sequence[Cell]) -> list[Entrant]:
        """Weighs cells in company."""
        return self.compete([Entrant(cell, self.job, self.watcher) for cell in cells])

    def compete(self, entrants: list[Entrant]) -> list[Entrant]:
        """Weighs entrants against each other, in as many processes as the tier wants."""
        elsewhere: list[float | None] = []
        stopped: list[str] = []
        with ExitStack() as stack:
            caches = [stack.enter_context(compile_cache(self.job.root)) for _ in entrants]
            for index in range(self.job.tier.processes):
                with self.opened(entrants, caches):
                    for entrant in entrants:
                        self._attempt(entrant, entrant.weighing.get_ready)
                    sampler = Sampler([entrant.worker for entrant in entrants])
                    tell = self._tell_turn(index)
                    stopped.append(take_turns(entrants, self.job.tier, self.rng, tell, noise.wait_for_quiet))
                    elsewhere.append(sampler.cpus_elsewhere())
                    for entrant in entrants:
                        self._attempt(entrant, entrant.weighing.finish)
        pairing = "interleaved" if len(entrants) > 1 and self._is_reference(entrants[0]) else "sequential"
        self._doubt(entrants)
        for entrant in entrants:
            self._book(entrant, pairing, "time cap" if "time cap" in stopped else "converged", elsewhere)
        return entrants

    def _doubt(self, entrants: Sequence[Entrant]) -> None:
        """No step is faster than the machine."""
        counted = (entrant.weighing.fields.get("cost") for entrant in entrants if self._is_reference(entrant))
        cost: Cost | None = next(counted, None)
        for entrant in entrants:
            peaks, step_s = self.job.peaks.get(entrant.cell.device), entrant.samples()
            if peaks and step_s and cost and not entrant.failed():
                too_fast = beyond(cost, statistics.median(step_s), peaks, entrant.cell.precision)
                if too_fast:
                    entrant.fail("implausible", too_fast)

    def _is_reference(self, entrant: Entrant) -> bool:
        return entrant.cell.backend == self.job.reference

    def _attempt(self, entrant: Entrant, action: Callable[[], object]) -> None:
        if not entrant.failed():
            self.watcher.started(entrant.cell)
            entrant.attempt(action)

    def _tell_turn(self, process: int) -> Callable[[int], None]:
        of = self.job.tier.processes
        return lambda turn: self.watcher.phase(f"taking turns, process {process + 1} of {of}, turn {turn}")

    @contextmanager
    def opened(self, entrants: Sequence[Entrant], caches: Sequence[Path]) -> Generator[None]:
        """Workers of all that have not failed, loaded side by side and then stopped; dead afterwards."""
        alive = [(entrant, cache) for entrant, cache in zip(entrants, caches, strict=True) if not entrant.failed()]
        bound = self._bound(len(alive))
        with ExitStack() as stack:
            for index, (entrant, cache) in enumerate(alive):
                self.watcher.started(entrant.cell)
                self.watcher.phase("opening")
                entrant.worker = stack.enter_context(self._worker(entrant, cache, f".{index}", bound))
            for entrant, _ in alive:
                entrant.attempt(entrant.begin)
            yield

    def _bound(self, workers: int) -> int | None:
        """What each of as many workers may take, so that all of them together leave the host's neighbours theirs."""
        limit = self.job.host_limit_bytes
        return None if limit is None else max(1, min(limit, self.job.free_bytes() // max(1, workers)))

    @contextmanager
    def _worker(self, entrant: Entrant, cache: Path, suffix: str, bound: int | None) -> Generator[Worker]:
        """A worker that has been asked to open the cell, and is dead afterwards; its log stays where it failed."""
        cell, backend = entrant.cell, self.job.backend(entrant.cell)
        variables = {**self.job.variables(), **backend.env(cell, cache), **entrant.variables}
        variables |= memory.limit_variables(bound)
        entrant.weighing.note({"host_limit_bytes": bound} if bound is not None else {})
        log = self.logs / f"{cell.id}{suffix}.log"
        with living(Worker(variables, log, entrant.left_s, self.watcher.progress)) as worker:
            worker.send(Open(cell=cell, artefacts=self.made, files=self.job.files(cell.task)))
            yield worker

    def _book(self, entrant: Entrant, pairing: Pairing, stopped: Any, elsewhere: Sequence[float | None]) -> None:
        """What the round knows and no single conversation."""
        entrant.weighing.note({"weights_hash": self.made.weights_hash, "batch_hash": self.made.batch_hash})
        fields = entrant.weighing.fields
        if fields["step_s"]:
            fields |= {
                "pairing": pairing,
                "stopped_by": stopped,
                "settled": stopped == "converged",
                "peaks": self.job.peaks.get(entrant.cell.device),
                "noise": noise.noise(self.job.calibration, entrant.cell, elsewhere),
            }


@contextmanager
def living(worker: Worker) -> Generator[Worker]:
    """A worker that is dead afterwards; its log stays where it failed."""
    try:
        yield worker
    except WorkerFailed:
        worker.kept = True
        raise
    finally:
        worker.kill()
        if not worker.kept:
            worker.log.unlink(missing_ok=True)
            with suppress(OSError):
                worker.log.parent.rmdir()
