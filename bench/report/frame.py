"""Records as a tidy pandas table: one row a cell, or one row a step."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.report import csv

WORDS = ("run", "machine", "task", "preset", "backend", "scenario", "precision", "device", "status")
"""Columns with few different texts: kept as pandas categories."""


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    """One row a cell, the columns of report.csv: seconds, bytes, ratios; what is not known is missing, never 0."""
    table = pd.DataFrame([{**dict.fromkeys(csv.FIELDS), **csv.values(row)} for row in rows], columns=list(csv.FIELDS))
    numbers = table.drop(columns=[name for name in csv.TEXTS if name in table]).columns
    converted = {name: pd.to_numeric(table[name], errors="coerce") for name in numbers}
    return table.assign(**converted).astype(dict.fromkeys(WORDS, "category"))


def samples(rows: Sequence[Row]) -> pd.DataFrame:
    """One row a timed step: the cell's columns, process, block, and `step_s`."""
    parts = [_samples(row) for row in rows if row.record.step_s]
    columns = [*WORDS, "batch_size", "process", "block", "step_s"]
    whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    return whole.astype(dict.fromkeys(WORDS, "category"))


def _samples(row: Row) -> pd.DataFrame:
    values = csv.values(row)
    of_cell: dict[str, object] = {name: values[name] for name in (*WORDS, "batch_size")}
    processes, blocks = zip(*_places(row), strict=True) if fills(row) else (None, None)
    return pd.DataFrame({**of_cell, "process": processes, "block": blocks, "step_s": row.record.step_s})


def fills(row: Row) -> bool:
    """Whether blocks hold as many steps as there are: a journal from outside may name billions."""
    return sum(map(sum, row.record.blocks)) == len(row.record.step_s)


def _places(row: Row) -> list[tuple[int, int]]:
    return [(p, b) for p, sizes in enumerate(row.record.blocks) for b, size in enumerate(sizes) for _ in range(size)]
