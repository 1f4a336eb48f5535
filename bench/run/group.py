"""One group of cells, weighed against each other: opened together, readied one by one, timed in turns.

Whatever becomes of a worker, its cell ends in a record and the others go on (measuring rule 26). Cells that do
not fit in memory together are weighed one after the other, and their records say so (`pairing: sequential`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.core.backend import Cost
from bench.core.cell import Cell, Pairing
from bench.core.record import Record
from bench.measure import memory, noise, statistics
from bench.measure.noise import Sampler
from bench.measure.roofline import beyond
from bench.run.jobs import Job
from bench.run.member import Entrant
from bench.run.process import Worker, living
from bench.run.turns import take_turns
from bench.run.watcher import Watcher
from bench.scenarios import catalog
from bench.storage.prepared import Artefacts, compile_cache

FRAMEWORK_BYTES = 1 << 30
"""What a process with a framework and its programs takes beside its weights: 0.4 to 0.9 GiB for the suite's."""
COPIES = 3
"""Weights as read, as loaded, and room for activations."""


class Group:
    """Cells that differ only in their backend, or equal cells that calibrate the machine."""

    def __init__(self, job: Job, cells: Sequence[Cell], made: Artefacts, watcher: Watcher, logs: Path) -> None:
        self.job, self.cells, self.made, self.watcher, self.logs = job, cells, made, watcher, logs
        self.rng = random.Random(cells[0].group)
        self.scenario = catalog.scenario(cells[0].scenario)

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
            for index in range(self.scenario.processes(self.job.tier)):
                with self.opened(entrants, caches):
                    for entrant in entrants:
                        self._attempt(entrant, entrant.weighing.get_ready)
                    if self.scenario.in_turns:
                        sampler = Sampler([entrant.worker for entrant in entrants])
                        tell = self._tell_turn(index)
                        stopped.append(take_turns(entrants, self.job.tier, self.rng, tell, noise.wait_for_quiet))
                        elsewhere.append(sampler.cpus_elsewhere())
                    for entrant in entrants:
                        self._attempt(entrant, entrant.weighing.finish)
        in_turns = self.scenario.in_turns and len(entrants) > 1 and self._is_reference(entrants[0])
        pairing = "interleaved" if in_turns else "sequential"
        self._doubt(entrants)
        for entrant in entrants:
            self._book(entrant, pairing, "time cap" if "time cap" in stopped else "converged", elsewhere)
        return entrants

    def _doubt(self, entrants: Sequence[Entrant]) -> None:
        """No step is faster than the machine."""
        counted = (entrant.weighing.cost for entrant in entrants if self._is_reference(entrant))
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
        of = self.scenario.processes(self.job.tier)
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
        cell, job = entrant.cell, self.job
        variables = {**job.variables(cell, cache), **entrant.variables}
        variables |= memory.limit_variables(bound)
        entrant.weighing.note({"host_limit_bytes": bound} if bound is not None else {})
        log = self.logs / f"{cell.id}{suffix}.log"
        with living(Worker(variables, log, entrant.left_s, self.watcher.progress)) as worker:
            entrant.opening = job.opening(cell, self.made)
            worker.send(entrant.opening)
            yield worker

    def _book(self, entrant: Entrant, pairing: Pairing, stopped: Any, elsewhere: Sequence[float | None]) -> None:
        """What the round knows and no single conversation."""
        entrant.weighing.note({"weights_hash": self.made.weights_hash, "batch_hash": self.made.batch_hash})
        if entrant.samples():
            entrant.booked = {
                "pairing": pairing,
                "stopped_by": stopped,
                "settled": stopped == "converged",
                "peaks": self.job.peaks.get(entrant.cell.device),
                "noise": noise.noise(self.job.calibration, entrant.cell, elsewhere),
            }
