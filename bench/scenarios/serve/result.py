"""What one process of a cell gave under MLPerf's scenarios, beside its timed queries."""

from __future__ import annotations

import msgspec

from weighbridge.bench.core.arrays import Facts
from weighbridge.bench.core.process import Process
from weighbridge.bench.scenarios.base import result_of
from weighbridge.bench.scenarios.serve.audit import AuditResult
from weighbridge.bench.scenarios.serve.rate import Search
from weighbridge.bench.scenarios.serve.server import Policy


class StreamResult(msgspec.Struct, frozen=True, kw_only=True, tag="stream"):
    """A closed loop. Queries that were answered in the turns are steps of the process."""

    version: int = 1
    samples: int
    """In a query."""
    more_s: list[float] = []
    """Seconds of each query after the turns: a percentile wants more of them than a ratio."""
    audit: AuditResult | None = None


class OfflineResult(msgspec.Struct, frozen=True, kw_only=True, tag="offline"):
    """Samples, and the seconds they took, in the turns and after them."""

    version: int = 1
    samples: int
    seconds: float
    audit: AuditResult | None = None

    @property
    def rate(self) -> float:
        """Samples a second."""
        return self.samples / self.seconds


class ServerResult(msgspec.Struct, frozen=True, kw_only=True, tag="server"):
    """A server's search, or its one run at a given rate."""

    version: int = 1
    bound_s: float
    percentile: float
    policy: Policy
    sizes: list[int]
    """Batch sizes that were run; a backend that compiles a program a shape pads to them."""
    search: Search
    lost: int
    """Queries of complete runs that were neither answered nor rejected: none, or something is wrong."""
    audit: AuditResult | None = None


Result = StreamResult | OfflineResult | ServerResult


def read(process: Process) -> Result | None:
    """Return a process's result; None where it has none of these scenarios, or one of a later version."""
    told = (result_of(process, kind) for kind in (StreamResult, OfflineResult, ServerResult))
    return next(filter(None, told), None)


def written(result: Result) -> Facts:
    """Return a result as a process holds it."""
    return msgspec.to_builtins(result)
