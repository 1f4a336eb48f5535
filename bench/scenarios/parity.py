"""`parity`: whether a backend computes the same, and whether the check would have seen if it did not. Nothing is timed.

One process: a first step, the check on the fixed batches, and the same check of the backend's own mutants.
"""

from __future__ import annotations

import msgspec

from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.effort import Effort
from weighbridge.bench.scenarios.base import Phase
from weighbridge.bench.scenarios.steps.measure import Weighing
from weighbridge.bench.scenarios.steps.requests import Close
from weighbridge.bench.scenarios.steps.scenario import Scenario


class Proving(Weighing):
    """The parent's end."""

    def get_ready(self) -> None:
        """Take the first step and check it; there is nothing else."""
        self.first()
        self.items = 0  # of which a rate would be made
        self.check()

    def finish(self) -> None:
        """Mistakes, facts, and the end of this process."""
        self.control()
        self.memory()
        self.ask(Close())


class ParityScenario(Scenario):
    """A forward pass against the oracle."""

    name = "parity"
    in_turns = False
    weighing = Proving

    def processes(self, effort: Effort) -> int:
        """One: parity is no sample."""
        return 1

    def begin(self, cell: Cell, effort: Effort, phase: Phase) -> Weighing:
        """With mistakes, at whatever effort, where they can be told from rounding."""
        return Proving(cell, msgspec.structs.replace(effort, controls=True), phase)
