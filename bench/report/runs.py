"""The rows of one run or several."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from weighbridge.bench.analysis import ratios
from weighbridge.bench.analysis.row import Row
from weighbridge.bench.analysis.runs import reference_of
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.report import two_readers
from weighbridge.bench.storage import journals, studies


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one run or several, the reference of the first, and where their reports belong."""

    rows: list[Row]
    lines: list[str]
    """Of report.csv, as many as rows; empty where a line is not written yet."""
    reference: str
    home: Path
    complaints: list[str] = []
    """What to tell of lines that are no record."""


def rows_of(paths: Sequence[Path], reference: str = "", brief: bool = False) -> Reported:
    """Rows of run folders or journals, in the order given; each run's ratios are to `reference`, or to its own.

    Of large journals `brief` rows hold a place and no samples: `two_readers.whole` reads them again.
    """
    files = [journals.every(path) for path in paths]
    if not files:
        raise WeighbridgeError("name at least one run folder, such as results/<machine>/<date>-<commit>")
    found = two_readers.Read([], [], [])
    chosen: list[str] = []
    for run, name in zip(files, _names([run[0] for run in files]), strict=True):
        for journal in run:
            chosen.append(reference or reference_of(journal))
            read = _read(journal, chosen[-1], name, brief)
            found.rows.extend(read.rows)
            found.lines.extend(read.lines)
            found.complaints.extend(read.complaints)
    folders = [run[0].resolve().parent for run in files]
    return Reported(
        rows=found.rows,
        lines=found.lines,
        reference=chosen[0],
        home=Path(os.path.commonpath(folders)),
        complaints=found.complaints,
    )


def _read(journal: Path, reference: str, name: str, brief: bool) -> two_readers.Read:
    if journal.name not in studies.READERS:
        return two_readers.read(journal, reference, name, brief)
    rows = ratios.rows(studies.load(journal), reference, name)
    return two_readers.Read(rows, [""] * len(rows))


def _names(files: Sequence[Path]) -> list[str]:
    """Return what tells the runs apart: nothing for one, else folder or file names, numbered where they agree."""
    if len(files) == 1:
        return [""]
    names = [
        path.resolve().parent.name if path.name == journals.JOURNAL or path.name in studies.READERS else path.stem
        for path in files
    ]
    again = Counter(names)
    return [name if again[name] == 1 else f"{name} ({at})" for at, name in enumerate(names, start=1)]
