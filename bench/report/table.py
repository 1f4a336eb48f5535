"""The table, once: which columns there are, and what a cell of each says. Renderers add only their mark-up."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bench.compare import SEQUENTIAL_FLOOR, BreakEven, Row
from bench.report.figures import calls, number, percent, scaled, seconds, size
from bench.roofline import Roofline

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

    def key(self, row: Row) -> float | str | None:
        """What rows are sorted by; None, which comes last, where there is nothing."""
        return self.value(row) if self.value else self.text(row)


def ratio(row: Row) -> str:
    """`1.42× [1.38, 1.47]`; a dash where it would not be honest."""
    if row.ratio is None:
        return "–"
    return f"{row.ratio:.2f}×" + (f" [{row.interval.low:.2f}, {row.interval.high:.2f}]" if row.interval else "")


def score(row: Row) -> str:
    """The task's figure, with its target and baseline."""
    about = row.record.about
    if about is None or row.record.cell.scenario != "infer" or row.record.status != "ok":
        return "–"
    if about.weights == "seeded":
        return "n/a (random weights)"
    goal = f"target {about.target.value:g}, baseline {about.baseline.value:g}"
    value = "n/a" if row.score is None else f"{row.score:.4f}"
    return f"{about.target.metric} {value} ({goal})"


def parity(row: Row) -> str:
    """Error in units of the reference's, against the limit."""
    found = row.record.parity
    if found is None:
        return "–"
    value = "not finite" if found.ratio is None else f"{found.ratio:.2f}"
    same = "" if found.decisions_equal is None else f", {found.decisions_equal:.0%} same"
    return f"{value} of {found.limit:g}{same}"


def status(row: Row) -> str:
    """`ok`, or what became of it."""
    settled = "" if row.record.settled is not False else ", not settled"
    return row.record.status + settled


def rate(row: Row) -> str:
    """Items a second."""
    about = row.record.about
    item = "token" if row.record.cell.scenario == "generate" else about.item if about else "item"
    return "–" if row.rate is None else number(row.rate, f"{item}s/s")


def flops(row: Row) -> str:
    """`71.2 GFLOP/s`."""
    return "–" if row.roofline is None else scaled(row.roofline.flops_per_s, "FLOP/s")


def roof(row: Row) -> str:
    """`62 % (compute)`."""
    found = row.roofline
    return "–" if found is None else f"{_share(found.share)} ({found.bound})"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2g} %" if value < 0.1 else f"{100 * value:.0f} %"


def _of_roof(of: Callable[[Roofline], float | None]) -> Callable[[Row], float | None]:
    return lambda row: of(row.roofline) if row.roofline else None


def _break_even(value: BreakEven) -> float | None:
    return math.inf if isinstance(value, str) else value


COLUMNS = [
    Column("machine", "where it was measured", lambda row: row.machine, rank=0, varies=True),
    Column("run", "the folder of the run", lambda row: row.run, rank=0, varies=True),
    Column("task", "the problem; its preset where that is not `small`", lambda row: task(row), rank=0),
    Column("family", "the kind of problem", lambda row: row.family or "–", rank=2, varies=True),
    Column("scenario", "how the model is driven, precision, batch size and device", lambda row: driven(row), rank=0),
    Column("backend", "what executes the model", lambda row: row.record.cell.backend, rank=0),
    Column("status", "`ok`, or why there is no figure; `not settled`: the time cap came first", status),
    Column("step", "median latency of one synchronised step", lambda row: seconds(row.step_s), lambda row: row.step_s),
    Column(
        "ratio",
        "the reference's step over this one, with its 95 % interval; above 1 is faster. No interval: too few blocks",
        ratio,
        lambda row: row.ratio,
    ),
    Column(
        "verdict",
        "FASTER or SLOWER: the whole interval lies outside the noise floor; SAME: inside; else UNSURE",
        lambda row: row.verdict or "–",
    ),
    Column("throughput", "items a second when steps are queued and waited for once", rate, lambda row: row.rate),
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
        "calls until a compilation longer than the reference's is repaid, with empty caches",
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
        lambda row: _share(row.roofline.token_bandwidth if row.roofline else None),
        _of_roof(lambda found: found.token_bandwidth),
        rank=2,
    ),
    Column(
        "host peak",
        "peak resident memory while timed (VmHWM)",
        lambda row: size(row.record.host_peak_bytes),
        lambda row: row.record.host_peak_bytes,
    ),
    Column(
        "device peak",
        "peak of live device memory",
        lambda row: size(row.record.device_peak_bytes),
        lambda row: row.record.device_peak_bytes,
    ),
    Column("score", "the task's metric on its eval split", score, lambda row: row.score),
    Column(
        "parity",
        "error against float64 in units of the reference's own, and its limit",
        parity,
        lambda row: row.record.parity.ratio if row.record.parity else None,
    ),
]


def task(row: Row) -> str:
    """The problem, and its preset where that is not `small`."""
    cell = row.record.cell
    return cell.task if cell.preset == "small" else f"{cell.task} [{cell.preset}]"


def driven(row: Row) -> str:
    """Scenario, precision, batch size and device."""
    cell = row.record.cell
    return f"{cell.scenario} {cell.precision} b{cell.batch_size} {cell.device}"


def used(rows: Sequence[Row]) -> list[Column]:
    """The columns that say something of at least one row."""
    return [column for column in COLUMNS if (_differs if column.varies else _tells)(column, rows)]


def _tells(column: Column, rows: Sequence[Row]) -> bool:
    return any(column.text(row) not in NOTHING for row in rows)


def _differs(column: Column, rows: Sequence[Row]) -> bool:
    first = column.text(rows[0]) if rows else ""
    return any(column.text(row) != first for row in rows)


def notes(rows: Sequence[Row]) -> list[str]:
    """Why a row has no figure or no ratio, which were not paired, and what the machine did; nothing is hidden."""
    return [*(f"{row.record.cell}: {row.no_ratio}" for row in rows if row.no_ratio), *remarks(rows)]


def remarks(rows: Sequence[Row]) -> list[str]:
    """Which rows were not paired, and what the machine did, each once."""
    noisy = dict.fromkeys(text for row in rows if row.record.noise for text in row.record.noise.warnings)
    return [*unpaired(rows), *noisy]


def unpaired(rows: Sequence[Row]) -> list[str]:
    """One line that names the rows which did not take turns with the reference, where there are any."""
    cells = [str(row.record.cell) for row in rows if row.pairing == "sequential"]
    lone = f"only {percent(SEQUENTIAL_FLOOR)} and more is FASTER or SLOWER"
    return [f"timed after the reference, not in turns with it ({lone}): {', '.join(cells)}"] if cells else []


def floors(rows: Sequence[Row]) -> str:
    """The noise floors that verdicts were held against, in words; empty where there is no verdict."""
    found = sorted({row.floor for row in rows if row.verdict})
    span = dict.fromkeys(percent(floor) for floor in found[:1] + found[-1:])
    return f"Noise floor: {' to '.join(span)}." if span else ""
