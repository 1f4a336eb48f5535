"""What is drawn, as data: points and lines with the words that say the same. Pure; a browser draws them.

Every plot carries a sentence for those who cannot see it and a table of its figures. To add one, write a function
from rows to plots and name it in PLOTS.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec
import numpy as np

from bench.compare import Row
from bench.report.table import calls, driven, number, rate, scaled, seconds, size, task

MOST_SERIES = 24
"""In one plot; more cannot be told apart."""
MOST_PLOTS = 24
"""Of one kind; the table has the rest."""
QUANTILES = tuple(np.linspace(0.0, 0.99, 100).tolist())
"""To the 99th percentile: one stray step would flatten all others."""
CALLS = tuple(float(calls) for calls in np.logspace(0, 7, 57))
SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Points of one backend: y at the plot's own x."""

    name: str
    backend: str
    x: list[float]
    y: list[float | None]
    size: float = 8.0
    """Diameter of a point in CSS pixels."""
    filled: bool = True


class Plot(msgspec.Struct, frozen=True, kw_only=True):
    """One picture and its text."""

    title: str
    text: str
    """What it shows, for those who do not see it."""
    x_label: str
    y_label: str
    kind: Literal["points", "lines"]
    series: list[Series]
    columns: list[str]
    table: list[list[str]]
    y_range: tuple[float, float] | None = None
    x_log: bool = False
    y_log: bool = False


class Chapter(msgspec.Struct, frozen=True, kw_only=True):
    """Plots of one kind under one heading."""

    title: str
    meaning: str
    plots: list[Plot]
    left_out: int = 0


Groups = dict[str, list[Row]]


def grouped(rows: Iterable[Row], key: Callable[[Row], str]) -> Groups:
    """Rows by a text, in order of first appearance."""
    found: Groups = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found


def place(row: Row) -> str:
    """Machine and run, where rows are of several."""
    return ", ".join(text for text in (row.run and row.machine, row.run) if text)


def name_of_group(row: Row) -> str:
    """The group's task and how it is driven."""
    where = place(row)
    return f"{task(row)}, {driven(row)}" + (f" ({where})" if where else "")


def pareto(rows: list[Row]) -> list[Plot]:
    """Per task and scenario: score and memory against throughput."""
    right = [row for row in rows if row.right and row.rate is not None]
    groups = grouped(right, lambda row: f"{task(row)}, {row.record.cell.scenario} on {row.record.cell.device}")
    return [plot for title, found in groups.items() for plot in (_memory(title, found), _score(title, found)) if plot]


def label(row: Row) -> str:
    """A point of a scatter plot."""
    cell = row.record.cell
    where = place(row)
    return f"{cell.backend} {cell.precision} b{cell.batch_size}" + (f" ({where})" if where else "")


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
            name=label(row), backend=row.record.cell.backend, x=[x], y=[y], filled=index in best,
            size=8 + 16 * (peaks[index] / max(*peaks, 1)) ** 0.5,
        )
        for index in kept
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
        x_label=f"throughput, {_items(points[0][0])}/s",
        y_label=y_label,
        kind="points",
        series=series,
        columns=["cell", "throughput", "peak memory", "score", "on the front"],
        table=table,
    )


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _items(row: Row) -> str:
    about = row.record.about
    return "tokens" if row.record.cell.scenario == "generate" else f"{about.item}s" if about else "items"


def latency(rows: list[Row]) -> list[Plot]:
    """Per group: the share of steps that took no longer than x, from the raw samples."""
    timed = [row for row in rows if row.record.step_s and row.step_s]
    return [_latency(title, found[:MOST_SERIES]) for title, found in grouped(timed, name_of_group).items()]


def _latency(title: str, rows: list[Row]) -> Plot:
    scale, unit = unit_of(min(row.step_s or 1.0 for row in rows))
    quantiles = [np.quantile(row.record.step_s, QUANTILES) / scale for row in rows]
    series = [
        Series(name=row.record.cell.backend, backend=row.record.cell.backend, x=x.tolist(), y=_percent(QUANTILES))
        for row, x in zip(rows, quantiles, strict=True)
    ]
    table = [
        [
            row.record.cell.backend,
            f"{len(row.record.step_s):,}",
            *(seconds(float(x[at]) * scale) for at in (50, 90, 99)),
            seconds(max(row.record.step_s)),
        ]
        for row, x in zip(rows, quantiles, strict=True)
    ]
    medians = "; ".join(f"{name}: median {median}, p90 {p90}, p99 {p99}" for name, _, median, p90, p99, _ in table)
    return Plot(
        title=title, text=f"{medians}.", x_label=f"step, {unit}", kind="lines",
        y_label="% of steps that took no longer", y_range=(0.0, 100.0), series=series, table=table,
        columns=["backend", "steps", "median", "p90", "p99", "longest"],
    )  # fmt: skip


