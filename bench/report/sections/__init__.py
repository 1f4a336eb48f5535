"""What scenarios say of their own records, beside the table of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.report.sections import parity, serve, varying_shapes
from weighbridge.bench.report.sections.section import Section

SECTIONS: list[Callable[[Sequence[Row]], Section | None]] = [parity.section, serve.section, varying_shapes.section]
"""In the order in which reports show them; each tells whether any of the rows are its own."""


def sections(rows: Sequence[Row]) -> list[Section]:
    """Return the sections that have something to say."""
    return [found for make in SECTIONS if (found := make(rows))]
