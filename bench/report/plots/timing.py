"""Time as pictures: latency, throughput against batch size, compilation repaid, runs one after another."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.report.plots.plot import MOST_SERIES, Plot, Series, grouped, name_of_group, place, unit_of
from weighbridge.bench.report.texts import driven, items, rate, task
from weighbridge.bench.report.units import calls, number, seconds

QUANTILES = tuple(np.linspace(0.0, 0.99, 100).tolist())
"""To the 99th percentile: one stray step would flatten all others."""
CALLS = tuple(float(calls) for calls in np.logspace(0, 7, 57))


def latency(rows: list[Row]) -> list[Plot]:
    """Per group: the share of steps that took no longer than x, from the raw samples."""
    timed = [row for row in rows if row.record.status == "ok" and row.record.step_s and row.step_s]
    return [_latency(title, found[:MOST_SERIES]) for title, found in grouped(timed, name_of_group).items()]


def _latency(title: str, rows: list[Row]) -> Plot:
    scale, unit = unit_of(min(row.step_s or 1.0 for row in rows))
    quantiles = [np.quantile(row.record.step_s, QUANTILES) / scale for row in rows]
    series = [
        Series(name=row.record.cell.executor, backend=row.record.cell.executor, x=x.tolist(), y=_percent(QUANTILES))
        for row, x in zip(rows, quantiles, strict=True)
    ]
    table = [
        [
            row.record.cell.executor,
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
    for backend, found in grouped(rows, lambda row: row.record.cell.executor).items():
        ordered = sorted(found, key=lambda row: row.record.cell.batch_size)
        sizes = [float(row.record.cell.batch_size) for row in ordered]
        series.append(Series(name=backend, backend=backend, x=sizes, y=[row.rate for row in ordered]))
    table = [[row.record.cell.executor, f"{row.record.cell.batch_size}", rate(row)] for row in rows]
    best = max(rows, key=lambda row: row.rate or 0.0)
    text = f"Highest: {best.record.cell.executor} at batch {best.record.cell.batch_size}, {rate(best)}."
    return Plot(
        title=title, text=text, x_label="batch size", y_label=f"{items(rows[0])}/s", kind="lines",
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
            row.record.cell.executor, seconds(row.record.compile_s), seconds(row.record.warm_compile_s),
            seconds(row.step_s), calls(row.break_even_calls), calls(row.warm_break_even_calls),
        ]
        for row in rows
    ]  # fmt: skip
    found = [f"{line[0]} {_after(line[4])} (caches filled: {_after(line[5])})" for line in table if line[4] != "–"]
    return Plot(
        title=title, text=f"Compilation is repaid: {'; '.join(found) or 'nowhere'}.", x_label="calls",
        y_label="seconds in all", kind="lines", series=series, table=table, x_log=True, y_log=True,
        columns=["backend", "compile", "warm compile", "step", "break-even", "warm break-even"],
    )  # fmt: skip


def _after(words: str) -> str:
    return f"after {words}" if words[0].isdigit() else words


def _totals(row: Row) -> list[Series]:
    record, step_s = row.record, row.step_s or 0.0
    starts = [(record.compile_s, ""), (record.warm_compile_s, ", cache filled")]
    return [
        Series(
            name=record.cell.executor + words, backend=record.cell.executor, x=list(CALLS), filled=not words,
            y=[compile_s + (calls - 1) * step_s for calls in CALLS],
        )
        for compile_s, words in starts
        if compile_s is not None
    ]  # fmt: skip


def over_time(rows: list[Row]) -> list[Plot]:
    """The step of each backend over the runs of a machine, where there are several."""
    timed = [row for row in rows if row.record.status == "ok" and row.step_s is not None]
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
        for backend, found in grouped(ordered, lambda row: row.record.cell.executor).items()
    ]  # fmt: skip
    table = [[row.record.started, row.record.cell.executor, seconds(row.step_s)] for row in ordered]
    changes = "; ".join(
        f"{line.name}: {number(line.y[0])} {unit}, then {number(line.y[-1])} {unit}" for line in series if line.y[1:]
    )
    return Plot(
        title=title, text=f"First and last run: {changes}.", x_label="run, in order of start", y_label=f"step, {unit}",
        kind="lines", series=series[:MOST_SERIES], columns=["started", "backend", "step"], table=table,
    )  # fmt: skip
