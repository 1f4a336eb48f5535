"""What a file that a browser must hold can show of a large run, and the words that say what it leaves out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.measure import sides

T = TypeVar("T")
MOST_ROWS = 500
MOST_WITHOUT_FIGURE = 120
MOST_SAMPLES = 400
"""Of one row, where rows are few."""
SAMPLES_IN_ALL = 40_000


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that are shown, in order, and what is said of the others."""

    rows: list[Row]
    samples: int
    """How many samples a row may show."""
    words: list[str]


def sampled(rows: Sequence[Row], whole: Callable[[Row], Row]) -> Shown:
    """Return all rows where they fit; else whole groups, and rows without a figure, at even distances.

    `whole` gives what is shown its samples, where a row is without.
    """
    shown = list(map(whole, rows if len(rows) <= MOST_ROWS else _chosen(rows)))
    samples = max(20, min(MOST_SAMPLES, SAMPLES_IN_ALL // max(1, len(shown))))
    return Shown(rows=shown, samples=samples, words=_words(rows, shown, samples))


def _chosen(rows: Sequence[Row]) -> list[Row]:
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(group(row), []).append(index)
    most = MOST_ROWS - MOST_WITHOUT_FIGURE
    kept: set[int] = set()
    for name in spread(list(groups), most):
        if len(kept) + len(groups[name]) <= most:
            kept.update(groups[name])
    lacking = [index for index, row in enumerate(rows) if row.record.status != "ok" and index not in kept]
    kept.update(spread(lacking, MOST_ROWS - len(kept)))
    return [rows[index] for index in sorted(kept)]


def group(row: Row) -> tuple[object, ...]:
    """Return what the rows that are compared with each other share."""
    return (row.run, *sides.group(row.record.cell))


def spread(items: Sequence[T], most: int) -> list[T]:
    """Return up to `most` items at even distances, the first among them."""
    if len(items) <= most:
        return list(items)
    return [items[index * len(items) // most] for index in range(most)]


def _words(rows: Sequence[Row], shown: Sequence[Row], samples: int) -> list[str]:
    words: list[str] = []
    if len(shown) < len(rows):
        lacking, kept = (sum(row.record.status != "ok" for row in some) for some in (rows, shown))
        words.append(
            f"This page shows {len(shown):,} of {len(rows):,} rows: whole groups at even distances, and {kept:,} of "
            f"{lacking:,} that ended without a figure. report.csv holds every row, and counts here are of all."
        )
    thinned = sum(len(row.record.step_s) > samples for row in shown)
    if thinned:
        words.append(
            f"Of {thinned:,} rows {samples} raw samples at even distances are kept here; statistics are of all, "
            "and records.jsonl holds them."
        )
    return words


def evenly(samples: Iterable[float], most: int) -> list[float]:
    """Samples at even distances, in order, to four digits: a picture's."""
    return [float(f"{value:.4g}") for value in spread(list(samples), most)]
