"""What was done of what a machine could do, as a picture."""

from __future__ import annotations

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.report.plots.plot import MOST_SERIES, Plot, Series, grouped, label
from weighbridge.bench.report.texts import task
from weighbridge.bench.report.units import number, scaled


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
        name = f"{row.record.cell.executor}: {task(row)} {row.record.cell.scenario}"
        point: list[float | None] = [roof.flops_per_s / 1e9]
        series.append(Series(name=name, backend=row.record.cell.executor, x=[roof.intensity], y=point, size=9))
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
