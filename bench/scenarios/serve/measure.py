"""MLPerf's scenarios for a cell: single stream, multi stream, offline, server; then the self-audit.

The terms are MLPerf's, the counts are ours: its own ask for ten minutes and more a scenario, which tier `strict` takes.
What fewer queries allow to be said of a percentile is told by its early stopping (`bench.stopping`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from bench.core.card import TaskCard
from bench.core.cell import Cell
from bench.scenarios.base import Ask
from bench.scenarios.serve import rate, stopping
from bench.scenarios.serve.rate import Probe, Search
from bench.scenarios.serve.requests import Audit, Offline, Serve, Stage, Stream
from bench.scenarios.serve.result import Kind, Rated, Serving, Streamed
from bench.scenarios.serve.server import Policy, Served

PERCENTILE: dict[Kind, float] = {"single_stream": 0.90, "multi_stream": 0.99, "server": 0.99}
"""MLPerf's; the server's is that of vision and language models."""
SAMPLES_A_QUERY = 8
"""MultiStream's."""
CONFIRMING = 3
"""A confirming run of a server is as many times as long as one of the search."""


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """How long a tier measures. MLPerf's own: 600 s, and 24,576 or 270,336 queries where it does not stop early."""

    seconds: float
    over: int
    """As many queries as allow this many over the bound."""


EFFORT = {
    "quick": Effort(seconds=5.0, over=2),
    "standard": Effort(seconds=60.0, over=10),
    "strict": Effort(seconds=600.0, over=2583),
}
"""By the tier's name; 2,583 over make 270,336 queries at p99 enough, MLPerf's count without early stopping."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request."""

    kinds: Sequence[Kind]
    effort: Effort
    queue: int = 1024
    linger_s: float = 0.0
    bound_s: float | None = None
    """Of the server's 99th percentile; the task's own where None."""
    rate: float | None = None
    """Serve at this rate, without a search."""


class Conversation:
    """What is asked of one cell's worker."""

    def __init__(self, cell: Cell, task: TaskCard, asked: Asked, ask: Ask, phase: Callable[[str], None]) -> None:
        self.cell, self.asked, self.ask, self.phase = cell, asked, ask, phase
        self.policy = Policy(most=cell.batch_size, queue=asked.queue, linger_s=asked.linger_s)
        self.bound_s = asked.bound_s or task.latency_bound_s
        self.lost = 0

    def hold(self) -> dict[str, Any]:
        """The scenarios that were asked for, and the audit."""
        self.phase("loading samples")
        staged = self.ask(Stage(most=self.policy.most))
        found: dict[str, Any] = {}
        if "single_stream" in self.asked.kinds:
            found["single_stream"] = self.stream("single_stream", 1)
        if "multi_stream" in self.asked.kinds:
            found["multi_stream"] = self.stream("multi_stream", SAMPLES_A_QUERY)
        if "offline" in self.asked.kinds:
            found["offline"] = self.offline()
        if "server" in self.asked.kinds:
            found["server"] = self.serving(staged.sizes, found.get("offline"))
        self.phase("auditing")
        return {**found, "audit": self.ask(Audit())}

    def stream(self, kind: Kind, samples: int) -> Streamed:
        """Closed loop."""
        self.phase(kind.replace("_", " "))
        percentile, effort = PERCENTILE[kind], self.asked.effort
        fewest = stopping.fewest_queries(1, percentile)
        taken = self.ask(Stream(samples=samples, fewest=fewest, seconds=effort.seconds))
        bound = stopping.estimate(taken, percentile)
        return Streamed(samples=samples, percentile=percentile, bound_s=bound, latencies_s=taken)

    def offline(self) -> Rated:
        """All at once."""
        self.phase("offline")
        return self.ask(Offline(seconds=self.asked.effort.seconds))

    def serving(self, sizes: list[int], offline: Rated | None) -> Serving:
        """At the rate asked for, or at the highest that holds the bound."""
        if self.asked.rate is not None:
            probe = self.probe(self.asked.rate, False, 0, abandons=False)
            search = Search(best=probe if probe.passed else None, probes=[probe])
        else:
            search = rate.highest(self.probe, (offline or self.offline()).rate)
        return Serving(
            bound_s=self.bound_s, percentile=PERCENTILE["server"], policy=self.policy, sizes=sizes, search=search,
            lost=self.lost,
        )  # fmt: skip

    def probe(self, rate: float, confirms: bool, seed: int, abandons: bool = True) -> Probe:
        """One run of the server."""
        self.phase(f"{'confirming' if confirms else 'serving'} {rate:.4g} requests a second")
        effort, percentile = self.asked.effort, PERCENTILE["server"]
        longer = CONFIRMING if confirms else 1
        fewest = stopping.fewest_queries(effort.over, percentile)
        queries = longer * max(fewest, math.ceil(rate * effort.seconds))
        most_late = stopping.most_over(queries, percentile) or 0
        served = self.ask(
            Serve(
                rate=rate, queries=queries, policy=self.policy, seed=seed, bound_s=self.bound_s,
                most_late=most_late if abandons else None,
            )
        )  # fmt: skip
        self.lost += served.lost
        return judged(served, rate, confirms, self.bound_s, most_late)


def judged(served: Served, rate: float, confirms: bool, bound_s: float, most_late: int) -> Probe:
    """A run's figures, and whether it held the bound at 99 % confidence."""
    latencies, errors = served.latencies_s, served.errors_s
    over = sum(latency > bound_s for latency in latencies) + served.rejected
    endless = [math.inf] * served.rejected

    def percentile(p: float) -> float | None:
        found = stopping.plain(latencies + endless, p)
        return None if found is None or math.isinf(found) else found

    return Probe(
        rate=rate, passed=over <= most_late and not served.abandoned and not served.lost, confirms=confirms,
        queries=served.queries, over=over, rejected=served.rejected, abandoned=served.abandoned,
        p50_s=percentile(0.50), p90_s=percentile(0.90), p99_s=percentile(0.99),
        error_p99_s=stopping.plain(errors, 0.99) or 0.0, error_max_s=max(errors, default=0.0),
        mean_batch=sum(served.batches) / max(1, len(served.batches)), wall_s=served.wall_s,
        latencies_s=latencies,
    )  # fmt: skip
