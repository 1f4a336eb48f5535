"""The parent's end of varying shapes: one question before anything else was computed, then parity.

A first step would compile a program that no strategy pays for. Parity is shown afterwards; a ratio of what did not
pass it is not given.
"""

from __future__ import annotations

import msgspec

from weighbridge.bench.measure.parity import TOLERANCE
from weighbridge.bench.scenarios.base import ImplausibleError
from weighbridge.bench.scenarios.steps.measure import Weighing
from weighbridge.bench.scenarios.steps.requests import Close
from weighbridge.bench.scenarios.varying_shapes.requests import ShapesResult, StepThrough
from weighbridge.bench.scenarios.varying_shapes.settings import of, strategy


class Varying(Weighing):
    """A step is one pass over the whole work."""

    def get_ready(self) -> None:
        """Everything; raises ParityError or ImplausibleError where outputs are wrong."""
        told, name = of(self.cell), strategy(self.cell)
        self.phase(f"varying shapes, {name.replace('_', ' ')}")
        found = self.ask(
            StepThrough(strategy=name, pads_rows=told.pad_rows, batches=told.batches, lengths=told.buckets)
        )
        self.take(found)
        self.check()
        if found.error is None or found.error > TOLERANCE[self.cell.precision]:
            error = "not finite" if found.error is None else f"{found.error:.1e}"
            limit = TOLERANCE[self.cell.precision]
            raise ImplausibleError(f"padding changes outputs: relative error {error}, limit {limit:g}")

    def take(self, found: ShapesResult) -> None:
        """Keep what was told."""
        now = self.now
        now.result = msgspec.to_builtins(found)
        now.first_s, now.compiled = found.cold_s[0], found.programs is not None
        now.step_s = [sum(seconds) for seconds in found.steady_s]
        now.blocks, now.crowded = [1] * len(now.step_s), [False] * len(now.step_s)
        self.items = found.tokens

    def finish(self) -> None:
        """Facts, and the end of this process."""
        self.memory()
        self.ask(Close())
