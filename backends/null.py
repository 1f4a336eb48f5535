"""A backend that spins for exactly one millisecond a step: what a run reports beyond that is the suite's own cost.

`docs/overhead.md` publishes the figure; `tests/run/test_overhead.py` holds it under 1 %.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from weighbridge.backends.fake import Fake
from weighbridge.bench.core import Arrays, Cell, ModelSpec, Session

STEP_S = 0.001


class Null(Fake):
    """Weights and oracle come from `fake`; a step computes nothing and returns `fake`'s outputs of its batch."""

    name = "null"
    devices = ("cpu",)

    def open(self, model: ModelSpec, weights: Path, cell: Cell) -> Session:
        """A session that answers with what `fake` computed once, at `to_device`."""
        return NullSession(self.loaded(model, weights, cell))


class NullSession(Session):
    """Spins on the real clock."""

    def __init__(self, fake: Session) -> None:
        self.fake = fake

    def to_device(self, batch: Arrays) -> Any:
        """Computes here, so that `step` need not."""
        return self.fake.step(self.fake.to_device(batch))

    def step(self, x: np.ndarray) -> np.ndarray:
        """Busy for `STEP_S`."""
        until = time.perf_counter() + STEP_S
        while time.perf_counter() < until:
            pass
        return x

    def sync(self, y: np.ndarray) -> None:
        """Nothing is asynchronous here."""

    def to_host(self, y: np.ndarray) -> Arrays:
        """As `fake` gives it."""
        return self.fake.to_host(y)

    def facts(self) -> dict[str, Any]:
        """As `fake` gives them."""
        return self.fake.facts()
