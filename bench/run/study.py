"""Studies: one cell at a time in a worker of its own, for questions that a plain loop of steps does not answer.

A study asks what it wants of an open session that has shown parity, and gets a record like any other: appended and
fsynced as soon as it is known, with a typed status where it failed. Nothing else runs beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from bench.core.cell import Cell
from bench.core.record import provenance
from bench.core.trial import T
from bench.run.jobs import Job
from bench.run.process import Worker, WorkerFailed, living
from bench.run.runner import Run, grouped
from bench.run.watcher import Watcher
from bench.scenarios import catalog
from bench.scenarios.base import Ask, ParityError
from bench.scenarios.steps.requests import Close, Memory
from bench.storage.journals import append
from bench.storage.prepared import Artefacts, compile_cache

NOTHING_MORE: Mapping[str, Any] = {}
Converse = Callable[[Cell, Ask], dict[str, Any]]
"""Asks an open worker; returns the fields that a study adds to its record, as `msgspec.convert` takes them."""


class Study:
    """One walk over cells, appending to one journal.

    `cold`: the study asks before anything was computed, since a first step would compile a program that its figures
    are to count. Parity is shown afterwards, and what was asked of a wrong result is thrown away.
    """

    def __init__(self, job: Job, journal: Path, watcher: Watcher, cold: bool = False) -> None:
        self.job, self.journal, self.watcher, self.cold = job, journal, watcher, cold
        self.run = Run(job, journal, watcher)

    def trials(
        self, cells: Sequence[Cell], kind: type[T], converse: Converse, given: Mapping[str, Any] = NOTHING_MORE
    ) -> Iterator[T]:
        """Yields each record after it is on the disk; `given` are fields that it has however it ends."""
        barred = {cell: reason for cell in cells if (reason := self.run.why_not(cell))}
        made = self.run.prepare([cell for cell in cells if cell not in barred])
        for cells_alike in grouped(cells).values():
            for cell in cells_alike:
                begin = time.monotonic()
                fields: dict[str, Any] = {**given, "started": datetime.now(UTC).isoformat(timespec="seconds")}
                if cell in barred:
                    fields |= {"status": "skipped", "reason": barred[cell]}
                else:
                    fields |= self._outcome(cell, made[cell.group], converse)
                about = provenance(self.job.task(cell), cell.preset)
                fields |= {"cell": cell, "about": about, "wall_s": time.monotonic() - begin}
                trial = msgspec.convert(fields, kind, from_attributes=True)
                append(self.journal, trial)
                yield trial

    def _outcome(self, cell: Cell, made: Artefacts | WorkerFailed, converse: Converse) -> dict[str, Any]:
        """The fields of a trial, those known before a failure among them."""
        fields: dict[str, Any] = {}
        try:
            if isinstance(made, WorkerFailed):
                raise made
            self._talk(cell, made, converse, fields)
        except WorkerFailed as failure:
            return {**fields, "status": failure.status, "reason": failure.reason}
        except ParityError as failure:
            return {**fields, "parity": failure.parity, "status": "parity_failed", "reason": str(failure)}
        return {**fields, "status": "ok"}

    def _talk(self, cell: Cell, made: Artefacts, converse: Converse, fields: dict[str, Any]) -> None:
        """Opens, shows parity, asks what the study asks, and closes. No figure of a wrong result is kept."""
        self.watcher.started(cell)
        with ExitStack() as stack:
            cache = stack.enter_context(compile_cache(self.job.root))
            variables = self.job.variables(cell, cache)
            log = self.run.logs / f"{cell.id}.study.log"
            worker = stack.enter_context(living(Worker(variables, log, self.job.time_limit_s, self.watcher.progress)))
            opened = worker.ask(self.job.opening(cell, made))
            weighing = catalog.scenario(cell.scenario).begin(cell, self.job.tier, self.watcher.phase)
            weighing.begin(worker.ask, opened)
            fields["environment"] = opened.environment
            told = converse(cell, worker.ask) if self.cold else None
            if told is None:
                weighing.first()
                fields["first_s"] = weighing.now.first_s
            weighing.check()
            fields["parity"] = weighing.parity
            fields |= converse(cell, worker.ask) if told is None else told
            hashes = {"weights_hash": made.weights_hash, "batch_hash": made.batch_hash}
            fields["facts"] = {**worker.ask(Memory()).facts, **hashes}
            worker.ask(Close())
