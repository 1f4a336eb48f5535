"""report.csv: one line a record, plain numbers in SI units, for a spreadsheet or pandas."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from itertools import repeat
from typing import NamedTuple

import msgspec

from bench.analysis.breakeven import BreakEven
from bench.analysis.row import Row

FIELDS = (
    "run", "machine", "task", "preset", "backend", "scenario", "precision", "batch_size", "device", "seed", "status",
    "reason", "step_s", "ratio", "ratio_low", "ratio_high", "verdict", "pairing", "noise_floor", "items_per_s",
    "first_token_s", "token_s", "compile_s", "warm_compile_s", "break_even_calls", "warm_break_even_calls", "samples",
    "settled", "stopped_by", "host_peak_bytes", "device_peak_bytes", "metric", "score", "parity_ratio", "parity_limit",
    "parity_passed", "family", "tier", "started", "energy_j_per_step", "lean", "best_backend", "best_ratio", "best_low",
    "best_high", "best_verdict", "best_lean", "items_per_s_low", "items_per_s_high", "throughput_ratio",
    "throughput_ratio_low", "throughput_ratio_high", "throughput_verdict", "throughput_lean", "throughput_crowded",
    "break_even_low", "break_even_high", "warm_break_even_low", "warm_break_even_high", "host_import_bytes",
    "minor_faults_per_step", "fault_share", "processor", "processes",
)  # fmt: skip
TEXTS = (
    "run", "machine", "task", "preset", "backend", "scenario", "precision", "device", "status", "reason", "verdict",
    "pairing", "settled", "stopped_by", "metric", "parity_passed", "family", "tier", "started",
    "lean", "best_backend", "best_verdict", "best_lean", "throughput_verdict", "throughput_lean", "throughput_crowded",
    "processor",
)  # fmt: skip
"""Columns that hold no number."""
encoder = msgspec.json.Encoder()
FORMULA = ("=", "+", "-", "@", "\t", "\r")
UNSAFE = re.compile(rb'"[=+\-@]|\\')
"""In JSON: a text that may begin a formula, or one that holds what JSON escapes and CSV writes otherwise."""


def values(row: Row) -> dict[str, object]:
    """The fields of one row; None where there is nothing."""
    return dict(zip(FIELDS, map(inert, line(row)), strict=True))


def line(row: Row) -> list[object]:
    """In the order of FIELDS. Spelt out: a hundred thousand rows are written in a second."""
    record, cell, found = row.record, row.record.cell, row.interval
    parity, best, rate = record.parity, row.best_interval or NO_INTERVAL, row.rate_interval or NO_INTERVAL
    rates, cold, warm = (
        row.rate_ratio_interval or NO_INTERVAL,
        row.break_even_calls or NO_CALLS,
        row.warm_break_even_calls or NO_CALLS,
    )
    return [
        row.run, row.machine, cell.task, cell.preset, cell.backend, cell.scenario,
        cell.precision, cell.batch_size, cell.device, cell.seed, record.status, record.reason,
        row.step_s, row.ratio, found.low if found else None, found.high if found else None, row.verdict, row.pairing,
        row.floor if row.verdict else None, row.rate, row.first_token_s, row.token_s, record.compile_s,
        record.warm_compile_s, _calls(cold), _calls(warm), len(record.step_s), record.settled,
        record.stopped_by, record.host_peak_bytes, record.device_peak_bytes, row.metric, row.score,
        parity.ratio if parity else None, parity.limit if parity else None, parity.passed if parity else None,
        row.family, record.tier, record.started, record.energy_j_per_step,
        row.lean, row.best, row.best_ratio, best.low, best.high, row.best_verdict, row.best_lean, rate.low, rate.high,
        row.rate_ratio, rates.low, rates.high, row.rate_verdict, row.rate_lean,
        row.rate_crowded if row.rate_interval else None, cold.low, cold.high, warm.low, warm.high,
        record.host_import_bytes, row.faults, row.fault_share, row.processor, row.processes,
    ]  # fmt: skip


class _None(NamedTuple):
    """An interval or a break-even that is not there."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    word: str = ""


NO_INTERVAL = NO_CALLS = _None()


def _calls(found: BreakEven | _None) -> float | str | None:
    return found.word or found.value


def render(rows: Sequence[Row], lines: Sequence[str] = ()) -> str:
    """The file's text. A text that a spreadsheet would run as a formula is quoted with an apostrophe.

    `lines` are those of `rows` where they were written before, and empty where not.
    """
    pairs = zip(rows, lines or repeat("", len(rows)), strict=True)
    return "\n".join([",".join(FIELDS), *(known or written(line(row)) for row, known in pairs), ""])


def written(values: list[object]) -> str:
    """One line. JSON's is CSV's where it holds no backslash, and made in a fifth of the time."""
    text = _json(values)
    if not UNSAFE.search(text):
        return text[1:-1].decode()
    values = list(map(inert, values))
    return quoted(values) if b"\\" in text else _json(values)[1:-1].decode()


def _json(values: list[object]) -> bytes:
    return encoder.encode([value if value is not None else "" for value in values])


def quoted(values: list[object]) -> str:
    """One line with texts that hold quotes, line breaks or backslashes."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC).writerow(values)
    return out.getvalue().removesuffix("\n")


def inert(value: object) -> object:
    """Text from outside that begins like a formula is made plain text; what is no text stays as it is."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
