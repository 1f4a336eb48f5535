"""Twice the work, on a clock that no neighbour moves: who waits for it is let go, and who does not is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from weighbridge.bench.cli.conformance import doubling
from weighbridge.bench.cli.conformance.subject import perceptron
from weighbridge.bench.core import Arrays, Session

CASE = perceptron(4, [4], 1, rows=8)
ROW_S = 1e-4


class Queued(Session):
    """A step is handed in at once; its work takes as long as it has rows, and `sync` waits for a share of it."""

    def __init__(self, unwaited: float, row_s: float = ROW_S, noise_s: float = 0.0) -> None:
        self.unwaited, self.row_s, self.noise_s = unwaited, row_s, noise_s
        self.now_s = self.left_s = 0.0
        self.rng = np.random.default_rng(0)

    def to_device(self, batch: Arrays) -> Any:
        return batch["features"]

    def step(self, x: Any) -> Any:
        self.now_s += 1e-5 + self.rng.exponential() * self.noise_s
        self.left_s = len(x) * self.row_s
        return x

    def sync(self, y: Any) -> None:
        waited_s = self.left_s * (1 - self.unwaited)
        self.now_s, self.left_s = self.now_s + waited_s, self.left_s - waited_s

    def to_host(self, y: Any) -> Arrays:
        self.now_s, self.left_s = self.now_s + self.left_s + 2e-4 + self.rng.exponential() * self.noise_s, 0.0
        return {"prediction": y[:, 0]}

    def clock(self) -> float:
        return self.now_s


def test_one_that_waits_is_let_go() -> None:
    assert doubling.returns_early(Queued(0.0), CASE) == ""


@pytest.mark.parametrize("unwaited", [1.0, 0.6])
def test_one_that_returns_early_is_named_with_both_times(unwaited: float) -> None:
    told = doubling.returns_early(Queued(unwaited), CASE)
    assert told.startswith("sync returns before the work is done: 512 rows take ")
    assert f"{unwaited * 256 * ROW_S * 1e3:.3g} ms longer to be read after it" in told


def test_short_work_is_made_long_enough_to_be_told_from_a_neighbours() -> None:
    assert "16384 rows" in doubling.returns_early(Queued(1.0, row_s=1e-6), CASE)
    assert doubling.returns_early(Queued(1.0, row_s=0.0), CASE) == "", "of no work nothing is left"


@pytest.mark.parametrize("unwaited", [0.0, 1.0])
def test_a_neighbour_changes_no_verdict(unwaited: float) -> None:
    assert bool(doubling.returns_early(Queued(unwaited, noise_s=0.01), CASE)) == bool(unwaited)
