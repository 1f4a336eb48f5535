"""The worker's end of varying shapes: real rows of their own lengths, padded, stepped through again and again.

Inputs are staged before each step, untimed, and every step is synchronised.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import numpy as np

from weighbridge.bench.core.arrays import Arrays
from weighbridge.bench.core.backend import Session
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.measure import clock, parity
from weighbridge.bench.scenarios.base import padded
from weighbridge.bench.scenarios.steps.answer import StepsAnswers
from weighbridge.bench.scenarios.steps.requests import StepsRequest
from weighbridge.bench.scenarios.varying_shapes import buckets
from weighbridge.bench.scenarios.varying_shapes.buckets import Shape
from weighbridge.bench.scenarios.varying_shapes.requests import ShapesResult, StepThrough

CHECKED = 3
"""Batches whose outputs are held to those without buckets; these, to those of a row alone."""
STEADY = 3
"""Passes after the first: a step's seconds are their median, so that one neighbour's burst is no part of it."""


class ShapesAnswers(StepsAnswers):
    """Of an open cell: what timed steps are asked, and to step through its task's rows."""

    def item(self) -> str:
        """Tokens."""
        return "token"

    def answer(self, request: StepsRequest | StepThrough) -> object:
        """Dispatch on the request's type."""
        if not isinstance(request, StepThrough):
            return super().answer(request)
        pads = request.pads_rows
        pads_rows = self.host.backend.program_a_shape and request.strategy != "exact" if pads is None else pads
        return VaryingSteps(self.cell, self.session, self.host.varying()).step_through(request, pads_rows)


class VaryingSteps:
    """An open session, and a task's rows of varying length."""

    def __init__(self, cell: Cell, session: Session, rows: Sequence[Arrays]) -> None:
        self.cell, self.session, self.rows = cell, session, rows

    def step_through(self, request: StepThrough, pads_rows: bool) -> ShapesResult:
        """Every pass, then the check, since its unpadded shapes compile, too."""
        batches = list(self.batches(request.batches, request.seed))
        longest = max(length_of(row) for batch in batches for row in batch)
        lengths = request.lengths or buckets.fixed(request.strategy, longest)
        shapes = [self.shape(batch, lengths, pads_rows) for batch in batches]
        begin = self.session.programs()
        cold, compiled_at = self.passed(batches, shapes)
        between = self.session.programs()
        steady = [self.passed(batches, shapes)[0] for _ in range(STEADY)]
        end = self.session.programs()
        counts = None if begin is None or between is None or end is None else [between - begin, end - between]
        error = self.error if lengths else self.error_alone
        worst = parity.worst(error(batch, shape) for batch, shape in self.some(batches, shapes))
        tokens = sum(length_of(row) for batch in batches for row in batch)
        return ShapesResult(
            lengths=lengths, pads_rows=pads_rows, shapes=shapes, tokens=tokens, cold_s=cold, steady_s=steady,
            compiled_at=compiled_at, programs=counts, error=worst if np.isfinite(worst) else None,
        )  # fmt: skip

    def batches(self, count: int, seed: int) -> Iterator[list[Arrays]]:
        """Rows in order, 1 to the cell's batch size at a time; from the start again where there are too few."""
        rng, at = random.Random(seed), 0
        for _ in range(count):
            size = rng.randint(1, self.cell.batch_size)
            yield [self.rows[index % len(self.rows)] for index in range(at, at + size)]
            at += size

    def shape(self, batch: Sequence[Arrays], lengths: Sequence[int], pads_rows: bool) -> Shape:
        """Return what a batch is run at."""
        longest = max(length_of(row) for row in batch)
        rows = padded(len(batch), self.cell.batch_size) if pads_rows else len(batch)
        return Shape(rows, buckets.bucket(longest, lengths))

    def passed(self, batches: Sequence[list[Arrays]], shapes: Sequence[Shape]) -> tuple[list[float], list[int]]:
        """Seconds of each step, and the steps that compiled."""
        session, taken, compiled_at = self.session, list[float](), list[int]()
        with clock.quiet_collector():
            for at, (batch, shape) in enumerate(zip(batches, shapes, strict=True)):
                x, before = session.to_device(filled(batch, shape)), session.programs()
                begin = session.clock()
                session.sync(session.step(x))
                taken.append(clock.elapsed(session.clock() - begin))
                if session.programs() != before:
                    compiled_at.append(at)
        return taken, compiled_at

    def some(self, batches: list[list[Arrays]], shapes: list[Shape]) -> list[tuple[list[Arrays], Shape]]:
        """Batches at even distances."""
        chosen = range(0, len(batches), max(1, len(batches) // CHECKED))
        return [(batches[at], shapes[at]) for at in chosen][:CHECKED]

    def error(self, batch: list[Arrays], shape: Shape) -> float:
        """Return what padding changed in the outputs of real rows and positions."""
        exact = Shape(len(batch), max(length_of(row) for row in batch))
        found, expected = (self.outputs(batch, each) for each in (shape, exact))
        real = {name: _real(array, expected[name].shape) for name, array in found.items()}
        return parity.error(self._of_tokens(real, batch), self._of_tokens(expected, batch))

    def error_alone(self, batch: list[Arrays], shape: Shape) -> float:
        """Return the error that batching causes in the shortest row, which was padded most: held to it alone."""
        at = min(range(len(batch)), key=lambda index: length_of(batch[index]))
        row, alone = [batch[at]], Shape(1, length_of(batch[at]))
        found, expected = self.outputs(batch, shape), self.outputs(row, alone)
        real = {name: _real(array[at : at + 1], expected[name].shape) for name, array in found.items()}
        return parity.error(self._of_tokens(real, row), self._of_tokens(expected, row))

    def outputs(self, batch: list[Arrays], shape: Shape) -> Arrays:
        """Return outputs on the host."""
        y = self.session.step(self.session.to_device(filled(batch, shape)))
        self.session.sync(y)
        return self.session.to_host(y)

    def _of_tokens(self, outputs: Arrays, batch: list[Arrays]) -> Arrays:
        """Keep, of outputs a position, those of real ones: what stands after a row's end means nothing."""
        lengths = [length_of(row) for row in batch]
        longest = max(lengths)
        mask_BS = np.arange(longest)[None] < np.array(lengths)[:, None]
        return {
            name: array[mask_BS] if array.shape[1:2] == (longest,) and array.ndim > 2 else array
            for name, array in outputs.items()
        }


def length_of(row: Arrays) -> int:
    """Positions of a row."""
    return len(next(iter(row.values())))


def filled(batch: Sequence[Arrays], shape: Shape) -> Arrays:
    """A batch of this shape: zeros after each row's end, the first row again where rows are missing."""
    rows = [*batch, *[batch[0]] * (shape.rows - len(batch))]
    found: Arrays = {}
    for name, first in batch[0].items():
        found[name] = np.zeros((shape.rows, shape.length, *first.shape[1:]), first.dtype)
        for index, row in enumerate(rows):
            found[name][index, : len(row[name])] = row[name]
    return found


def _real(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return array[tuple(slice(0, size) for size in shape)]
