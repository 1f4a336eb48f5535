"""`single_stream`, `multi_stream`, `offline`, `server`: MLPerf's scenarios, each a cell of its own."""

from __future__ import annotations

from collections.abc import Mapping

from bench.core.card import TaskCard
from bench.core.effort import Tier
from bench.core.settings import Pairs, Value
from bench.scenarios.serve.answer import ServeAnswers
from bench.scenarios.serve.measure import Batching, Searching, Streaming
from bench.scenarios.serve.requests import ServeRequest
from bench.scenarios.serve.settings import ServerSettings
from bench.scenarios.steps.requests import StepsRequest
from bench.scenarios.steps.scenario import Scenario


class SingleStream(Scenario):
    """One sample, the next when it is answered."""

    name = "single_stream"
    requests = StepsRequest | ServeRequest
    answers, weighing = ServeAnswers, Streaming


class MultiStream(Scenario):
    """Eight samples at once, the next eight when they are answered."""

    name = "multi_stream"
    requests = StepsRequest | ServeRequest
    answers, weighing = ServeAnswers, Streaming


class OfflineScenario(Scenario):
    """All samples at once, in full batches."""

    name = "offline"
    requests = StepsRequest | ServeRequest
    answers, weighing = ServeAnswers, Batching


class ServerScenario(Scenario):
    """Queries that come when they like, and the highest rate at which they are answered in time."""

    name = "server"
    in_turns = False
    Settings = ServerSettings
    requests = StepsRequest | ServeRequest
    answers, weighing = ServeAnswers, Searching

    def variants(self, task: TaskCard, given: Mapping[str, Value]) -> list[Pairs]:
        """One cell, whose bound is the task's where none is given."""
        return super().variants(task, {"bound_s": task.latency_bound_s, **given})

    def processes(self, tier: Tier) -> int:
        """One: a search takes minutes."""
        return 1
