"""A backend that does a known amount of real work a step, and a little more where it is told to.

It is how the suite's verdicts are put to the test: with `WEIGHBRIDGE_WORK_MORE=0.05` a step evaluates 5 % more sines
than without, on the real clock of a real processor (tests/experiments/verdicts.py; docs/measuring.md has the figures).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from weighbridge.backends.fake import Fake
from weighbridge.bench.core import Arrays, Cell, ModelSpec, Session

UNITS, UNIT_SIZE = 400, 1024
MORE_VARIABLE = "WEIGHBRIDGE_WORK_MORE"


class Work(Fake):
    """Weights and oracle come from `fake`; a step works and returns `fake`'s outputs of its batch."""

    name = "work"
    devices = ("cpu",)

    def open(self, model: ModelSpec, weights: Path, cell: Cell) -> Session:
        """A session that answers with what `fake` computed once, at `to_device`."""
        more = float(os.environ.get(MORE_VARIABLE, "0"))
        return WorkSession(self.loaded(model, weights, cell), round(UNITS * (1 + more)))


class WorkSession(Session):
    """Evaluates `units` times `UNIT_SIZE` sines a step."""

    def __init__(self, fake: Session, units: int) -> None:
        self.fake, self.units = fake, units
        self.angles = np.linspace(0, 1, UNIT_SIZE)
        self.sines = np.empty_like(self.angles)

    def to_device(self, batch: Arrays) -> Any:
        """Computes here, so that `step` need not."""
        return self.fake.step(self.fake.to_device(batch))

    def step(self, x: np.ndarray) -> np.ndarray:
        """The work."""
        for _ in range(self.units):
            np.sin(self.angles, out=self.sines)
        return x

    def sync(self, y: np.ndarray) -> None:
        """Nothing is asynchronous here."""

    def to_host(self, y: np.ndarray) -> Arrays:
        """As `fake` gives it."""
        return self.fake.to_host(y)

    def facts(self) -> dict[str, Any]:
        """Effective footing."""
        return {**self.fake.facts(), "units": self.units}
