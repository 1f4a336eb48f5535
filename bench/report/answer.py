"""The answer first: per task the fastest backend that is still right, and everything that is no answer.

One source for every rendering: HTML, Markdown and the terminal say the same in the same words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice

import msgspec

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.core.settings import words
from weighbridge.bench.measure import sides
from weighbridge.bench.report.moving import Move, moves
from weighbridge.bench.report.texts import host_peak, rate, ratio, score, verdict
from weighbridge.bench.report.units import seconds, size, times, word

MOST_NAMED = 5
"""Cells named for one reason; the table has them all."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What to run a task on, by what was measured."""

    question: str
    """Which task, driven how, where."""
    backend: str
    """Empty where nothing right was measured."""
    claim: str
    """What makes it the answer: its ratio and verdict, or that nothing else is faster."""
    figures: list[tuple[str, str]] = []
    others: list[str] = []
    """The other backends of its group, a clause each."""
    moves: list[Move] = []
    """What moving from the reference gains and costs."""

    @property
    def sentence(self) -> str:
        """Return it in one line of text."""
        details = ", ".join(f"{name} {value}" for name, value in self.figures)
        return f"{self.question}: {self.backend or 'no answer'}: {self.claim}" + (f" ({details})" if details else "")


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Cells that have no figure, or one that counts for nothing, for one reason."""

    status: str
    reason: str
    cells: list[str]
    count: int


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """The first answers, and how many more there are."""

    found: list[Answer]
    left_out: int


def answers(rows: Iterable[Row], reference: str, most: int) -> Answers:
    """One a machine, run, task, preset, scenario and device, in the order in which they were weighed."""
    several: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        cell = row.record.cell
        several[row.machine, row.run, cell.task, cell.preset, cell.scenario, cell.device].append(row)
    places, runs = {key[0] for key in several}, {key[1] for key in several}
    found = [
        answer(_question(key, len(places) > 1, len(runs) > 1), rows, reference)
        for key, rows in islice(several.items(), most)
    ]
    return Answers(found=found, left_out=len(several) - len(found))


def _question(key: tuple[str, ...], machines: bool, runs: bool) -> str:
    machine, run, task, preset, scenario, device = key
    size = f" [{preset}]" if preset != "small" else ""
    where = f" on {machine}" if machines and machine else ""
    return f"{task}{size}, {scenario} on {device}{where}" + (f", run {run}" if runs and run else "")


def answer(question: str, rows: list[Row], reference: str) -> Answer:
    """The fastest right backend of the group with the highest throughput that is right.

    Fastest is who is FASTER than the reference, by the largest ratio, and not SLOWER than the best row of the
    reference's camp; where nobody is, the reference. Who is not told apart from it is named.
    """
    right = [row for row in rows if row.right]
    if not right:
        return Answer(question=question, backend="", claim="nothing that is right was measured")
    top = max(right, key=lambda row: row.rate or 0.0).record.cell
    group_of_all = [row for row in rows if sides.group(row.record.cell) == sides.group(top)]
    group = [row for row in group_of_all if row.right]
    best = fastest(group, reference)
    others = [row for row in group if row is not best]
    return Answer(
        question=", ".join([question, top.precision, f"batch {top.batch_size}", *words(top.settings)]),
        backend=best.record.cell.executor,
        claim=claim(best, reference) + not_told_apart(best, others),
        figures=figures(best),
        others=[f"{row.record.cell.executor} {standing(row, reference)}" for row in others],
        moves=moves(group_of_all, reference),
    )


def fastest(group: Sequence[Row], reference: str) -> Row:
    """Pick the fastest correct backend of a group."""
    faster = [row for row in group if row.verdict == "FASTER"]
    unbeaten = [row for row in faster if row.best_verdict != "SLOWER" or row.best == row.reference]
    if faster:
        return max(unbeaten or faster, key=lambda row: row.ratio or 0.0)
    ours = [row for row in group if row.record.cell.is_reference(reference)]
    return ours[0] if ours else min(group, key=lambda row: row.step_s or 0.0)


def not_told_apart(best: Row, others: Iterable[Row]) -> str:
    """Name who may be as fast: by the verdict of one on the other where there is one, else by the interval of the best.

    Beside a reference that nobody is shown to beat, who leans that way.
    """
    leaning = [row.record.cell.executor for row in others if row.lean == "FASTER"]
    equal = [row.record.cell.executor for row in others if row.verdict and _may_equal(best, row)]
    if best.verdict == "FASTER":
        return f"; not told apart from {', '.join(equal)}" if equal else ""
    return f"; {', '.join(leaning)} {'lean' if leaning[1:] else 'leans'} FASTER" if leaning else ""


def _may_equal(best: Row, row: Row) -> bool:
    if best.best == row.record.cell.executor:
        return best.best_verdict in ("SAME", "UNSURE")
    if row.best == best.record.cell.executor:
        return row.best_verdict in ("SAME", "UNSURE")
    return best.interval is not None and (row.ratio or 0.0) >= best.interval.low


def claim(best: Row, reference: str) -> str:
    """Why it is the answer."""
    if best.record.cell.is_reference(reference):
        return f"the reference; no other is shown to be faster{beside_best(best)}"
    if best.verdict == "FASTER":
        return f"{ratio(best)} FASTER than {reference}{beside_best(best)}"
    return f"the shortest step; no ratio to {reference}: {best.no_ratio or 'not measured beside it'}"


def standing(row: Row, reference: str) -> str:
    """A row against the reference, and against the best of that one's camp."""
    if row.record.cell.is_reference(reference):
        return f"{seconds(row.step_s)} a step (the reference){beside_best(row)}"
    return f"{ratio(row)} {verdict(row)}{beside_best(row)}" if row.verdict else f"not compared: {row.no_ratio}"


def beside_best(row: Row) -> str:
    """`, 0.98× [0.96, 1.01] UNSURE against torch-compile, the best torch row`; empty where that says nothing new."""
    if row.best_ratio is None or row.best == row.reference:
        return ""
    if row.record.cell.executor == row.best:
        return f", the best {row.camp} row"
    found = f"{times(row.best_ratio, row.best_interval)} {word(row.best_verdict, row.best_lean)}"
    return f", {found} against {row.best}, the best {row.camp} row"


def figures(row: Row) -> list[tuple[str, str]]:
    """Return what a decision needs beside the ratio."""
    found = [("step", seconds(row.step_s)), ("throughput", rate(row)), ("host peak", host_peak(row))]
    if row.record.device_peak_bytes is not None:
        found.append(("device peak", size(row.record.device_peak_bytes)))
    if row.token_s is not None:
        found.append(("per token", seconds(row.token_s)))
    scored = score(row)
    return [*found, ("score", scored)] if scored != "–" else found


def gaps(rows: Sequence[Row]) -> list[Gap]:
    """Return what was skipped, failed or may not be compared, and why; the reasons of most cells come first."""
    several: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row.no_ratio:
            several[_kind(row), row.no_ratio].append(row)
    found = [
        Gap(status=status, reason=reason, cells=[named(row) for row in rows[:MOST_NAMED]], count=len(rows))
        for (status, reason), rows in several.items()
    ]
    return sorted(found, key=lambda gap: -gap.count)


def named(row: Row) -> str:
    """A cell, and its run where there are several."""
    return f"{row.record.cell}" + (f" ({row.run})" if row.run else "")


def _kind(row: Row) -> str:
    return "no ratio" if row.record.status == "ok" else row.record.status
