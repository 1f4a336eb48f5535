"""Shape churn in words: a row a strategy, the same in the terminal and in churn.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.core.cell import Cell
from bench.report.markdown import escape, grid
from bench.report.units import number, percent, seconds
from bench.scenarios.varying_shapes import result
from bench.scenarios.varying_shapes.result import Churned, as_fast, cost, noise, total_s

HEADINGS = (
    "strategy", "buckets", "shapes", "compiled", "time lost compiling", "first pass", "later pass", "tokens/s",
    "padding", "in all", "error",
)  # fmt: skip
MOST_BUCKETS = 8


def notes(passes: int) -> tuple[str, ...]:
    """How to read the table."""
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


def tables(trials: Sequence[Churned], passes: int) -> Iterator[tuple[Cell, str, list[list[str]]]]:
    """For each cell: a sentence, and rows under HEADINGS."""
    for cell in dict.fromkeys(trial.cell for trial in trials):
        mine = [trial for trial in trials if trial.cell == cell]
        yield cell, sentence(mine, passes), [row(trial, passes) for trial in mine]


def sentence(trials: Sequence[Churned], passes: int) -> str:
    """Which strategy has the least total and what it saves, or which cannot be told apart."""
    measured = [trial for trial in trials if trial.passed]
    if not measured:
        return "nothing was measured"
    first, *rivals = as_fast(measured, passes)
    exact = next((trial for trial in measured if trial.strategy == "exact"), first)
    saved = (
        "" if first is exact else f", {percent(1 - total_s(first, passes) / total_s(exact, passes))} less than exact"
    )
    given_up = exact.facts.get("frames_left_to_eager", 0)
    left = f"; exact: {given_up} frames were left to eager, past the recompile limit" if given_up else ""
    if rivals:
        names = " and ".join(f"{trial.strategy}{_lengths(trial)}" for trial in (first, *rivals))
        apart = total_s(rivals[-1], passes) / total_s(first, passes) - 1
        return (
            f"{names} cannot be told apart over {passes:,} passes: {percent(apart)} lies between them, and up to "
            f"{percent(noise(measured))} between steps of equal shapes in two processes{left}"
        )
    return f"{first.strategy}{_lengths(first)} is fastest over {passes:,} passes{saved}{left}"


def _lengths(trial: Churned) -> str:
    """A few, or how many there are."""
    few = len(trial.lengths) <= MOST_BUCKETS
    return (
        f" ({_buckets(trial)})"
        if trial.lengths and few
        else f" ({len(trial.lengths)} buckets)"
        if trial.lengths
        else ""
    )


NARROW = ("strategy", "shapes", "compiled", "time lost compiling", "later pass", "tokens/s", "padding", "in all")
"""Of HEADINGS, what fits eighty columns; buckets stand below, and the rest in churn.md."""


def narrow(line: Sequence[str]) -> list[str]:
    """A row under NARROW; of a strategy that failed, the reason is in the sentence below."""
    return [line[HEADINGS.index(heading)] for heading in NARROW]


def below(trials: Sequence[Churned]) -> list[str]:
    """What the narrow table leaves out: buckets, and why a strategy has no figures."""
    told = [f"{trial.strategy}: {_buckets(trial)}" for trial in trials if trial.passed and trial.lengths]
    return told + [f"{trial.strategy}: {trial.status}, {trial.reason}" for trial in trials if not trial.passed]


def _buckets(trial: Churned) -> str:
    rows = "; rows too" if trial.pads_rows else ""
    return ", ".join(map(str, trial.lengths)) + rows


def row(trial: Churned, passes: int) -> list[str]:
    """Under HEADINGS."""
    if trial.passed is None:
        return [trial.strategy, f"{trial.status}: {trial.reason}", *[""] * (len(HEADINGS) - 2)]
    found = cost(trial.passed)
    again = f" + {found.again} again" if found.again else ""
    error = trial.passed.error
    return [
        trial.strategy, _buckets(trial) or "–", str(len(set(result.shapes_of(trial)))),
        "–" if found.programs is None else f"{found.programs}{again}",
        "–" if found.programs is None else seconds(found.compiling_s),
        seconds(found.cold_s), seconds(found.steady_s), number(found.tokens_per_s), percent(found.waste),
        seconds(total_s(trial, passes)), "not finite" if error is None else f"{error:.0e}",
    ]  # fmt: skip


def markdown(trials: Sequence[Churned], passes: int) -> str:
    """churn.md."""
    machines = sorted({str(trial.environment.get("machine", "")) for trial in trials} - {""})
    parts = [f"# Shape churn: {escape(', '.join(machines) or 'no machine')}"]
    for cell, told, lines in tables(trials, passes):
        parts.append(f"## {escape(str(cell))}\n\n{escape(told)}.")
        parts.append(grid(HEADINGS, [map(escape, line) for line in lines]))
    return "\n\n".join([*parts, "\n".join(f"- {note}" for note in notes(passes))]) + "\n"
