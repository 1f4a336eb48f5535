"""The README's table: of each row of a run the columns that decide.

python -m tests.experiments.readme results/<machine>/<run>
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from bench.analysis.row import Row
from bench.report.markup import escape, grid
from bench.report.runs import rows_of
from bench.report.texts import best, driven, host_peak, parity, ratio, task, verdict

COLUMNS: dict[str, Callable[[Row], str]] = {
    "task": lambda row: f"{task(row)}, {driven(row)}".removesuffix(" cpu"),
    "backend": lambda row: row.record.cell.executor,
    "ratio to eager": lambda row: f"{ratio(row)} {verdict(row)}".removesuffix(" –"),
    "ratio to best torch": best,
    "host peak": host_peak,
    "parity": parity,
}


def table(path: Path) -> str:
    """The table of a run, in Markdown."""
    rows = rows_of([path]).rows
    return grid(COLUMNS, [[escape(text(row)) for text in COLUMNS.values()] for row in rows])


if __name__ == "__main__":
    print(table(Path(sys.argv[1])))
