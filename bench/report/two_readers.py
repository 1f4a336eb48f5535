"""Rows of a large journal, the second part of which is read by a second process, and written for report.csv there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from weighbridge.bench.analysis import ratios
from weighbridge.bench.analysis.row import Row
from weighbridge.bench.core.record import Record
from weighbridge.bench.measure import sides
from weighbridge.bench.report import csv
from weighbridge.bench.run.alongside import WORTH_BYTES, alongside
from weighbridge.bench.storage import coding, journals

BRIEF = "brief"
OURS = 0.54
"""The share of the bytes that this process reads: the other must start and send first."""


class Read(msgspec.Struct, frozen=True):
    """Rows, and as many lines of report.csv: empty where nobody has written the line yet."""

    rows: list[Row]
    lines: list[str]
    complaints: list[str] = []
    """What to tell of lines that are no record."""


class Part(msgspec.Struct, frozen=True):
    """What a second process read; what its records share is held once, and named by its index."""

    rows: list[Row]
    lines: list[str]
    complaints: list[str]
    shared: list[list[int]]
    values: list[list[Any]]


def read(path: Path, reference: str, run: str = "", brief: bool = False) -> Read:
    """Return the rows of a journal, by two processes where it is large; `brief` ones have a place and no samples."""
    size = path.stat().st_size
    if size < WORTH_BYTES:
        records, damaged = journals.loaded(path)
        return _unwritten(ratios.rows(records, reference, run), journals.complaints(path, damaged))
    middle = int(size * OURS)
    with alongside(
        packed, str(path), reference, run, str(middle), str(size), BRIEF if brief else "", returns=Part
    ) as other:
        ours = part(path, reference, run, 0, middle, brief)
        theirs = unpacked(other())
    return joined(ours, theirs, reference, run)


def _unwritten(rows: list[Row], complaints: list[str]) -> Read:
    return Read(rows, [""] * len(rows), complaints)


def part(path: Path, reference: str, run: str, begin: int, end: int, brief: bool) -> Read:
    """The rows of the lines that begin in this range of bytes; the last one of each cell.

    `brief` rows are for a report, whose lines are written here, while a row is in the processor's cache.
    """
    others: list[journals.Unreadable] = []
    read = journals.parsed(path, coding.record_of, others, begin, end)
    entries = {record.cell: ratios.entry(record, place if brief else None) for place, record in read}
    found = Read([], [], journals.complaints(path, others))
    for row in ratios.rows_of(entries.values(), reference, run):
        found.rows.append(row)
        found.lines.append(csv.written(csv.line(row)) if brief else "")
    return found


def joined(our_part: Read, their_part: Read, reference: str, run: str = "") -> Read:
    """Join both parts in order. Groups that lie in both are compared anew, each row where it first stood."""
    ours, theirs, lines = our_part.rows, their_part.rows, our_part.lines + their_part.lines
    complaints = our_part.complaints + their_part.complaints
    tasks = {row.record.cell.task for row in ours} & {row.record.cell.task for row in theirs}
    near = [[row for row in rows if row.record.cell.task in tasks] for rows in (ours, theirs)]
    first, second = ({sides.group(row.record.cell) for row in rows} for rows in near)
    split = first & second
    if not split:
        return Read(ours + theirs, lines, complaints)
    last = {row.record.cell: row for rows in near for row in rows if sides.group(row.record.cell) in split}
    entries = [ratios.entry(whole(row).record, row.place) for row in last.values()]
    anew = {row.record.cell: row for row in ratios.rows_of(entries, reference, run)}
    found = Read([], [], complaints)
    for row, line in zip((*ours, *theirs), lines, strict=True):
        compared_again = _among(row, tasks, split)
        if kept := anew.pop(row.record.cell, None) if compared_again else row:
            found.rows.append(kept)
            found.lines.append("" if compared_again else line)
    return found


def whole(row: Row) -> Row:
    """The row with all of its record, which is read again where only its place is known."""
    if row.place is None:
        return row
    return msgspec.structs.replace(row, record=journals.whole(row.place, row.record.cell), place=None)


def _among(row: Row, tasks: set[str], groups: set[tuple[object, ...]]) -> bool:
    cell = row.record.cell
    return cell.task in tasks and sides.group(cell) in groups


def packed(path: str, reference: str, run: str, begin: str, end: str, brief: str) -> Part:
    """A part, to be sent."""
    indices: dict[tuple[str, int], int] = {}
    values: dict[str, list[Any]] = {name: [] for name in coding.SHARED}
    shared: list[list[int]] = []
    rows: list[Row] = []
    read = part(Path(path), reference, run, int(begin), int(end), brief == BRIEF)
    for row in read.rows:
        places: list[int] = []
        for name, found in values.items():
            value = getattr(row.record, name)
            place = indices.setdefault((name, id(value)), len(found))
            if place == len(found):
                found.append(value)
            places.append(place)
        shared.append(places)
        rows.append(msgspec.structs.replace(row, record=msgspec.structs.replace(row.record, **EMPTY)))
    return Part(rows, read.lines, read.complaints, shared, list(values.values()))


EMPTY: dict[str, object] = {"facts": {}, "environment": {}, "about": None, "noise": None}


def unpacked(sent: Part) -> Read:
    """The rows and lines of a part that came from another process."""
    fields = {field.name: field.type for field in msgspec.structs.fields(Record)}
    values = [
        [msgspec.convert(value, fields[name]) for value in found]
        for name, found in zip(coding.SHARED, sent.values, strict=True)
    ]
    for row, places in zip(sent.rows, sent.shared, strict=True):
        for name, found, at in zip(coding.SHARED, values, places, strict=True):
            msgspec.structs.force_setattr(row.record, name, found[at])
    return Read(sent.rows, sent.lines, sent.complaints)
