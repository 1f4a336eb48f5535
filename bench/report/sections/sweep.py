"""A batch sweep in words and figures: per backend the knee, the best batch size, and what ended it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from weighbridge.bench.analysis.knee import ENOUGH, Curve
from weighbridge.bench.analysis.row import Row
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.report.markup import escape, grid
from weighbridge.bench.report.plots.trade import memory
from weighbridge.bench.report.texts import rate, ratio
from weighbridge.bench.report.units import percent, seconds, size

COLUMNS = ("backend", "batch", "throughput", "of best", "step", "ratio", "peak memory", "status")
MEANING = (
    f"The knee is the smallest batch size with {percent(ENOUGH)} of the backend's best throughput seen here. Every"
    " batch size is a cell of its own, shown to be right before it was timed; none was halved. Host memory was bounded"
    " where a line says so: what failed under a bound may fit in a larger memory."
)


def title(cell: Cell) -> str:
    """Return what a sweep's backends share."""
    return f"{cell.task} {cell.preset}, {cell.scenario} {cell.precision} {cell.device}"


def sentence(curve: Curve) -> str:
    """`torch: knee at batch 8 (96 texts/s, 94 % of the best, 102 texts/s at batch 32); ended by oom at 256: ...`"""
    return f"{curve.first.executor}: {_found(curve)}; ended by {curve.end}{_bound(curve)}" + (
        f": {curve.reason}" if curve.reason else ""
    )


def _found(curve: Curve) -> str:
    if curve.knee is None or curve.best is None:
        return "no batch size ran"
    rates = {row.record.cell.batch_size: rate(row) for row in curve.rows}
    if curve.knee == curve.best:
        return f"knee and best at batch {curve.knee} ({rates[curve.knee]})"
    share = percent(curve.rates[curve.knee] / curve.rates[curve.best])
    return f"knee at batch {curve.knee} ({rates[curve.knee]}, {share} of the best, {rates[curve.best]} at {curve.best})"


def _bound(curve: Curve) -> str:
    """The bound of the worker that was last: what it says of memory holds under it."""
    limit = curve.rows[-1].record.facts.get("host_limit_bytes")
    return f", host memory bounded to {size(limit)}" if isinstance(limit, int) else ""


def lines(curve: Curve) -> list[list[str]]:
    """A line a batch size, as `COLUMNS`."""
    return [_line(curve, row) for row in curve.rows]


def _line(curve: Curve, row: Row) -> list[str]:
    cell, share = row.record.cell, None
    if cell.batch_size in curve.rates and curve.best is not None:
        share = curve.rates[cell.batch_size] / curve.rates[curve.best]
    marks = [word for word, at in (("knee", curve.knee), ("best", curve.best)) if at == cell.batch_size]
    return [
        cell.executor,
        str(cell.batch_size),
        rate(row),
        "–" if share is None else percent(share),
        seconds(row.step_s),
        ratio(row),
        size(memory(row)),
        ", ".join([row.record.status, *marks]),
    ]


def markdown(curves: Sequence[Curve]) -> str:
    """sweep.md."""
    parts = ["# Batch sweep", "", MEANING]
    for name, alike in groupby(curves, key=lambda curve: title(curve.first)):
        found = list(alike)
        parts += ["", f"## {escape(name)}", "", *(f"- {escape(sentence(curve))}" for curve in found), ""]
        parts.append(grid(COLUMNS, [map(escape, line) for curve in found for line in lines(curve)]))
    return "\n".join([*parts, ""])