def _percent(shares: Iterable[float]) -> list[float | None]:
    return [100 * share for share in shares]


def unit_of(value_s: float) -> tuple[float, str]:
    """The unit of time that a reader expects of a figure, and its seconds."""
    return next(((scale, unit) for scale, unit in SECONDS if value_s >= scale), SECONDS[-1])


def batches(rows: list[Row]) -> list[Plot]:
    """Throughput against batch size, where a task was weighed at several."""
    right = [row for row in rows if row.right and row.rate is not None]
    several = {
        title: found
        for title, found in grouped(right, _but_batch).items()
        if len({row.record.cell.batch_size for row in found}) > 1
    }
    return [_batches(title, found) for title, found in several.items()]


def _but_batch(row: Row) -> str:
    cell, where = row.record.cell, place(row)
    return f"{task(row)}, {cell.scenario} {cell.precision} {cell.device}" + (f" ({where})" if where else "")


def _batches(title: str, rows: list[Row]) -> Plot:
    series: list[Series] = []
    for backend, found in grouped(rows, lambda row: row.record.cell.backend).items():
        ordered = sorted(found, key=lambda row: row.record.cell.batch_size)
        sizes = [float(row.record.cell.batch_size) for row in ordered]
        series.append(Series(name=backend, backend=backend, x=sizes, y=[row.rate for row in ordered]))
    table = [[row.record.cell.backend, f"{row.record.cell.batch_size}", rate(row)] for row in rows]
    best = max(rows, key=lambda row: row.rate or 0.0)
    text = f"Highest: {best.record.cell.backend} at batch {best.record.cell.batch_size}, {rate(best)}."
    return Plot(
        title=title, text=text, x_label="batch size", y_label=f"{_items(rows[0])}/s", kind="lines",
        series=series[:MOST_SERIES], columns=["backend", "batch size", "throughput"], table=table, x_log=True,
    )  # fmt: skip


