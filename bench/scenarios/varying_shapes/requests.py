"""What a worker is asked, and tells, of shapes that change."""

from __future__ import annotations

import statistics

import msgspec

from bench.scenarios.base import Request
from bench.scenarios.varying_shapes.buckets import Shape, Strategy


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """A first pass, and STEADY more over the same batches. Seconds."""

    lengths: list[int]
    """The buckets; none where every batch keeps its longest row's length."""

    shapes: list[Shape]
    """As they were run."""
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


class Churn(Request[Passed], frozen=True, tag="churn"):
    """Step through so many batches, padded as the strategy says; `lengths` are those of `best`."""

    strategy: Strategy
    pads_rows: bool
    """Whether rows are filled up to a power of two, too."""
    batches: int
    lengths: list[int] = []
    seed: int = 0
