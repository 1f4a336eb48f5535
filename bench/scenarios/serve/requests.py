"""What a worker is asked of a cell that is served."""

from __future__ import annotations

import msgspec

from bench.scenarios.base import Request
from bench.scenarios.serve.audit import Audited
from bench.scenarios.serve.result import Rated
from bench.scenarios.serve.server import Policy, Served


class Staged(msgspec.Struct, frozen=True, kw_only=True):
    """How many samples are in memory, the batch sizes that will be run, and the seconds that a step of each took."""

    samples: int
    sizes: list[int]
    seconds: float


class Stage(Request[Staged], frozen=True, tag="stage"):
    """Load samples, and take a step of every batch size that queries of up to `most` samples will need."""

    most: int


class Stream(Request[list[float]], frozen=True, tag="stream"):
    """Closed loop: queries of `samples` samples, the next as soon as the last is answered. Seconds of each query."""

    samples: int
    fewest: int
    seconds: float
    seed: int = 0


class Offline(Request[Rated], frozen=True, tag="offline"):
    """All samples at once, in full batches."""

    seconds: float
    seed: int = 0


class Serve(Request[Served], frozen=True, tag="serve"):
    """Open loop: queries of one sample that come by a Poisson process, to a server that batches."""

    rate: float
    queries: int
    policy: Policy
    seed: int = 0
    bound_s: float | None = None
    most_late: int | None = None
    """End as soon as more are later than the bound."""


class Audit(Request[Audited], frozen=True, tag="audit"):
    """Hold what was answered under load to what the scoring mode gives, and repeat one sample."""

    seed: int = 0


LoadRequest = Stage | Stream | Offline | Serve | Audit
