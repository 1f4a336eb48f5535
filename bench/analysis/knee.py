"""Throughput against batch size: where a backend's curve bends, and what ended it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.core.cell import Cell, Status

ENOUGH = 0.9
"""A knee has this share of the best throughput: past it, twice the memory and latency buy a tenth at most."""
ENDS: dict[Status, str] = {"timeout": "time limit", "parity_failed": "parity failed"}
"""Words for a status that are not its own."""


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """One backend's sweep."""

    first: Cell
    """The cell of its smallest batch; the others differ in batch size only."""
    rows: list[Row]
    """By batch size; those that were weighed."""
    rates: dict[int, float]
    """Batch size -> items a second, of those that ran and are right."""
    knee: int | None
    best: int | None
    end: str
    """`oom at 512`, `time limit at 512`, `--most 1024`, `not finished`, ..."""
    reason: str
    """Why the last one failed; empty where none did."""


def knee(rates: Mapping[int, float]) -> int | None:
    """The smallest batch size whose throughput reaches `ENOUGH` of the best seen; None where none was."""
    enough = ENOUGH * max(rates.values(), default=0.0)
    return min((size for size, rate in rates.items() if rate >= enough), default=None)


def best(rates: Mapping[int, float]) -> int | None:
    """The batch size of the highest throughput, the smallest of equals; None where there is none."""
    return min(rates, key=lambda size: (-rates[size], size), default=None)


def end(status: Status, size: int, most: int) -> str:
    """Return what ended a sweep whose last record, of batch `size`, has this status."""
    if status == "ok":
        return f"--most {most}" if 2 * size > most else "not finished"
    return f"{ENDS.get(status, status)} at {size}"


def curves(rows: Iterable[Row], most: int) -> list[Curve]:
    """One a backend and whatever else than the batch size tells cells apart, in the order of the rows."""
    found: dict[Cell, list[Row]] = {}
    for row in rows:
        found.setdefault(msgspec.structs.replace(row.record.cell, batch_size=1), []).append(row)
    return [_curve(sorted(alike, key=lambda row: row.record.cell.batch_size), most) for alike in found.values()]


def _curve(rows: Sequence[Row], most: int) -> Curve:
    rates = {row.record.cell.batch_size: row.rate for row in rows if row.right and row.rate is not None}
    last = rows[-1].record
    return Curve(
        first=rows[0].record.cell,
        rows=list(rows),
        rates=rates,
        knee=knee(rates),
        best=best(rates),
        end=end(last.status, last.cell.batch_size, most),
        reason=last.reason,
    )
