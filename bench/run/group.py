"""One group of cells, weighed against each other: opened together, readied one by one, timed in turns.

Whatever becomes of a worker, its cell ends in a record and the others go on (measuring rule 26). Cells that do
not fit in memory together are weighed one after the other, and their records say so (`pairing: sequential`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from weighbridge.bench.core.backend import Cost
from weighbridge.bench.core.cell import Cell, Pairing
from weighbridge.bench.core.record import Record
from weighbridge.bench.measure import memory, noise, statistics
from weighbridge.bench.measure.noise import Sampler
from weighbridge.bench.measure.pace import of_this_machine
from weighbridge.bench.measure.roofline import beyond
from weighbridge.bench.run.jobs import NOTHING_MORE, Job
from weighbridge.bench.run.member import Member
from weighbridge.bench.run.process import Worker, WorkerFailed, living
from weighbridge.bench.run.turns import take_turns
from weighbridge.bench.run.watcher import Watcher
from weighbridge.bench.scenarios import catalog
from weighbridge.bench.storage.prepared import Prepared, compile_cache

FRAMEWORK_BYTES = 1 << 30
"""What a process with a framework and its programs takes beside its weights: 0.4 to 0.9 GiB for the suite's."""
COPIES = 3
"""Weights as read, as loaded, and room for activations."""


class Group:
    """Cells that differ only in their backend, or equal cells that calibrate the machine."""

    def __init__(self, job: Job, cells: Sequence[Cell], made: Prepared, watcher: Watcher, logs: Path) -> None:
        self.job, self.cells, self.made, self.watcher, self.logs = job, cells, made, watcher, logs
        self.rng = random.Random(cells[0].group)
        self.scenario = catalog.scenario(cells[0].scenario)
        self.pace = of_this_machine()

    def weigh(self) -> Iterator[Record]:
        """A record a cell, as soon as its round is over. A cell that ran out of memory in company is tried alone."""
        for cells in self.rounds():
            members = self.round(cells)
            full = [member for member in members if member.status == "oom" and len(members) > 1]
            yield from (member.record() for member in members if member not in full)
            for member in full:
                yield from (again.record() for again in self.round([member.cell]))

    def rounds(self) -> list[list[Cell]]:
        """The cells that are held open together: all of them, or as many as memory has room for, reference first."""
        need = FRAMEWORK_BYTES + COPIES * self.made.weights.stat().st_size
        room = max(1, self.job.free_bytes() // need)
        ordered = sorted(self.cells, key=lambda cell: not cell.is_reference(self.job.reference))
        return [list(ordered[start : start + room]) for start in range(0, len(ordered), room)]

    def round(self, cells: Sequence[Cell]) -> list[Member]:
        """Weighs cells in company."""
        return self.compete([self.member(cell) for cell in cells])

    def member(self, cell: Cell, variables: Mapping[str, str] = NOTHING_MORE) -> Member:
        """A cell at the start of its way, with more in its workers' environment where that is asked for."""
        return Member(cell, self.job, self.watcher, self.pace, variables)

    def compete(self, members: list[Member]) -> list[Member]:
        """Weighs members against each other, in as many processes as the effort wants."""
        elsewhere: list[float | None] = []
        stopped: list[str] = []
        with ExitStack() as stack:
            caches = [stack.enter_context(compile_cache(self.job.root)) for _ in members]
            for index in range(self.scenario.processes(self.job.effort)):
                with self.opened(members, caches):
                    for member in members:
                        self._attempt(member, member.weighing.get_ready)
                    if self.scenario.in_turns:
                        sampler = Sampler([member.worker for member in members])
                        tell = self._tell_turn(index)
                        stopped.append(take_turns(members, self.job.effort, self.rng, tell, noise.wait_for_quiet))
                        elsewhere.append(sampler.cpus_elsewhere())
                    for member in members:
                        self._attempt(member, member.weighing.finish)
        in_turns = self.scenario.in_turns and len(members) > 1 and self._is_reference(members[0])
        pairing = "interleaved" if in_turns else "sequential"
        self._doubt(members)
        for member in members:
            self._book(member, pairing, "time cap" if "time cap" in stopped else "converged", elsewhere)
        return members

    def _doubt(self, members: Sequence[Member]) -> None:
        """No step is faster than the machine."""
        counted = (member.weighing.cost for member in members if self._is_reference(member))
        cost: Cost | None = next(counted, None)
        for member in members:
            peaks, step_s = self.job.peaks.get(member.cell.device), member.samples()
            if peaks and step_s and cost and not member.failed():
                too_fast = beyond(cost, statistics.median(step_s), peaks, member.cell.precision)
                if too_fast:
                    member.fail("implausible", too_fast)

    def _is_reference(self, member: Member) -> bool:
        return member.cell.is_reference(self.job.reference)

    def _attempt(self, member: Member, action: Callable[[], object]) -> None:
        if not member.failed():
            self.watcher.started(member.cell)
            member.attempt(action)

    def _tell_turn(self, process: int) -> Callable[[int], None]:
        of = self.scenario.processes(self.job.effort)
        return lambda turn: self.watcher.phase(f"taking turns, process {process + 1} of {of}, turn {turn}")

    @contextmanager
    def opened(self, members: Sequence[Member], caches: Sequence[Path]) -> Generator[None]:
        """Workers of all that have not failed, loaded side by side and then stopped; dead afterwards."""
        alive = [(member, cache) for member, cache in zip(members, caches, strict=True) if not member.failed()]
        bound = self._bound(len(alive))
        with ExitStack() as stack:
            for index, (member, cache) in enumerate(alive):
                self.watcher.started(member.cell)
                self.watcher.phase("opening")
                try:
                    member.worker = stack.enter_context(self._worker(member, cache, f".{index}", bound))
                except WorkerFailed as failure:  # its backend does not say in which environment
                    member.status, member.reason = failure.status, failure.reason
            for member, _ in alive:
                member.attempt(member.begin)
            yield

    def _bound(self, workers: int) -> int | None:
        """Return what each of as many workers may take, so that all together leave the host's neighbours theirs."""
        limit = self.job.host_limit_bytes
        return None if limit is None else max(1, min(limit, self.job.free_bytes() // max(1, workers)))

    @contextmanager
    def _worker(self, member: Member, cache: Path, suffix: str, bound: int | None) -> Generator[Worker]:
        """A worker that has been asked to open the cell, and is dead afterwards; its log stays where it failed."""
        cell, job = member.cell, self.job
        variables = {**job.variables(cell, cache), **member.variables}
        variables |= memory.limit_variables(bound)
        member.weighing.note({"host_limit_bytes": bound} if bound is not None else {})
        log = self.logs / f"{cell.id}{suffix}.log"
        with living(Worker(variables, log, member.left_s, self.watcher.progress)) as worker:
            member.opening = job.opening(cell, self.made)
            worker.send(member.opening)
            yield worker

    def _book(self, member: Member, pairing: Pairing, stopped: Any, elsewhere: Sequence[float | None]) -> None:
        """Add what the round knows and no single conversation."""
        member.weighing.note({"weights_hash": self.made.weights_hash, "batch_hash": self.made.batch_hash})
        member.weighing.tell_moved(self.made.moved_aside)
        if member.samples():
            member.booked = {
                "pairing": pairing,
                "stopped_by": stopped,
                "settled": stopped == "converged",
                "peaks": self.job.peaks.get(member.cell.device),
                "noise": noise.noise(self.job.calibration, member.cell, elsewhere),
            }
