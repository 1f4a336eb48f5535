"""Every kind of plot that a report has. To add one, write a function from rows to plots and name it in PLOTS."""

from __future__ import annotations

from collections.abc import Callable

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.report.plots import rooflines, timing, trade
from weighbridge.bench.report.plots.plot import Chapter, Plot

MOST_PLOTS = 24
"""Of one kind; the table has the rest."""
PLOTS: list[tuple[str, str, Callable[[list[Row]], list[Plot]]]] = [
    ("What you trade", "Score, throughput and memory of all that is right. Filled: on the Pareto front.", trade.pareto),
    ("Latency", "The share of synchronised steps that took no longer than x, from the raw samples.", timing.latency),
    ("Batch size", "Throughput where steps are queued, against batch size.", timing.batches),
    ("Compilation repaid", "Seconds until the n-th call is done. Dotted: with a filled cache.", timing.repaid),
    ("Roofline", "What was done of what this machine could do. A mark stands under its roof.", rooflines.rooflines),
    ("History", "The median step over the runs that this report is made of.", timing.over_time),
]  # fmt: skip


def chapters(rows: list[Row]) -> list[Chapter]:
    """Every kind of plot that these rows fill."""
    found = [(title, meaning, make(rows)) for title, meaning, make in PLOTS]
    return [
        Chapter(title=title, meaning=meaning, plots=plots[:MOST_PLOTS], left_out=max(0, len(plots) - MOST_PLOTS))
        for title, meaning, plots in found
        if plots
    ]
