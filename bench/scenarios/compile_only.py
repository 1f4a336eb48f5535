"""`compile_only`: what compiling costs, from an empty cache and from a filled one, at three batch sizes.

Nothing is timed after that: no warm-up, no turns. The first process finds the cache empty, the second finds what the
first one left. Ratios are of the first: seconds of each first step, compilation included.
"""

from __future__ import annotations

import msgspec

from weighbridge.bench.core.effort import Effort
from weighbridge.bench.measure import clock, memory
from weighbridge.bench.scenarios.base import Request
from weighbridge.bench.scenarios.steps.answer import StepsAnswers
from weighbridge.bench.scenarios.steps.batches import turned
from weighbridge.bench.scenarios.steps.measure import Weighing
from weighbridge.bench.scenarios.steps.requests import Close, StepsRequest
from weighbridge.bench.scenarios.steps.scenario import Scenario

MORE = (2, 4)
"""After the cell's batch size, so many times that."""


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """The first step at a batch size: its seconds, and the host's peak bytes until its end."""

    batch_size: int
    first_s: float
    host_peak_bytes: int | None


class CompileAt(Request[Compiled], frozen=True, tag="compile_at"):
    """Take a first step at a batch size."""

    batch_size: int


class CompileOnly(msgspec.Struct, frozen=True, kw_only=True, tag="compile_only"):
    """What one process gave, size by size."""

    version: int = 1
    shapes: list[Compiled]


class Answers(StepsAnswers):
    """The worker's end."""

    def answer(self, request: StepsRequest | CompileAt) -> object:
        """A batch size more, or what all are asked."""
        return self.compile_at(request.batch_size) if isinstance(request, CompileAt) else super().answer(request)

    def compile_at(self, size: int) -> Compiled:
        """A first step of so many rows."""
        x = self.session.to_device(turned(self.host.rows, size)[0])
        memory.reset_host_peak()
        first_s, _ = clock.first_step(self.session, x)
        return Compiled(batch_size=size, first_s=first_s, host_peak_bytes=memory.host_peak_bytes())


class Compiling(Weighing):
    """The parent's end: a first step of every size, then parity."""

    def get_ready(self) -> None:
        """Take every first step; there is nothing else."""
        self.first()
        self.items = 0  # of which a rate would be made
        now, size = self.now, self.cell.batch_size
        shapes = [Compiled(batch_size=size, first_s=now.first_s or 0.0, host_peak_bytes=now.first_peak_bytes)]
        shapes += [self.ask(CompileAt(batch_size=times * size)) for times in MORE]
        now.result = msgspec.to_builtins(CompileOnly(shapes=shapes))
        if len(self.processes) == 1:
            now.step_s = [shape.first_s for shape in shapes]
            now.blocks, now.crowded = [1] * len(shapes), [False] * len(shapes)
        self.check()

    def finish(self) -> None:
        """Facts, and the end of this process."""
        self.memory()
        self.ask(Close())


class CompileOnlyScenario(Scenario):
    """First steps alone."""

    name = "compile_only"
    in_turns = False
    requests = StepsRequest | CompileAt
    answers, weighing = Answers, Compiling

    def processes(self, effort: Effort) -> int:
        """One that compiles, and one that finds it compiled."""
        return 2
