"""Rows of a large journal, the second part of which is read by a second process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from bench import compare, store
from bench.beside import WORTH_BYTES, beside
from bench.compare import Row
from bench.record import Record

OURS = 0.62
"""The share of the bytes that this process reads: the other must start and send first."""


class Part(msgspec.Struct, frozen=True):
    """Rows; what their records share is held once, and named by its index."""

    rows: list[Row]
    shared: list[list[int]]
    values: list[list[Any]]


def rows(path: Path, reference: str) -> list[Row]:
    """As `compare.rows(store.load(path), reference)`, by two processes where the journal is large."""
    size = path.stat().st_size
    if size < WORTH_BYTES:
        return compare.rows(store.load(path), reference)
    middle = int(size * OURS)
    with beside(packed, str(path), reference, str(middle), str(size), returns=Part) as other:
        ours = part(path, reference, 0, middle)
        theirs = unpacked(other())
    return joined(ours, theirs, reference)


def part(path: Path, reference: str, begin: int, end: int) -> list[Row]:
    """The rows of the lines that begin in this range of bytes; the last one of each cell."""
    records = {record.cell: record for line in store.lines(path, begin, end) if (record := store.parse(line))}
    return compare.rows(records.values(), reference)


def joined(ours: list[Row], theirs: list[Row], reference: str) -> list[Row]:
    """Both parts in order. Groups that lie in both are compared anew, each row where it first stood."""
    tasks = {row.record.cell.task for row in ours} & {row.record.cell.task for row in theirs}
    near = [[row for row in rows if row.record.cell.task in tasks] for rows in (ours, theirs)]
    first, second = ({compare.group(row.record.cell) for row in rows} for rows in near)
    split = first & second
    if not split:
        return ours + theirs
    records = {row.record.cell: row.record for rows in near for row in rows if compare.group(row.record.cell) in split}
    anew = {row.record.cell: row for row in compare.rows(records.values(), reference)}
    return [
        found
        for row in (*ours, *theirs)
        if (found := anew.pop(row.record.cell, None) if _among(row, tasks, split) else row)
    ]


def _among(row: Row, tasks: set[str], groups: set[tuple[object, ...]]) -> bool:
    cell = row.record.cell
    return cell.task in tasks and compare.group(cell) in groups


def packed(path: str, reference: str, begin: str, end: str) -> Part:
    """A part, to be sent."""
    indices: dict[tuple[str, int], int] = {}
    values: dict[str, list[Any]] = {name: [] for name in store.SHARED}
    shared: list[list[int]] = []
    rows: list[Row] = []
    for row in part(Path(path), reference, int(begin), int(end)):
        places: list[int] = []
        for name, found in values.items():
            value = getattr(row.record, name)
            place = indices.setdefault((name, id(value)), len(found))
            if place == len(found):
                found.append(value)
            places.append(place)
        shared.append(places)
        rows.append(msgspec.structs.replace(row, record=msgspec.structs.replace(row.record, **EMPTY)))
    return Part(rows, shared, list(values.values()))


EMPTY: dict[str, Any] = {"facts": {}, "environment": {}, "about": None, "noise": None}


def unpacked(sent: Part) -> list[Row]:
    """The rows of a part that came from another process."""
    fields = {field.name: field.type for field in msgspec.structs.fields(Record)}
    values = [
        [msgspec.convert(value, fields[name]) for value in found]
        for name, found in zip(store.SHARED, sent.values, strict=True)
    ]
    for row, places in zip(sent.rows, sent.shared, strict=True):
        for name, found, at in zip(store.SHARED, values, places, strict=True):
            msgspec.structs.force_setattr(row.record, name, found[at])
    return sent.rows
