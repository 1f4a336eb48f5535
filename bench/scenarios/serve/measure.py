"""The parent's end of MLPerf's scenarios: single stream, multi stream, offline, server; then the self-audit.

The terms are MLPerf's, the counts are ours: its own ask for ten minutes and more a scenario, as effort `strict` has.
What fewer queries allow to be said of a percentile is told by its early stopping (`stopping`).

Closed loops and full batches take turns like any timed steps, and then go on until the queries suffice for a
percentile. A server's rate is found by a search that goes its own way, in one process.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from weighbridge.bench.core import settings
from weighbridge.bench.measure import statistics
from weighbridge.bench.scenarios.base import ImplausibleError, sizes
from weighbridge.bench.scenarios.serve import rate, stopping
from weighbridge.bench.scenarios.serve.audit import AuditResult
from weighbridge.bench.scenarios.serve.rate import Probe, Search
from weighbridge.bench.scenarios.serve.requests import Audit, Offline, Samples, Serve, Stage, Stream
from weighbridge.bench.scenarios.serve.result import OfflineResult, Result, ServerResult, StreamResult, written
from weighbridge.bench.scenarios.serve.server import Policy, ServerRun
from weighbridge.bench.scenarios.serve.settings import (
    CONFIRMING,
    DURATIONS,
    PERCENTILE,
    SAMPLES_A_QUERY,
    ServerSettings,
)
from weighbridge.bench.scenarios.steps.measure import Weighing
from weighbridge.bench.scenarios.steps.requests import Close, Settle


class Serving(Weighing, ABC):
    """What the four share: parity before the first query, samples in host memory, an audit after the last."""

    def get_ready(self) -> None:
        """Everything before the first timed query."""
        self.first()
        self.check()
        self.phase("loading samples")
        self.sizes = self.ask(Stage(most=self.cell.batch_size, counts=self.counts())).sizes
        self.peaks_since = "steady state" if self.ask(Settle()).device_reset else "opening"
        self.asked = 0
        self.warm()

    def finish(self) -> None:
        """Ask what the turns left, audit, and end this process."""
        self.complete()
        self.memory()
        self.now.result = written(self.result(None))
        self.audit()
        self.ask(Close())

    def audit(self) -> None:
        """Hold answers to those of scoring, once a cell; raises ImplausibleError where they differ."""
        if len(self.processes) > 1:
            return
        self.phase("auditing")
        found = self.ask(Audit())
        self.now.result = written(self.result(found))
        if not found.passed:
            raise ImplausibleError(found.reason)

    @abstractmethod
    def counts(self) -> list[int]:
        """Return how many samples a batch may hold."""

    @abstractmethod
    def complete(self) -> None:
        """Ask for what the turns left."""

    @abstractmethod
    def result(self, audit: AuditResult | None) -> Result:
        """Return what this process gave."""

    @property
    def seconds(self) -> float:
        """Return how long a process goes on at least."""
        return DURATIONS[self.effort.name].seconds / self.effort.processes

    def seed(self) -> int:
        """Return the seed of the next request's samples: no two ask for the same ones in the same order."""
        self.asked += 1
        return 10_000 * (len(self.processes) - 1) + self.asked

    def warm(self) -> None:
        """Ask until queries no longer get faster, or the cap."""
        self.phase("warming up")
        warmup: list[float] = []
        while not statistics.is_warm(warmup) and sum(warmup) < self.effort.warm_cap_s:
            warmup += self.steps(1 if len(warmup) < 2 else 3)
        self.now.warmup_s, self.fastest_s = warmup, min(warmup)

    @abstractmethod
    def steps(self, count: int) -> list[float]:
        """Seconds of so many queries, or of batches."""

    def block(self) -> float:
        """One turn: the seconds that it timed."""
        taken = self.steps(self._steps_a_block())
        now = self.now
        now.step_s += taken
        now.blocks.append(len(taken))
        now.crowded.append(False)
        return sum(taken)


class Streaming(Serving):
    """A closed loop: a query, the next as soon as it is answered. A step is a query."""

    def counts(self) -> list[int]:
        """Return how many samples a batch may hold."""
        most, samples = self.cell.batch_size, SAMPLES_A_QUERY[self.cell.scenario]
        return sorted({min(most, samples), samples % most} - {0})

    def get_ready(self) -> None:
        """Get ready as all do, with counts of its own."""
        self.items = SAMPLES_A_QUERY[self.cell.scenario]
        self.more_s: list[float] = []
        super().get_ready()

    def steps(self, count: int) -> list[float]:
        """Return the seconds of queries, or of batches."""
        return self.ask(Stream(samples=self.items, fewest=count, seed=self.seed()))

    def complete(self) -> None:
        """Ask for what the turns left."""
        self.phase(self.cell.scenario.replace("_", " "))
        wanted = math.ceil(stopping.fewest_queries(1, PERCENTILE[self.cell.scenario]) / self.effort.processes)
        taken = self.now.step_s
        fewest, seconds = max(0, wanted - len(taken)), max(0.0, self.seconds - sum(taken))
        self.more_s = self.ask(Stream(samples=self.items, fewest=fewest, seconds=seconds, seed=self.seed()))

    def result(self, audit: AuditResult | None) -> Result:
        """Return what this process gave."""
        return StreamResult(samples=self.items, more_s=self.more_s, audit=audit)


