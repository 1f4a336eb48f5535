"""What is drawn, as data: points and lines with the words that say the same. Pure; a browser draws them.

Every plot carries a sentence for those who cannot see it and a table of its figures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.core.settings import words
from weighbridge.bench.report.texts import driven, task

MOST_SERIES = 24
"""In one plot; more cannot be told apart."""
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


def label(row: Row) -> str:
    """A point of a scatter plot."""
    cell = row.record.cell
    where = place(row)
    told = " ".join([cell.executor, cell.precision, f"b{cell.batch_size}", *words(cell.settings)])
    return told + (f" ({where})" if where else "")


def unit_of(value_s: float) -> tuple[float, str]:
    """The unit of time that a reader expects of a figure, and its seconds."""
    return next(((scale, unit) for scale, unit in SECONDS if value_s >= scale), SECONDS[-1])
