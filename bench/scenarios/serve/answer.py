"""The worker's end of MLPerf's scenarios: real samples in host memory, answered one query after the other.

What is timed is what a service does: a query's samples go to the device, through the model and back to the host.
Terms are MLPerf's: a sample is one example of the eval split, a query is what arrives at once.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from weighbridge.bench.core.arrays import Arrays
from weighbridge.bench.core.backend import Backend, Session
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.task import Examples, Task
from weighbridge.bench.measure.clock import elapsed, forget_garbage, quiet_collector
from weighbridge.bench.scenarios.base import padded
from weighbridge.bench.scenarios.serve import audit
from weighbridge.bench.scenarios.serve.arrivals import schedule
from weighbridge.bench.scenarios.serve.audit import AuditResult
from weighbridge.bench.scenarios.serve.pipe import arriving
from weighbridge.bench.scenarios.serve.requests import (
    Audit,
    Offline,
    Samples,
    Serve,
    ServeRequest,
    Stage,
    Staged,
    Stream,
)
from weighbridge.bench.scenarios.serve.server import Server, ServerRun
from weighbridge.bench.scenarios.steps.answer import StepsAnswers
from weighbridge.bench.scenarios.steps.requests import StepsRequest

MOST_SAMPLES = 1024
"""Held in memory, as MLPerf's performance samples are."""


