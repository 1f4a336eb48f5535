"""Figures that are parts of a whole or stand against a limit: tables with a bar in each cell."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.core.record import Record
from weighbridge.bench.report.answer import named
from weighbridge.bench.report.texts import parity
from weighbridge.bench.report.units import size

MOST_LINES = 200


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """A text, and how full its bar is, 0 to 1; None where there is none."""

    text: str
    share: float | None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One row's bars."""

    name: str
    backend: str
    bars: list[Bar]


class Bars(msgspec.Struct, frozen=True, kw_only=True):
    """A table with a bar in each cell."""

    title: str
    meaning: str
    columns: list[str]
    lines: list[Line]


MEMORY: list[tuple[str, Callable[[Record], int | None]]] = [
    ("host, while timed", lambda record: record.host_peak_bytes),
    ("host, after the imports", lambda record: record.host_import_bytes),
    ("host, while compiling", lambda record: record.compile_host_peak_bytes),
    ("device, live", lambda record: record.device_peak_bytes),
    ("device, reserved", lambda record: record.device_reserved_bytes),
    ("device, process", lambda record: record.device_process_bytes),
]


def memory(rows: list[Row]) -> Bars | None:
    """Every figure of memory, each against the largest of its column."""
    known = [row for row in rows if any(of(row.record) is not None for _, of in MEMORY)][:MOST_LINES]
    peaks = [max((of(row.record) or 0 for row in known), default=0) for _, of in MEMORY]
    lines = [
        Line(
            name=named(row),
            backend=row.record.cell.executor,
            bars=[_part(of(row.record), peak) for (_, of), peak in zip(MEMORY, peaks, strict=True)],
        )
        for row in known
    ]
    meaning = "Peaks in bytes, each bar against the largest of its column. n/a: this device or backend does not tell."
    titles = [title for title, _ in MEMORY]
    return Bars(title="Memory, split", meaning=meaning, columns=titles, lines=lines) if lines else None


def _part(value: int | None, peak: int) -> Bar:
    return Bar(text=size(value), share=None if value is None or not peak else value / peak)


def correctness(rows: list[Row]) -> Bars | None:
    """The error of each row against its limit, on a scale that ends at the limit."""
    known = [row for row in rows if row.record.parity][:MOST_LINES]
    lines = [Line(name=named(row), backend=row.record.cell.executor, bars=_judged(row)) for row in known]
    meaning = "How far outputs are from a float64 oracle, in units of the reference's own. A full bar is the limit."
    return Bars(title="Parity", meaning=meaning, columns=["error", "outcome"], lines=lines) if lines else None


def _judged(row: Row) -> list[Bar]:
    found = row.record.parity
    assert found
    finite = found.ratio is not None and math.isfinite(found.ratio) and found.limit > 0
    share = min(1.0, found.ratio / found.limit) if found.ratio is not None and finite else 1.0
    return [Bar(text=parity(row), share=share), Bar(text="passed" if found.passed else "FAILED", share=None)]


def charts(rows: list[Row]) -> list[Bars]:
    """Return all charts of bars."""
    return [bars for bars in (memory(rows), correctness(rows)) if bars]