def repaid(rows: list[Row]) -> list[Plot]:
    """Seconds until the n-th call is done, compilation included: where lines cross is the break-even."""
    right = [row for row in rows if row.right and row.record.compile_s is not None]
    groups = {title: found for title, found in grouped(right, name_of_group).items() if len(found) > 1}
    return [_repaid(title, found[: MOST_SERIES // 2]) for title, found in groups.items()]


def _repaid(title: str, rows: list[Row]) -> Plot:
    series = [line for row in rows for line in _totals(row)]
    table = [
        [
            row.record.cell.backend, seconds(row.record.compile_s), seconds(row.record.warm_compile_s),
            seconds(row.step_s), calls(row.break_even_calls), calls(row.warm_break_even_calls),
        ]
        for row in rows
    ]  # fmt: skip
    found = [f"{line[0]} after {line[4]} (caches filled: {line[5]})" for line in table if line[4] != "–"]
    return Plot(
        title=title, text=f"Compilation is repaid: {'; '.join(found) or 'nowhere'}.", x_label="calls",
        y_label="seconds in all", kind="lines", series=series, table=table, x_log=True, y_log=True,
        columns=["backend", "compile", "warm compile", "step", "break-even", "warm break-even"],
    )  # fmt: skip


def _totals(row: Row) -> list[Series]:
    record, step_s = row.record, row.step_s or 0.0
    starts = [(record.compile_s, ""), (record.warm_compile_s, ", cache filled")]
    return [
        Series(
            name=record.cell.backend + words, backend=record.cell.backend, x=list(CALLS), filled=not words,
            y=[compile_s + (calls - 1) * step_s for calls in CALLS],
        )
        for compile_s, words in starts
        if compile_s is not None
    ]  # fmt: skip


def over_time(rows: list[Row]) -> list[Plot]:
    """The step of each backend over the runs of a machine, where there are several."""
    timed = [row for row in rows if row.step_s is not None]
    groups = grouped(timed, lambda row: f"{task(row)}, {driven(row)}" + (f" on {row.machine}" if row.machine else ""))
    return [
        _over_time(title, found) for title, found in groups.items() if len({row.record.started for row in found}) > 1
    ]


def _over_time(title: str, rows: list[Row]) -> Plot:
    ordered = sorted(rows, key=lambda row: row.record.started)
    starts = {started: float(n + 1) for n, started in enumerate(dict.fromkeys(row.record.started for row in ordered))}
    scale, unit = unit_of(min(row.step_s or 1.0 for row in rows))
    series = [
        Series(
            name=backend, backend=backend, x=[starts[row.record.started] for row in found],
            y=[(row.step_s or 0.0) / scale for row in found],
        )
        for backend, found in grouped(ordered, lambda row: row.record.cell.backend).items()
    ]  # fmt: skip
    table = [[row.record.started, row.record.cell.backend, seconds(row.step_s)] for row in ordered]
    changes = "; ".join(
        f"{line.name}: {number(line.y[0])} {unit}, then {number(line.y[-1])} {unit}" for line in series if line.y[1:]
    )
    return Plot(
        title=title, text=f"First and last run: {changes}.", x_label="run, in order of start", y_label=f"step, {unit}",
        kind="lines", series=series[:MOST_SERIES], columns=["started", "backend", "step"], table=table,
    )  # fmt: skip


def rooflines(rows: list[Row]) -> list[Plot]:
    """Per machine, device and precision: operations a second against operations a byte, under both roofs."""
    known = [row for row in rows if row.right and row.roofline and row.record.peaks]
    groups = grouped(known, lambda row: " ".join((row.machine, row.record.cell.device, row.record.cell.precision)))
    return [_roofline(title, found) for title, found in groups.items()]


def _roofline(title: str, rows: list[Row]) -> Plot:
    peaks, precision = rows[0].record.peaks, rows[0].record.cell.precision
    assert peaks
    peak, bandwidth = peaks.flops_per_s[precision] / 1e9, peaks.bytes_per_s / 1e9
    found = [(row, row.roofline) for row in rows if row.roofline]
    xs = sorted({peak / bandwidth, *(2.0**power for power in range(-2, 13))})
    roofs: list[float | None] = [min(peak, bandwidth * x) for x in xs]
    series = [Series(name="roof", backend="", x=xs, y=roofs)]
    for row, roof in found[: MOST_SERIES - 1]:
        name = f"{row.record.cell.backend}: {task(row)} {row.record.cell.scenario}"
        point: list[float | None] = [roof.flops_per_s / 1e9]
        series.append(Series(name=name, backend=row.record.cell.backend, x=[roof.intensity], y=point, size=9))
    table = [
        [label(row), task(row), row.record.cell.scenario, scaled(roof.flops_per_s, "FLOP/s"), number(roof.intensity),
         f"{100 * roof.share:.2g} %", roof.bound]
        for row, roof in found
    ]  # fmt: skip
    best, share = max(((row, roof.share) for row, roof in found), key=lambda each: each[1])
    text = (
        f"Peaks: {number(peak)} GFLOP/s, {number(bandwidth)} GB/s, measured by {peaks.by}. Nearest to its roof: "
        f"{label(best)}, {task(best)} {best.record.cell.scenario}, {100 * share:.0f} %."
    )
    return Plot(
        title=title, text=text, x_label="operations a byte", y_label="GFLOP/s", kind="lines", series=series,
        table=table, x_log=True, y_log=True,
        columns=["cell", "task", "scenario", "achieved", "operations a byte", "of the roof", "bound by"],
    )  # fmt: skip


PLOTS: list[tuple[str, str, Callable[[list[Row]], list[Plot]]]] = [
    ("What you trade", "Score, throughput and memory of all that is right. Filled: on the Pareto front.", pareto),
    ("Latency", "The share of synchronised steps that took no longer than x, from the raw samples.", latency),
    ("Batch size", "Throughput where steps are queued, against batch size.", batches),
    ("Compilation repaid", "Seconds until the n-th call is done, compilation included. Dotted: filled cache.", repaid),
    ("Roofline", "What was done of what this machine could do. A mark stands under its roof.", rooflines),
    ("History", "The median step over the runs that this report is made of.", over_time),
]  # fmt: skip


def chapters(rows: list[Row]) -> list[Chapter]:
    """Every kind of plot that these rows fill."""
    found = [(title, meaning, make(rows)) for title, meaning, make in PLOTS]
    return [
        Chapter(title=title, meaning=meaning, plots=plots[:MOST_PLOTS], left_out=max(0, len(plots) - MOST_PLOTS))
        for title, meaning, plots in found
        if plots
    ]
