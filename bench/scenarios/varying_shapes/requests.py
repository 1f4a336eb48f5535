"""What a worker is asked, and tells, of shapes that change."""

from __future__ import annotations

import statistics

import msgspec

from weighbridge.bench.scenarios.base import Request
from weighbridge.bench.scenarios.varying_shapes.buckets import Shape, Strategy


class ShapesResult(msgspec.Struct, frozen=True, kw_only=True, tag="varying_shapes"):
    """A first pass, and STEADY more over the same batches. Seconds."""

    version: int = 1
    lengths: list[int]
    """The buckets; none where every batch keeps its longest row's length."""
    pads_rows: bool = False
    """Whether rows were filled up to a power of two, too."""
    shapes: list[Shape]
    """Of the batches, as they were run."""
    tokens: int
    """Real ones in one pass."""
    cold_s: list[float]
    steady_s: list[list[float]]
    """A list a pass."""
    compiled_at: list[int]
    """Steps of the first pass in which a program was compiled."""
    programs: list[int] | None
    """Compiled in the first pass and in the others; None where nothing is compiled."""
    error: float | None
    """The largest relative error that padding made in real outputs (see `measure.parity.error`); None: not finite."""

    @property
    def steps_s(self) -> list[float]:
        """Seconds of each step, once compiled: the median of its passes."""
        return [statistics.median(step) for step in zip(*self.steady_s, strict=True)]


class StepThrough(Request[ShapesResult], frozen=True, tag="step_through"):
    """Step through so many batches, padded as the strategy says; `lengths` are those of `best`."""

    strategy: Strategy
    pads_rows: bool | None
    """Whether rows are filled up to a power of two, too; where None, if each shape is a program of its own."""
    batches: int
    lengths: list[int] = []
    seed: int = 0
