"""Every report of a run, each whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from weighbridge.bench.analysis import ratios
from weighbridge.bench.report import csv, html, markdown
from weighbridge.bench.report.overview import Overview
from weighbridge.bench.storage import journals
from weighbridge.bench.storage.files import write_whole


def write_run(folder: Path, reference: str) -> None:
    if journals.journal(folder).exists():
        write_reports(folder, Overview(ratios.rows(journals.load(folder), reference), reference))


REPORTS: dict[str, Callable[[Overview], str]] = {
    "report.html": html.render,
    "report.md": markdown.render,
    "report.csv": lambda overview: csv.render(overview.rows, overview.lines),
}


def write_reports(folder: Path, overview: Overview) -> None:
    """Every kind of report, each whole or not at all."""
    for name, render in REPORTS.items():
        write_whole(folder / name, render(overview).encode())
