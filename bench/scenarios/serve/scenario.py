"""`single_stream`, `multi_stream`, `offline`, `server`: MLPerf's scenarios, each a cell of its own."""

from __future__ import annotations

from collections.abc import Mapping

from weighbridge.bench.core.card import TaskCard
from weighbridge.bench.core.effort import Effort
from weighbridge.bench.core.settings import Pairs, Value
from weighbridge.bench.scenarios.serve.answer import ServeAnswers
from weighbridge.bench.scenarios.serve.measure import Batching, Searching, Streaming
from weighbridge.bench.scenarios.serve.requests import ServeRequest
from weighbridge.bench.scenarios.serve.settings import ServerSettings
from weighbridge.bench.scenarios.steps.requests import StepsRequest
from weighbridge.bench.scenarios.steps.scenario import Scenario


class Served(Scenario):
    """What the four share: a worker that is a service."""

    requests = StepsRequest | ServeRequest
    answers = ServeAnswers


class SingleStream(Served):
    """One sample, the next when it is answered."""

    name, weighing = "single_stream", Streaming


class MultiStream(Served):
    """Eight samples at once, the next eight when they are answered."""

    name, weighing = "multi_stream", Streaming


class Offline(Served):
    """All samples at once, in full batches."""

    name, weighing = "offline", Batching


class Server(Served):
    """Queries that come when they like, and the highest rate at which they are answered in time."""

    name, weighing = "server", Searching
    in_turns = False
    Settings = ServerSettings

    def variants(self, task: TaskCard, given: Mapping[str, Value]) -> list[Pairs]:
        """One cell, whose bound is the task's where none is given."""
        return super().variants(task, {"bound_s": task.latency_bound_s, **given})

    def processes(self, effort: Effort) -> int:
        """One: a search takes minutes."""
        return 1
