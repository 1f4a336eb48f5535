"""The README's table: of several runs of one request what each ratio was in all of them.

python -m tests.experiments.readme results/<machine>/<run> results/<machine>/<another> ...

A word stands where each of three runs or more said it, else UNSURE; of fewer runs there are ratios alone: what was not
repeated is no verdict. A ratio of too few quiet blocks for an interval is none, and the runs that have one are counted.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.report.markup import escape, grid
from weighbridge.bench.report.runs import rows_of
from weighbridge.bench.report.texts import task

FEWEST_RUNS = 3
Group = dict[str, list[Row]]
"""The rows of one cell by executor, a row a run."""


def by_group(paths: Sequence[Path]) -> list[Group]:
    """The groups that every run has, in the first one's order."""
    runs = [rows_of([path]).rows for path in paths]
    found: dict[str, Group] = {}
    for row in (row for rows in runs for row in rows):
        found.setdefault(row.record.cell.group, {}).setdefault(row.record.cell.executor, []).append(row)
    return [group for group in found.values() if all(len(rows) == len(runs) for rows in group.values())]


def table(groups: Sequence[Group]) -> str:
    """In Markdown: a line a group, then the geometric mean of each column of ratios."""
    every = [row for group in groups for rows in group.values() for row in rows]
    reference = next(row.reference for row in every if row.reference)
    others = [name for name in groups[0] if name != reference and all(name in group for group in groups)]
    best = {row.best for row in every}
    ratios = {f"{name} : {reference}": (name, _ratio, _verdict) for name in others}
    ratios |= {f"{name} : best {reference}": (name, _best, _best_verdict) for name in others if name not in best}
    lines = [
        [
            *_about(group[reference][0]),
            *(_said([(of(row), word(row)) for row in group[name]]) for name, of, word in ratios.values()),
            " / ".join(_peak(group[name]) for name in (reference, *others)),
        ]
        for group in groups
    ]
    means = [_means([[of(row) for row in group[name]] for group in groups]) for name, of, _ in ratios.values()]
    headings = ["task", "score", *ratios, f"MiB above import: {' / '.join((reference, *others))}"]
    return grid(headings, [[escape(text) for text in line] for line in [*lines, ["geometric mean", "", *means, ""]]])


def _ratio(row: Row) -> float | None:
    return row.ratio if row.interval else None


def _verdict(row: Row) -> str | None:
    return row.verdict


def _best(row: Row) -> float | None:
    if row.best == row.record.cell.executor:
        return row.best_ratio
    return row.best_ratio if row.best_interval else None


def _best_verdict(row: Row) -> str | None:
    return row.best_verdict


def _about(row: Row) -> tuple[str, str]:
    cell, metric = row.record.cell, row.record.about.target.metric if row.record.about else ""
    what = f"{task(row)}, {cell.scenario} b{cell.batch_size}"
    return what, "" if row.score is None else f"{metric} {row.score:.3g}"


def _said(seen: Sequence[tuple[float | None, str | None]]) -> str:
    """`1.02 to 1.10 UNSURE`, of fewer than three runs without the word; a dash where no run gave a ratio."""
    values, words = [value for value, _ in seen if value is not None], {word for _, word in seen}
    if not values:
        return "–"
    counted = "" if len(values) == len(seen) else f" in {len(values)} of {len(seen)}"
    if len(seen) < FEWEST_RUNS:
        return _span(values) + counted
    return f"{_span(values)}{counted} {words.pop() if len(words) == 1 and not counted else 'UNSURE'}"


def _span(values: Sequence[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def _means(columns: Sequence[Sequence[float | None]]) -> str:
    """The geometric mean over the groups that have a ratio in every run, run by run."""
    whole = [[value for value in column if value is not None] for column in columns]
    whole = [column for column in whole if len(column) == len(columns[0])]
    return _span([statistics.geometric_mean(run) for run in zip(*whole, strict=True)]) if whole else "–"


def _peak(rows: Sequence[Row]) -> str:
    """The median over runs."""
    known = [
        (row.record.host_peak_bytes - row.record.host_import_bytes) / 2**20
        for row in rows
        if row.record.host_peak_bytes is not None and row.record.host_import_bytes is not None
    ]
    return f"{statistics.median(known):.0f}" if known else "–"


if __name__ == "__main__":
    print(table(by_group([Path(path) for path in sys.argv[1:]])))
