"""Which lengths a backend's batches are best padded to."""

from __future__ import annotations

import msgspec

from weighbridge.bench.core.cell import Cell
from weighbridge.bench.scenarios import base
from weighbridge.bench.scenarios.varying_shapes import buckets
from weighbridge.bench.scenarios.varying_shapes.buckets import Shape
from weighbridge.bench.scenarios.varying_shapes.requests import ShapesResult
from weighbridge.bench.scenarios.varying_shapes.result import cost

HOPELESS = ("skipped", "parity_failed")
"""After these, no other padding can do better."""


class Padding(msgspec.Struct, frozen=True):
    """What batches are padded to."""

    lengths: list[int]
    rows: bool


def price_s(exact: ShapesResult) -> float:
    """Return what one more shape costs a backend that made a program for each; nothing where one serves any."""
    found, shapes = cost(exact), len(set(exact.shapes))
    return found.compiling_s / shapes if (found.programs or 0) >= shapes else 0.0


def best_padding(cell: Cell, exact: ShapesResult, passes: int) -> Padding:
    """Return the best for a backend, by what `exact` took: buckets for rows as they come, or filled up."""
    step_s, compile_s = buckets.fitted(exact.shapes, exact.steps_s), price_s(exact)
    found: list[tuple[float, bool, list[int]]] = []
    for fills in (False, True):
        batches = [Shape(base.padded(rows, cell.batch_size) if fills else rows, at) for rows, at in exact.shapes]
        lengths = buckets.best(batches, step_s, compile_s, passes)
        found.append((buckets.total_s(batches, lengths, step_s, compile_s, passes), fills, lengths))
    _, fills, lengths = min(found)
    return Padding(lengths, fills)
