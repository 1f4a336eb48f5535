"""A server of one model: what waits is answered in batches, as large as allowed, from a queue that is bounded.

Pure of processes and frameworks: requests come from a `Line`, time from a clock, answers from a function, so that a
test can hold it in a world of its own. Latency counts from the moment at which a request was due, so that a stall is
not forgiven (coordinated omission; Tene, "How NOT to Measure Latency"; measuring rule 10).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How a server batches."""

    most: int
    """Requests in a batch."""
    queue: int
    """Requests that may wait; one that comes to a full queue is rejected."""
    linger_s: float = 0.0
    """How long the first request of a batch that is not full waits for company."""


class Line(Protocol):
    """Where requests arrive, in the order in which they were due."""

    def take(self, wait_s: float | None) -> list[float]:
        """Return when each new request was handed in, seconds from the start.

        Waits for the first for up to `wait_s` seconds, for as long as it takes where None.
        """
        ...


class ServerRun(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the requests. Times in seconds."""

    queries: int
    answered: int
    rejected: int
    abandoned: bool
    """Whether the server stopped as soon as too many were late for the rest to matter."""
    latencies_s: list[float]
    """Of each that was answered, from the moment at which it was due, in the order of arrival."""
    errors_s: list[float]
    """How much later than due the generator handed each in."""
    batches: list[int]
    """How many requests each batch held."""
    wall_s: float

    @property
    def lost(self) -> int:
        """Requests that were neither answered nor rejected, of a run that was not abandoned."""
        return 0 if self.abandoned else self.queries - self.answered - self.rejected


class Server:
    """Serves one schedule."""

    def __init__(
        self, due_s: Sequence[float], line: Line, clock: Callable[[], float], answer: Callable[[list[int]], object],
        policy: Policy,
    ) -> None:  # fmt: skip
        self.due_s, self.line, self.clock, self.answer, self.policy = due_s, line, clock, answer, policy
        self.waiting: deque[int] = deque()
        self.latencies_s = [math.nan] * len(due_s)
        self.errors_s: list[float] = []
        self.batches: list[int] = []
        self.rejected = self.answered = self.late = 0

    def serve(self, bound_s: float = math.inf, most_late: int | None = None) -> ServerRun:
        """Serve until every request is answered or rejected, or more than `most_late` were later than `bound_s`."""
        hopeless = False
        while self.answered + self.rejected < len(self.due_s) and not hopeless:
            self.receive(None if not self.waiting else 0.0)
            self.linger()
            if self.waiting:
                self.batch(bound_s)
            hopeless = most_late is not None and self.late > most_late
        return ServerRun(
            queries=len(self.due_s), answered=self.answered, rejected=self.rejected, abandoned=hopeless,
            latencies_s=[each for each in self.latencies_s if not math.isnan(each)], errors_s=self.errors_s,
            batches=self.batches, wall_s=self.clock(),
        )  # fmt: skip

    def receive(self, wait_s: float | None) -> None:
        """Takes what has come. The queue loses nothing while a batch runs, so that judging now is judging then."""
        for moment in self.line.take(wait_s):
            index = len(self.errors_s)
            self.errors_s.append(moment - self.due_s[index])
            if len(self.waiting) < self.policy.queue:
                self.waiting.append(index)
            else:
                self.rejected += 1
                self.late += 1

    def linger(self) -> None:
        """Waits for company, where the policy says so and more is to come."""
        end = self.clock() + self.policy.linger_s
        while 0 < len(self.waiting) < self.policy.most and len(self.errors_s) < len(self.due_s):
            left = end - self.clock()
            if left <= 0:
                return
            self.receive(left)

    def batch(self, bound_s: float) -> None:
        """Answers the oldest requests."""
        chosen = [self.waiting.popleft() for _ in range(min(self.policy.most, len(self.waiting)))]
        self.answer(chosen)
        now = self.clock()
        for index in chosen:
            self.latencies_s[index] = now - self.due_s[index]
            self.late += self.latencies_s[index] > bound_s
        self.answered += len(chosen)
        self.batches.append(len(chosen))
