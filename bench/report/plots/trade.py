"""What is traded: score, throughput and memory, and which cells nothing else beats."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.report.plots.plot import MOST_SERIES, Plot, Series, grouped, label
from weighbridge.bench.report.texts import items, rate, task
from weighbridge.bench.report.units import size


def pareto(rows: list[Row]) -> list[Plot]:
    """Per task and scenario: score and memory against throughput."""
    right = [row for row in rows if row.right and row.rate is not None]
    several = len({row.processor for row in right}) > 1
    groups = grouped(right, lambda row: _where(row, several))
    return [plot for title, found in groups.items() for plot in (_memory(title, found), _score(title, found)) if plot]


def _where(row: Row, several: bool) -> str:
    """A front holds cells of one processor."""
    cell = row.record.cell
    return f"{task(row)}, {cell.scenario} on {row.processor or cell.device if several else cell.device}"


def _memory(title: str, rows: list[Row]) -> Plot | None:
    known = [row for row in rows if memory(row) is not None]
    points = [(row, row.rate or 0.0, (memory(row) or 0) / 2**20) for row in known]
    best = front([(x, -y) for _, x, y in points])
    return _scatter(f"{title}: memory against throughput", "peak memory, MiB (less is better)", points, best)


def _score(title: str, rows: list[Row]) -> Plot | None:
    known = [row for row in rows if row.score is not None and math.isfinite(row.score) and row.record.about]
    if not known:
        return None
    target = known[0].record.about and known[0].record.about.target
    assert target
    sign = 1 if target.higher_is_better else -1
    points = [(row, row.rate or 0.0, round(row.score or 0.0, 4)) for row in known]
    best = front([(x, sign * y) for _, x, y in points])
    better = "more" if target.higher_is_better else "less"
    return _scatter(f"{title}: score against throughput", f"{target.metric} ({better} is better)", points, best)


def memory(row: Row) -> int | None:
    """Peak on the device where there is one, else on the host."""
    record = row.record
    return record.host_peak_bytes if record.device_peak_bytes is None else record.device_peak_bytes


def front(points: Sequence[tuple[float, float]]) -> set[int]:
    """Indices of the points that no other beats in one figure and equals in the other; more is better in both."""
    found: set[int] = set()
    highest = -np.inf
    for index in sorted(range(len(points)), key=lambda i: (-points[i][0], -points[i][1])):
        if points[index][1] > highest:
            found.add(index)
            highest = points[index][1]
    return found


def _scatter(title: str, y_label: str, points: list[tuple[Row, float, float]], best: set[int]) -> Plot | None:
    if not points:
        return None
    kept = sorted(range(len(points)), key=lambda index: index not in best)[:MOST_SERIES]
    peaks = [memory(row) or 0 for row, _, _ in points]
    series = [
        Series(
            name=label(row), backend=row.record.cell.executor, x=[x], y=[y], filled=index in best,
            size=8 + 16 * (peaks[index] / max(*peaks, 1)) ** 0.5,
        )
        for index in sorted(kept, key=lambda index: -peaks[index])  # a small point lies on a large one, not under it
        for row, x, y in [points[index]]
    ]  # fmt: skip
    table = [
        [
            label(row),
            rate(row),
            size(memory(row)),
            "–" if row.score is None else f"{row.score:.4f}",
            _yes(index in best),
        ]
        for index in kept
        for row, _, _ in [points[index]]
    ]
    names = ", ".join(label(points[index][0]) for index in sorted(best))
    return Plot(
        title=title,
        text=f"On the Pareto front, filled: {names}. The larger the point, the more memory.",
        x_label=f"throughput, {items(points[0][0])}/s",
        y_label=y_label,
        kind="points",
        series=series,
        columns=["cell", "throughput", "peak memory", "score", "on the front"],
        table=table,
    )


def _yes(value: bool) -> str:
    return "yes" if value else "no"
