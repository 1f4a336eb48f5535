"""What a cell did under MLPerf's scenarios."""

from __future__ import annotations

from typing import Literal

import msgspec

from bench.core.trial import Trial
from bench.scenarios.serve.audit import Audited
from bench.scenarios.serve.rate import Search
from bench.scenarios.serve.server import Policy

JOURNAL = "load.jsonl"
Kind = Literal["single_stream", "multi_stream", "offline", "server"]


class Streamed(msgspec.Struct, frozen=True, kw_only=True):
    """Closed-loop latencies. Seconds."""

    samples: int
    """In a query."""
    percentile: float
    bound_s: float | None
    """What the percentile is under, at 99 % confidence; None where the queries are too few to tell."""
    latencies_s: list[float]


class Rated(msgspec.Struct, frozen=True, kw_only=True):
    """Samples, and the seconds they took."""

    samples: int
    seconds: float

    @property
    def rate(self) -> float:
        """Samples a second."""
        return self.samples / self.seconds


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """A server's search, or its one run at a given rate."""

    bound_s: float
    percentile: float
    policy: Policy
    sizes: list[int]
    """Batch sizes that were run; a backend that compiles a program a shape pads to them."""
    search: Search
    lost: int
    """Queries of complete runs that were neither answered nor rejected: none, or something is wrong."""


class Loaded(Trial, frozen=True, kw_only=True):
    """What a cell did under MLPerf's scenarios; None where one was not asked for."""

    tier: str = ""
    single_stream: Streamed | None = None
    multi_stream: Streamed | None = None
    offline: Rated | None = None
    server: Serving | None = None
    audit: Audited | None = None

    @property
    def right(self) -> bool:
        """Whether its figures may be believed: parity before, and outputs under load equal to those of scoring."""
        return self.status == "ok" and self.audit is not None and self.audit.passed
