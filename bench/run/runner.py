"""Cells -> groups -> worker processes -> records. Thin: it imports no framework, and it blocks while it waits.

The reference prepares every group before anything is timed; then each group is weighed (`bench.run.group`), and each
record is on the disk before the next is looked at.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.core.record import Record, provenance
from weighbridge.bench.measure import memory
from weighbridge.bench.run import cards, planners
from weighbridge.bench.run.folders import Options
from weighbridge.bench.run.group import Group
from weighbridge.bench.run.jobs import Job, Planned, job
from weighbridge.bench.run.plan import grouped
from weighbridge.bench.run.planners import Planner
from weighbridge.bench.run.process import Worker, WorkerFailed, living
from weighbridge.bench.run.protocol import Prepare
from weighbridge.bench.run.watcher import Watcher
from weighbridge.bench.storage import prepared
from weighbridge.bench.storage.journals import append
from weighbridge.bench.storage.prepared import GIVEN, Prepared

NOTHING: Mapping[Cell, Record] = {}


def run(
    planned: Planned, journal: Path, watcher: Watcher, options: Options, known: Mapping[Cell, Record] = NOTHING
) -> list[Record]:
    """Weigh a plan into `journal`, but for what is `known`; return the records of the plan's cells."""
    nouns = job(planned, options.time_limit_s, options.effort, options.allocator)
    return walked(Run(nouns, journal, watcher), planners.of_plan(planned.cells), known)


def walked(walk: Run, planner: Planner, known: Mapping[Cell, Record]) -> list[Record]:
    """Follow a planner to its end; return the records of its cells, in its order."""
    found = {**known, **{record.cell: record for record in walk.follow(planner, known)}}
    return [found[cell] for cell in planner(found) if cell in found]


class Run:
    """One walk over the cells of a plan, appending to one journal."""

    def __init__(self, job: Job, journal: Path, watcher: Watcher) -> None:
        self.job, self.journal, self.watcher = job, journal, watcher
        self.logs = journal.parent / "logs"

    def follow(self, planner: Planner, known: Mapping[Cell, Record]) -> Iterator[Record]:
        """Weighs what a planner asks for and nobody knows, until it asks for nothing new. Yields new records."""
        found = dict(known)
        while todo := [cell for cell in planner(found) if cell not in found]:
            for record in self.weigh(todo):
                found[record.cell] = record
                yield record

    def weigh(self, cells: Sequence[Cell]) -> Iterator[Record]:
        """Weighs each cell; yields each record after it is on the disk."""
        barred = {cell.id: reason for cell in cells if (reason := self.why_not(cell))}
        able = [cell for cell in cells if cell.id not in barred]
        made = self.prepare(able)
        for cell in cells:
            if cell.id in barred:
                yield self._book(Record(cell=cell, status="skipped", reason=barred[cell.id]))
        for group, members in grouped(able).items():
            started = _now()
            for record in self._weigh(members, made[group]):
                yield self._book(msgspec.structs.replace(record, started=started))

    def _book(self, record: Record) -> Record:
        about = provenance(self.job.task(record.cell), record.cell, self.contenders(record.cell))
        record = msgspec.structs.replace(record, about=about, started=record.started or _now())
        append(self.journal, record)
        self.watcher.finished(record)
        return record

    def contenders(self, cell: Cell) -> list[str]:
        """Return who could be weighed here on the same: a reader must know who was not."""
        others = (msgspec.structs.replace(cell, backend=each.name) for each in self.job.visible)
        able = (cards.why_not(each, cell) is None for each, cell in zip(self.job.visible, others, strict=True))
        return [each.name for each, can in zip(self.job.visible, able, strict=True) if can]

    def _weigh(self, cells: Sequence[Cell], made: Prepared | WorkerFailed) -> Iterator[Record]:
        if isinstance(made, WorkerFailed):
            return (Record(cell=cell, status=made.status, reason=made.reason) for cell in cells)
        return Group(self.job, cells, made, self.watcher, self.logs).weigh()

    def why_not(self, cell: Cell) -> str | None:
        """The reason to skip a cell: its backend's, or that its data cannot be had."""
        try:
            self.job.files(cell.task)
        except WeighbridgeError as error:
            return str(error)
        reference = self.job.backends[self.job.reference]
        return cards.why_not(self.job.backend(cell), cell) or cards.not_installed(reference)

    def prepare(self, cells: Sequence[Cell]) -> dict[str, Prepared | WorkerFailed]:
        """Every group's prepared files, from the reference, before anything is timed.

        In a process of its own, since its memory counts for no cell; in one for all groups, since starting a framework
        takes seconds; in a new one after a failure, which is that group's and no other's.
        """
        groups = {group: self._on_reference(members[0]) for group, members in grouped(cells).items()}
        made: dict[str, Prepared | WorkerFailed] = {
            group: known for group, cell in groups.items() if (known := self._remembered(cell))
        }
        while left := {group: cell for group, cell in groups.items() if group not in made}:
            self._prepare_some(left, made)
        return made

    def _on_reference(self, cell: Cell) -> Cell:
        return msgspec.structs.replace(cell, backend=self.job.reference, device="cpu")

    def _remembered(self, cell: Cell) -> Prepared | None:
        files, reference = self.job.files(cell.task), self.job.backends[self.job.reference]
        return prepared.remembered(self.job.root, self.job.task(cell), cell, files, reference)

    def _prepare_some(self, groups: dict[str, Cell], made: dict[str, Prepared | WorkerFailed]) -> None:
        """Prepares groups in one process, in order, until the first failure."""
        reference = self.job.backends[self.job.reference]
        first = next(iter(groups.values()))
        variables = self.job.variables(first, self.job.root / "compiled")
        if self.job.host_limit_bytes is not None:  # the oracle is not what is weighed: it may take whatever is free
            variables |= memory.limit_variables(self.job.free_bytes())
        log = self.logs / f"{first.id}.prepare.log"
        with living(Worker(variables, log, self.job.time_limit_s, self.watcher.progress)) as worker:
            for group, cell in groups.items():
                self.watcher.started(cell)
                self.watcher.phase("preparing the reference")
                worker.left_s = self.job.time_limit_s
                request = Prepare(
                    cell=cell,
                    root=self.job.root,
                    files=self.job.files(cell.task),
                    task=self.job.task(cell),
                    reference=reference,
                )
                begin = time.monotonic()
                try:
                    made[group] = worker.ask(request)
                    self.watcher.prepared(cell, time.monotonic() - begin)
                except WorkerFailed as failure:
                    if cell.weights:  # a wrong file is a wrong request, and nothing of it can be weighed
                        raise WeighbridgeError(f"--weights {request.files[GIVEN]}: {failure.reason}") from failure
                    made[group] = WorkerFailed(failure.status, f"preparing the reference: {failure.reason}")
                    worker.kept = True
                    return


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
