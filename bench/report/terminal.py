"""The same table in the terminal."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from bench.compare import Row
from bench.report.markdown import headline
from bench.report.table import floors, notes, used

COLOURS = {"ok": "green", "skipped": "yellow"}


def render(rows: list[Row]) -> Group:
    """The table, what lacks a figure and why, and the headline. Text is never parsed as mark-up."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    columns = used(rows)
    for column in columns:
        table.add_column(column.title, overflow="fold")
    for row in rows:
        style = COLOURS.get(row.record.status, "red") if row.record.status != "ok" else ""
        struck = "" if row.gate_passed else "strike"
        table.add_row(*(Text(column.text(row), style=style or struck) for column in columns))
    lines = [Text(line, style="yellow") for line in notes(rows)]
    closing = f"{headline([row.record for row in rows])} {floors(rows)}".rstrip()
    return Group(table, *lines, Text(closing))
