"""One cell on its way through its group."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from weighbridge.bench.core.cell import Cell, Status
from weighbridge.bench.core.record import Record
from weighbridge.bench.measure.noise import Sampler
from weighbridge.bench.measure.pace import SHARED, Pace
from weighbridge.bench.run.jobs import NOTHING_MORE, Job
from weighbridge.bench.run.process import Worker, WorkerFailed
from weighbridge.bench.run.protocol import Open
from weighbridge.bench.run.watcher import Watcher
from weighbridge.bench.scenarios import catalog
from weighbridge.bench.scenarios.base import ImplausibleError, ParityError


class Member:
    """One cell on its way through the group: its weighing, its worker of the moment, and how it ended."""

    def __init__(
        self, cell: Cell, job: Job, watcher: Watcher, pace: Pace, variables: Mapping[str, str] = NOTHING_MORE
    ) -> None:
        self.cell, self.watcher, self.pace, self.variables = cell, watcher, pace, variables
        self.weighing = catalog.scenario(cell.scenario).begin(cell, job.effort, watcher.phase)
        self.worker: Worker
        self.booked: dict[str, Any] = {}
        """Fields of its record that the round knows, and no single conversation."""
        self.opening: Open
        """What the worker of the moment was asked first."""
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
        self.weighing.begin(self.worker.ask, self.worker.answer(self.opening))

    def fail(self, status: Status, reason: str) -> None:
        """It takes no further part."""
        self.status, self.reason = status, reason
        self.worker.kept = True

    def failed(self) -> bool:
        """Whether it takes no further part."""
        return self.status != "ok"

    def turn(self) -> float:
        """One block, and whether it had a busy neighbour, inside of this machine or outside."""
        timed: list[float] = []
        sampler, before = Sampler([self.worker]), self.pace.read()
        self.attempt(lambda: timed.append(self.weighing.block()))
        if timed:
            inside, slowdown = sampler.is_crowded(), self.pace.slowdown(before, self.pace.read())
            self.weighing.beside(inside or (slowdown or 1.0) > SHARED, slowdown)
        return sum(timed)

    def crowded(self) -> bool:
        """Whether the last block had one."""
        return self.weighing.crowded()

    def medians(self) -> list[float]:
        """Return each block's median step in the current process."""
        return self.weighing.block_medians()

    def samples(self) -> list[float]:
        """Return the steps of all processes."""
        return self.weighing.step_s()

    def record(self) -> Record:
        """Return what was learned."""
        return self.weighing.record(status=self.status, reason=self.reason, wall_s=self.wall_s, **self.booked)
