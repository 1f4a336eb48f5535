"""What a worker is asked of a cell that is served."""

from __future__ import annotations

import msgspec

from weighbridge.bench.scenarios.base import Request
from weighbridge.bench.scenarios.serve.audit import AuditResult
from weighbridge.bench.scenarios.serve.server import Policy, ServerRun


class Staged(msgspec.Struct, frozen=True, kw_only=True):
    """How many samples are in memory, the batch sizes that will be run, and the seconds that a step of each took."""

    samples: int
    sizes: list[int]
    seconds: float


class Stage(Request[Staged], frozen=True, tag="stage"):
    """Load samples, and take a step of the size that each of these counts of samples is run at, at most `most`."""

    most: int
    counts: list[int]


class Stream(Request[list[float]], frozen=True, tag="stream"):
    """Closed loop: queries of `samples` samples, the next as soon as the last is answered. Seconds of each query."""

    samples: int
    fewest: int
    seconds: float = 0.0
    seed: int = 0


class Samples(msgspec.Struct, frozen=True, kw_only=True):
    """How many were answered, and the seconds that they took together."""

    samples: int
    seconds: float


class Offline(Request[Samples], frozen=True, tag="offline"):
    """All samples at once, in at least so many full batches and for at least so many seconds."""

    fewest: int = 1
    seconds: float = 0.0
    seed: int = 0


class Serve(Request[ServerRun], frozen=True, tag="serve"):
    """Open loop: queries of one sample that come by a Poisson process, to a server that batches."""

    rate: float
    queries: int
    policy: Policy
    seed: int = 0
    bound_s: float | None = None
    most_late: int | None = None
    """End as soon as more are later than the bound."""


class Audit(Request[AuditResult], frozen=True, tag="audit"):
    """Hold what was answered under load to what the scoring mode gives, and repeat one sample."""

    seed: int = 0


ServeRequest = Stage | Stream | Offline | Serve | Audit