class Service:
    """An open session as a service."""

    def __init__(self, cell: Cell, backend: Backend, task: Task, session: Session, examples: Examples) -> None:
        self.cell, self.backend, self.task, self.session = cell, backend, task, session
        count = min(MOST_SAMPLES, len(examples))
        self.inputs = {name: array[:count] for name, array in examples.inputs.items()}
        self.count, self.most = count, cell.batch_size
        self.logs = {"": audit.Log()}
        self.log = self.logs[""]

    def reply(self, request: ServeRequest) -> Staged | list[float] | Samples | ServerRun | AuditResult:
        """Dispatch on the request's type."""
        match request:
            case Stage():
                return self.stage(request)
            case Stream():
                return self.stream(request)
            case Offline():
                return self.offline(request)
            case Serve():
                return self.serve(request)
            case Audit():
                return self.audit(request)

    def stage(self, request: Stage) -> Staged:
        """One step of each size, so that nothing compiles under load."""
        self.most = request.most
        begin = self.session.clock()
        ready = [self.size(count) for count in request.counts]
        for size in ready:
            self.answer([0] * size)
        forget_garbage()
        return Staged(samples=self.count, sizes=sorted(set(ready)), seconds=elapsed(self.session.clock() - begin))

    def size(self, count: int) -> int:
        """Return what a batch of so many samples is run at: padded where each size is a program of its own."""
        return padded(count, self.most) if self.backend.program_a_shape else count

    def inputs_of(self, chosen: Sequence[int], size: int) -> Arrays:
        """Samples as a batch of `size` rows; what is missing repeats the first."""
        index = np.array([*chosen, *[chosen[0]] * (size - len(chosen))])
        return {name: array[index] for name, array in self.inputs.items()}

    def answer(self, chosen: Sequence[int]) -> Arrays:
        """Outputs of these samples, on the host; at most `most` of them."""
        session = self.session
        y = session.step(session.to_device(self.inputs_of(chosen, self.size(len(chosen)))))
        session.sync(y)
        outputs = session.to_host(y)
        self.log.note(chosen, outputs)
        return outputs

    def open_log(self, run: str) -> None:
        """Outputs from here on are those of this kind of run."""
        self.log = self.logs.setdefault(run, audit.Log())

    def samples(self, seed: int) -> Iterator[int]:
        """Samples as MLPerf draws them, with replacement."""
        rng = random.Random(seed)
        while True:
            yield rng.randrange(self.count)

    def stream(self, request: Stream) -> list[float]:
        """Seconds of each query, of as many as are wanted and as fill the time."""
        clock, chosen = self.session.clock, self.samples(request.seed)
        self.open_log(f"stream of {request.samples}")
        found: list[float] = []
        with quiet_collector():
            end = clock() + request.seconds
            while len(found) < request.fewest or clock() < end:
                query = [next(chosen) for _ in range(request.samples)]
                begin = clock()
                for start in range(0, len(query), self.most):
                    self.answer(query[start : start + self.most])
                found.append(elapsed(clock() - begin))
        return found

    def offline(self, request: Offline) -> Samples:
        """Samples and seconds. A batch is handed in before the last one is fetched, so that a device is never idle."""
        session, chosen = self.session, self.samples(request.seed)
        self.open_log("offline")
        done, before = 0, None
        with quiet_collector():
            begin = session.clock()
            while done < request.fewest * self.most or session.clock() - begin < request.seconds:
                query = [next(chosen) for _ in range(self.most)]
                y = session.step(session.to_device(self.inputs_of(query, self.most)))
                self._fetch(before)
                before, done = (query, y), done + self.most
            self._fetch(before)
            return Samples(samples=done, seconds=elapsed(session.clock() - begin))

    def _fetch(self, handed_in: tuple[list[int], Any] | None) -> None:
        if handed_in:
            query, y = handed_in
            self.session.sync(y)
            self.log.note(query, self.session.to_host(y))

    def serve(self, request: Serve) -> ServerRun:
        """One run of the server, on the clock that the generator shares."""
        due = schedule(request.rate, request.queries, request.seed)
        drawn = self.samples(request.seed + 1)
        samples = [next(drawn) for _ in due]
        self.open_log("server")
        bound = float("inf") if request.bound_s is None else request.bound_s
        with quiet_collector(), arriving(request.rate, request.queries, request.seed) as (line, start):

            def answer(indices: list[int]) -> None:
                self.answer([samples[index] for index in indices])

            server = Server(due, line, lambda: time.monotonic() - start, answer, request.policy)
            return server.serve(bound, request.most_late)

    def audit(self, request: Audit) -> AuditResult:
        """TEST01 on what was logged under load, TEST04 now."""
        self.logs.pop("", None)
        loaded = [pair for log in self.logs.values() for pair in log.outputs.items()]
        self.log = audit.Log()
        wanted = sorted({sample for sample, _ in loaded})
        scored: dict[int, Arrays] = {}
        size = self.cell.batch_size
        for start in range(0, len(wanted), size):
            chosen = wanted[start : start + size]
            y = self.session.step(self.session.to_device(self.inputs_of(chosen, size)))
            self.session.sync(y)
            scored |= audit.rows(chosen, self.session.to_host(y))
        repeats = self._repeated(request.seed)
        return audit.audited(loaded, scored, self.cell.precision, self.task.decision, repeats)

    def _repeated(self, seed: int) -> audit.Repeats:
        """Seconds of batches of one sample over and over, and of batches of many samples, in turns."""
        clock, chosen = self.session.clock, self.samples(seed)
        same, varied = [next(chosen)] * self.most, list[list[int]]()
        times: tuple[list[float], list[float]] = ([], [])
        with quiet_collector():
            for _ in range(audit.PAIRS):
                varied = [next(chosen) for _ in range(self.most)]
                for query, taken in ((same, times[0]), (varied, times[1])):
                    begin = clock()
                    for _ in range(audit.STEPS_A_TURN):
                        self.answer(query)
                    taken.append(clock() - begin)
        return audit.Repeats(same_s=times[0], varied_s=times[1])


class ServeAnswers(StepsAnswers):
    """The worker's end: what timed steps are asked, and a service from the moment at which it is staged."""

    service: Service

    def answer(self, request: StepsRequest | ServeRequest) -> object:
        """Dispatch on the request's type."""
        match request:
            case Stage():
                host = self.host
                self.service = Service(self.cell, host.backend, host.task, self.session, host.examples())
                return self.service.reply(request)
            case Stream() | Offline() | Serve() | Audit():
                return self.service.reply(request)
            case _:
                return super().answer(request)
