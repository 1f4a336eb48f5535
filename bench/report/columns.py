"""The table, once: which columns there are, and what a cell of each says. Renderers add only their mark-up."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from weighbridge.bench.analysis.breakeven import BreakEven
from weighbridge.bench.analysis.figures import FIGURES, Figure, reader
from weighbridge.bench.analysis.row import Row
from weighbridge.bench.measure.roofline import Roofline
from weighbridge.bench.report.texts import (
    best,
    brief_parity,
    brief_score,
    brief_status,
    brief_verdict,
    difference,
    driven,
    faults,
    flops,
    host_peak,
    parity,
    rate,
    rate_ratio,
    ratio,
    roof,
    score,
    share,
    status,
    task,
    verdict,
)
from weighbridge.bench.report.units import calls, number, seconds, size

NOTHING = ("–", "n/a", "")
"""Texts that say nothing."""


class Column(NamedTuple):
    """A heading, its meaning for the legend, the text of a row, and what rows are sorted by."""

    title: str
    meaning: str
    text: Callable[[Row], str]
    value: Callable[[Row], float | str | None] | None = None
    """A plain number in SI units; where there is none, rows are sorted by their text."""
    rank: int = 1
    """0: tells the rows apart; 1: the answer; 2: left out where there is little room."""
    varies: bool = False
    """Whether it is shown only where rows differ in it."""
    matters: Callable[[Row], bool] = lambda row: True
    """It is shown only where this holds of some row."""
    brief: Callable[[Row], str] | None = None
    """The same in fewer characters, for a terminal."""

    def key(self, row: Row) -> float | str | None:
        """Return what rows are sorted by; None, which comes last, where there is nothing."""
        return self.value(row) if self.value else self.text(row)


def shortest(row: Row) -> float | None:
    """Seconds of the shortest step; None where there is none."""
    return min(row.record.step_s, default=None)


def p99(row: Row) -> float | None:
    """Seconds that 99 % of the steps did not exceed; None where there is none."""
    steps = sorted(row.record.step_s)
    return steps[math.ceil(0.99 * len(steps)) - 1] if steps else None


def _of_roof(of: Callable[[Roofline], float | None]) -> Callable[[Row], float | None]:
    return lambda row: of(row.roofline) if row.roofline else None


def _break_even(found: BreakEven | None) -> float | None:
    return math.inf if found and found.word == "never" else found and found.value


FAULTS_MATTER = 0.01
"""Of the step: under this, page faults are not worth a column."""
ARRANGED = [
    Column("machine", "where it was measured", lambda row: row.machine, rank=0, varies=True),
    Column("run", "the folder of the run", lambda row: row.run, rank=0, varies=True),
    Column("task", "the problem; its preset where that is not `small`", task, rank=0),
    Column("family", "the kind of problem", lambda row: row.family or "–", rank=2, varies=True),
    Column("scenario", "how the model is driven, precision, batch size and device", driven, rank=0),
    Column(
        "backend",
        "what executes the model, and its options",
        lambda row: row.record.cell.executor,
        rank=0,
        brief=lambda row: row.record.cell.backend,
    ),
    Column(
        "status",
        "`ok`, or why there is no figure; `not settled`: no verdict, the time cap came first",
        status,
        brief=brief_status,
    ),
    Column(
        "score",
        "the task's metric on its eval split; `under` its target",
        score,
        lambda row: row.score,
        brief=brief_score,
    ),
    Column(
        "parity",
        "error against float64 in units of the reference's own, and its limit",
        parity,
        lambda row: row.record.parity.ratio if row.record.parity else None,
        brief=brief_parity,
    ),
    Column(
        "difference",
        "the largest distance of an output's number from the reference's, and the output's root mean square",
        difference,
        lambda row: row.record.parity.difference if row.record.parity else None,
        rank=2,
    ),
    Column("step", "median latency of one synchronised step", lambda row: seconds(row.step_s), lambda row: row.step_s),
    Column(
        "shortest",
        "the shortest step",
        lambda row: seconds(shortest(row)),
        shortest,
        rank=2,
    ),
    Column(
        "p99",
        "99 % of the steps took no longer; of fewer than 100, the longest",
        lambda row: seconds(p99(row)),
        p99,
        rank=2,
    ),
    Column(
        "ratio",
        "the reference's step over this one, with its 95 % interval; above 1 is faster. No interval: too few blocks",
        ratio,
        lambda row: row.ratio,
    ),
    Column(
        "verdict",
        "FASTER or SLOWER: the whole interval lies outside the noise floor; SAME: inside; else UNSURE",
        verdict,
        brief=brief_verdict,
    ),
    Column(
        "ratio to best",
        "the same to the fastest right row of the reference's camp in its group; `=`: that is the reference",
        best,
        lambda row: row.best_ratio,
    ),
    Column(
        "throughput",
        "items a second when steps are queued and waited for once, with the 95 % interval over processes",
        rate,
        lambda row: row.rate,
    ),
    Column(
        "throughput ratio",
        "this throughput over the reference's, of the same turns, and its verdict",
        rate_ratio,
        lambda row: row.rate_ratio,
        rank=2,
    ),
    Column(
        "first token",
        "median time to the first token",
        lambda row: seconds(row.first_token_s),
        lambda row: row.first_token_s,
        rank=2,
    ),
    Column(
        "per token",
        "time of each token after the first",
        lambda row: seconds(row.token_s),
        lambda row: row.token_s,
        rank=2,
    ),
    Column(
        "compile",
        "first step with an empty cache",
        lambda row: seconds(row.record.compile_s),
        lambda row: row.record.compile_s,
        rank=2,
    ),
    Column(
        "warm compile",
        "first step of a new process that finds the cache filled",
        lambda row: seconds(row.record.warm_compile_s),
        lambda row: row.record.warm_compile_s,
        rank=2,
    ),
    Column(
        "break-even",
        "calls until a compilation longer than the reference's is repaid, with empty caches, by the ratio and by the "
        "ends of its interval; unknown: not shown to be faster",
        lambda row: calls(row.break_even_calls),
        lambda row: _break_even(row.break_even_calls),
        rank=2,
    ),
    Column(
        "warm break-even",
        "the same with filled caches",
        lambda row: calls(row.warm_break_even_calls),
        lambda row: _break_even(row.warm_break_even_calls),
        rank=2,
    ),
    Column(
        "achieved",
        "operations a second, two a multiplication",
        flops,
        _of_roof(lambda found: found.flops_per_s),
        rank=2,
    ),
    Column(
        "of the roof",
        "share of what this machine could do: the peak of a matrix product, or of memory where fewer bytes allow less",
        roof,
        _of_roof(lambda found: found.share),
        rank=2,
    ),
    Column(
        "decode bandwidth",
        "bytes that a decoded token must read over its time, as a share of the peak of a copy",
        lambda row: share(row.roofline.token_bandwidth if row.roofline else None),
        _of_roof(lambda found: found.token_bandwidth),
        rank=2,
    ),
    Column(
        "host peak",
        "peak resident memory while timed (VmHWM); in MiB, what of it came after the framework was imported",
        host_peak,
        lambda row: row.record.host_peak_bytes,
    ),
    Column(
        "page faults",
        "minor page faults a step, and the share of the step that they take",
        faults,
        lambda row: row.faults,
        matters=lambda row: (row.fault_share or 0.0) > FAULTS_MATTER,
    ),
    Column(
        "device peak",
        "peak of live device memory",
        lambda row: size(row.record.device_peak_bytes),
        lambda row: row.record.device_peak_bytes,
    ),
]
"""Figures as tables arrange or join them."""


def _of_figure(figure: Figure) -> Column:
    read = reader([figure])

    def value(row: Row) -> float | None:
        (found,) = read(row)
        return found if isinstance(found, int | float) else None

    return Column(figure.title, figure.meaning, lambda row: number(value(row), figure.unit), value, rank=2)


COLUMNS = [*ARRANGED, *(_of_figure(figure) for figure in FIGURES if figure.title)]


def used(rows: Sequence[Row]) -> list[Column]:
    """The columns that say something of at least one row; the best row's is named by its camp."""
    found = [column for column in COLUMNS if (_differs if column.varies else _tells)(column, rows)]
    return [column._replace(title=_titled(rows)) if column.text is best else column for column in found]


def _titled(rows: Sequence[Row]) -> str:
    camps = {row.camp for row in rows if row.best}
    return f"ratio to best {camps.pop()} row" if len(camps) == 1 else "ratio to best of the camp"


def _tells(column: Column, rows: Sequence[Row]) -> bool:
    return any(column.text(row) not in NOTHING for row in rows) and any(map(column.matters, rows))


def _differs(column: Column, rows: Sequence[Row]) -> bool:
    first = column.text(rows[0]) if rows else ""
    return any(column.text(row) != first for row in rows)
