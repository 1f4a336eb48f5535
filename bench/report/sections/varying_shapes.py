"""Varying shapes in words: a grid a cell, a line a strategy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.report.sections.section import Grid, Section
from weighbridge.bench.report.units import number, percent, seconds
from weighbridge.bench.scenarios.varying_shapes import result
from weighbridge.bench.scenarios.varying_shapes.result import Outcome, as_fast, cost, noise, outcome, total_s
from weighbridge.bench.scenarios.varying_shapes.settings import ShapesSettings, of

HEADINGS = (
    "strategy", "buckets", "shapes", "compiled", "time lost compiling", "first pass", "later pass", "tokens/s",
    "padding", "in all", "error",
)  # fmt: skip
MOST_BUCKETS = 8


def notes(passes: int) -> tuple[str, ...]:
    """Return how to read the grids."""
    return (
        "One work, the same batches of real lengths for every row. exact: a batch has its longest row's length, and as "
        "many rows as came. Else lengths are padded to the next bucket, and, where it says so, rows to a power of two.",
        "Time lost compiling: what steps that compiled took longer than the same steps later. A later pass: the sum of "
        "each step's median over three. Padding: the share of positions that hold no token. tokens/s: real ones.",
        f"In all: the time lost and {passes:,} later passes. `best` is the set of buckets with the least such total "
        "by a cost model fitted to the exact trial's steps; its row was measured, like every other. It is left "
        "out where it is a bucket for every length that occurs: that is exact.",
        "Strategies cannot be told apart where their totals differ by less than steps of equal shapes do between two "
        "of the cell's processes, which padding cannot explain; at least by 2 %.",
        "Error: the largest relative difference that padding made in outputs of real tokens, on three batches: by "
        "buckets, held to the batch without them; of exact, the shortest row of a batch, held to that row alone.",
    )


def section(rows: Sequence[Row]) -> Section | None:
    """Return what there is to say of rows of this scenario; None where there are none."""
    found = [row for row in rows if row.record.cell.scenario == "varying_shapes"]
    several: dict[tuple[object, ...], list[Row]] = {}
    for row in found:
        cell = row.record.cell
        several.setdefault((row.run, of(cell).batches, msgspec.structs.replace(cell, settings=())), []).append(row)
    passes = passes_of(row.record.cell for row in found)
    grids = [grid([outcome(row.record) for row in alike], passes) for alike in several.values()]
    return Section("Shapes that change", grids, notes(passes)) if grids else None


def passes_of(cells: Iterable[Cell]) -> int:
    """Return how often the work will be done, as `best` was sought over; the usual number where it was not."""
    sought = {of(cell).passes for cell in cells if of(cell).strategy == "best"}
    return max(sought, default=ShapesSettings().passes)


def grid(tried: Sequence[Outcome], passes: int) -> Grid:
    """Return a cell's strategies."""
    cell = msgspec.structs.replace(tried[0].record.cell, settings=())
    lines = [line(each, passes) for each in tried]
    return Grid(str(cell), sentence(tried, passes), HEADINGS, lines, NARROW, below(tried))


def spoken(tried: Outcome) -> str:
    """Return the name of a strategy in words."""
    return tried.strategy.replace("_", " ")


def sentence(tried: Sequence[Outcome], passes: int) -> str:
    """Which strategy has the least total and what it saves, or which cannot be told apart."""
    measured = [each for each in tried if each.result]
    if not measured:
        return "nothing was measured"
    first, *rivals = as_fast(measured, passes)
    exact = next((each for each in measured if each.strategy == "exact"), first)
    saved = (
        "" if first is exact else f", {percent(1 - total_s(first, passes) / total_s(exact, passes))} less than exact"
    )
    given_up = exact.record.facts.get("frames_left_to_eager", 0)
    left = f"; exact: {given_up} frames were left to eager, past the recompile limit" if given_up else ""
    if rivals:
        names = " and ".join(f"{spoken(each)}{_lengths(each)}" for each in (first, *rivals))
        apart = total_s(rivals[-1], passes) / total_s(first, passes) - 1
        return (
            f"{names} cannot be told apart over {passes:,} passes: {percent(apart)} lies between them, and up to "
            f"{percent(noise(measured))} between steps of equal shapes in two processes{left}"
        )
    return f"{spoken(first)}{_lengths(first)} is fastest over {passes:,} passes{saved}{left}"


def _lengths(tried: Outcome) -> str:
    """Return a few, or how many there are."""
    if not tried.lengths:
        return ""
    few = len(tried.lengths) <= MOST_BUCKETS
    return f" ({_buckets(tried)})" if few else f" ({len(tried.lengths)} buckets)"


NARROW = ("strategy", "shapes", "compiled", "time lost compiling", "later pass", "tokens/s", "padding", "in all")
"""Of HEADINGS, what fits eighty columns; buckets stand below."""


def below(tried: Sequence[Outcome]) -> list[str]:
    """Return what a narrow grid leaves out: buckets, and why a strategy has no figures."""
    told = [f"{spoken(each)}: {_buckets(each)}" for each in tried if each.lengths]
    failed = [each for each in tried if not each.result]
    return told + [f"{spoken(each)}: {each.record.status}, {each.record.reason}" for each in failed]


def _buckets(tried: Outcome) -> str:
    rows = "; rows too" if tried.result and tried.result.pads_rows else ""
    return ", ".join(map(str, tried.lengths)) + rows


def line(tried: Outcome, passes: int) -> list[str]:
    """Return a strategy's texts, under HEADINGS."""
    told = tried.result
    if told is None:
        return [spoken(tried), f"{tried.record.status}: {tried.record.reason}", *[""] * (len(HEADINGS) - 2)]
    found, error = cost(told), told.error
    again = f" + {found.again} again" if found.again else ""
    return [
        spoken(tried), _buckets(tried) or "–", str(len(set(result.shapes_of(tried)))),
        "–" if found.programs is None else f"{found.programs}{again}",
        "–" if found.programs is None else seconds(found.compiling_s),
        seconds(found.cold_s), seconds(found.steady_s), number(found.tokens_per_s), percent(found.waste),
        seconds(total_s(tried, passes)), "not finite" if error is None else f"{error:.0e}",
    ]  # fmt: skip
