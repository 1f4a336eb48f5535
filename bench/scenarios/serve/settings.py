"""What can be set of a server, and how long MLPerf's scenarios measure."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from weighbridge.bench.core.settings import Settings

Positive = Annotated[float, Meta(gt=0, le=1e9)]
PERCENTILE = {"single_stream": 0.90, "multi_stream": 0.99, "server": 0.99}
"""MLPerf's, by scenario; the server's is that of vision and language models."""
SAMPLES_A_QUERY = {"single_stream": 1, "multi_stream": 8}
"""MLPerf's."""
CONFIRMING = 3
"""A confirming run of a server is as many times as long as one of the search."""


class ServerSettings(Settings, frozen=True, kw_only=True):
    """How a server batches, and what it must hold. Seconds, and queries a second."""

    bound_s: Positive | None = None
    """Of the 99th percentile; the task's own where None."""
    rate: Positive | None = None
    """Serve at this rate, without a search."""
    queue: Annotated[int, Meta(ge=1, le=10**9)] = 1024
    """Queries that may wait; more are rejected."""
    linger_s: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    """How long the first query of a batch that is not full waits for company."""


class Duration(msgspec.Struct, frozen=True, kw_only=True):
    """How long a service is measured. MLPerf has 600 s, and 24,576 or 270,336 queries where it does not stop early."""

    seconds: float
    """Of a cell, all its processes together; of one run of a server."""
    over: int
    """As many queries of a server as allow this many over the bound."""


DURATIONS = {
    "quick": Duration(seconds=5.0, over=2),
    "standard": Duration(seconds=60.0, over=10),
    "strict": Duration(seconds=600.0, over=2583),
}
"""By the name of the effort; 2,583 over make 270,336 queries at p99 enough, MLPerf's count without early stopping."""