class Batching(Serving):
    """All samples at once. A step is a full batch, on the average of its block."""

    def get_ready(self) -> None:
        """Get ready as all do, with counts of its own."""
        self.total = Samples(samples=0, seconds=0.0)
        super().get_ready()
        self.total = Samples(samples=0, seconds=0.0)

    def counts(self) -> list[int]:
        """Return how many samples a batch may hold."""
        return [self.cell.batch_size]

    def steps(self, count: int) -> list[float]:
        """The mean of so many batches."""
        found = self.ask(Offline(fewest=count, seed=self.seed()))
        self.add(found)
        return [found.seconds * self.cell.batch_size / found.samples]

    def block(self) -> float:
        """One turn: the seconds that it timed."""
        before = self.total.seconds
        super().block()
        return self.total.seconds - before

    def complete(self) -> None:
        """Ask for what the turns left."""
        self.phase("offline")
        if self.total.seconds < self.seconds:
            self.add(self.ask(Offline(seconds=self.seconds - self.total.seconds, seed=self.seed())))

    def add(self, found: Samples) -> None:
        """Count what was answered."""
        total = self.total
        self.total = Samples(samples=total.samples + found.samples, seconds=total.seconds + found.seconds)

    def result(self, audit: AuditResult | None) -> Result:
        """Return what this process gave."""
        return OfflineResult(samples=self.total.samples, seconds=self.total.seconds, audit=audit)


class Searching(Batching):
    """The highest rate that a server holds. A step is the time between two queries at that rate."""

    def get_ready(self) -> None:
        """Get ready as all do, with counts of its own."""
        told = settings.of(ServerSettings, self.cell.settings)
        self.settings, self.lost = told, 0
        self.policy = Policy(most=self.cell.batch_size, queue=told.queue, linger_s=told.linger_s)
        super().get_ready()

    def counts(self) -> list[int]:
        """Whatever waits."""
        return sizes(self.cell.batch_size)

    def complete(self) -> None:
        """The search."""
        self.items, self.item = 1, "query"
        self.search = self.searched()
        if self.search.best:
            now = self.now
            now.step_s, now.blocks, now.crowded = [1 / self.search.best.rate], [1], [False]

    def audit(self) -> None:
        """Audit as all do; raises ImplausibleError where queries were lost, too."""
        if self.lost:
            raise ImplausibleError(f"{self.lost:,} queries were neither answered nor rejected")
        super().audit()

    def searched(self) -> Search:
        """Serve at the rate asked for, or search the highest that holds the bound."""
        if self.settings.rate is not None:
            probe = self.probe(self.settings.rate, False, 0, abandons=False)
            return Search(best=probe if probe.passed else None, probes=[probe])
        super().complete()
        return rate.highest(self.probe, self.total.samples / self.total.seconds)

    @property
    def bound_s(self) -> float:
        """Return what the percentile must hold."""
        assert self.settings.bound_s is not None, "a plan fills it in"
        return self.settings.bound_s

    def probe(self, rate: float, confirms: bool, seed: int, abandons: bool = True) -> Probe:
        """One run of the server."""
        self.phase(f"{'confirming' if confirms else 'serving'} {rate:.4g} requests a second")
        duration, percentile = DURATIONS[self.effort.name], PERCENTILE["server"]
        longer = CONFIRMING if confirms else 1
        fewest = stopping.fewest_queries(duration.over, percentile)
        queries = longer * max(fewest, math.ceil(rate * duration.seconds))
        most_late = stopping.most_over(queries, percentile) or 0
        run = self.ask(
            Serve(
                rate=rate, queries=queries, policy=self.policy, seed=seed, bound_s=self.bound_s,
                most_late=most_late if abandons else None,
            )
        )  # fmt: skip
        self.lost += run.lost
        return judged(run, rate, confirms, self.bound_s, most_late)

    def result(self, audit: AuditResult | None) -> Result:
        """The search."""
        return ServerResult(
            bound_s=self.bound_s, percentile=PERCENTILE["server"], policy=self.policy, sizes=self.sizes,
            search=self.search, lost=self.lost, audit=audit,
        )  # fmt: skip


def judged(run: ServerRun, rate: float, confirms: bool, bound_s: float, most_late: int) -> Probe:
    """Return a run's figures, and whether it held the bound at 99 % confidence."""
    latencies, errors = run.latencies_s, run.errors_s
    over = sum(latency > bound_s for latency in latencies) + run.rejected
    endless = [math.inf] * run.rejected

    def percentile(p: float) -> float | None:
        found = stopping.plain(latencies + endless, p)
        return None if found is None or math.isinf(found) else found

    return Probe(
        rate=rate, passed=over <= most_late and not run.abandoned and not run.lost, confirms=confirms,
        queries=run.queries, over=over, rejected=run.rejected, abandoned=run.abandoned,
        p50_s=percentile(0.50), p90_s=percentile(0.90), p99_s=percentile(0.99),
        error_p99_s=stopping.plain(errors, 0.99) or 0.0, error_max_s=max(errors, default=0.0),
        mean_batch=sum(run.batches) / max(1, len(run.batches)), wall_s=run.wall_s,
        latencies_s=latencies,
    )  # fmt: skip
