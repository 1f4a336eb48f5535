"""`infer`: a forward pass over a batch; throughput counts examples."""

from __future__ import annotations

from bench.scenarios.steps.scenario import Scenario


class Infer(Scenario):
    """Timed steps as they stand, and the task's score."""

    name = "infer"
