"""report.csv: one line a record, plain numbers in SI units, for a spreadsheet or pandas."""

from __future__ import annotations

import csv
import io

from bench.compare import Row

FIELDS = (
    "run", "machine", "task", "preset", "backend", "scenario", "precision", "batch_size", "device", "seed", "status",
    "reason", "step_s", "ratio", "ratio_low", "ratio_high", "verdict", "pairing", "noise_floor", "items_per_s",
    "first_token_s", "token_s", "compile_s", "warm_compile_s", "break_even_calls", "warm_break_even_calls", "samples",
    "settled", "stopped_by", "host_peak_bytes", "device_peak_bytes", "metric", "score", "parity_ratio", "parity_limit",
    "parity_passed", "family", "tier", "started",
)  # fmt: skip
TEXTS = (
    "run", "machine", "task", "preset", "backend", "scenario", "precision", "device", "status", "reason", "verdict",
    "pairing", "settled", "stopped_by", "metric", "parity_passed", "family", "tier", "started",
)  # fmt: skip
"""Columns that hold no number."""
OF_RECORD = (
    "status", "reason", "tier", "started", "compile_s", "warm_compile_s", "settled", "stopped_by", "host_peak_bytes",
    "device_peak_bytes",
)  # fmt: skip
OF_CELL = ("task", "preset", "backend", "scenario", "precision", "batch_size", "device", "seed")
OF_ROW = (
    "run", "machine", "family", "step_s", "ratio", "verdict", "pairing", "first_token_s", "token_s", "break_even_calls",
    "warm_break_even_calls", "metric", "score",
)  # fmt: skip


def values(row: Row) -> dict[str, object]:
    """The fields of one row; empty where there is nothing."""
    record, parity = row.record, row.record.parity
    cell = {name: getattr(record.cell, name) for name in OF_CELL}
    own = {name: getattr(record, name) for name in OF_RECORD}
    derived = {name: getattr(row, name) for name in OF_ROW}
    bounds = {"ratio_low": row.interval.low, "ratio_high": row.interval.high} if row.interval else {}
    judged = {f"parity_{name}": getattr(parity, name) for name in ("ratio", "limit", "passed")} if parity else {}
    counted = {"items_per_s": row.rate, "samples": len(record.step_s), "noise_floor": row.floor if row.verdict else ""}
    return {**cell, **own, **derived, **bounds, **judged, **counted}


def render(rows: list[Row]) -> str:
    """The file's text. A text that a spreadsheet would run as a formula is quoted with an apostrophe."""
    out = io.StringIO()
    writer: csv.DictWriter[str] = csv.DictWriter(out, FIELDS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: inert(value) for name, value in values(row).items()} for row in rows)
    return out.getvalue()


def inert(value: object) -> object:
    """Text from outside that begins like a formula is made plain text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
