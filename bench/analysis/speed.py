"""Whether a cell is slower than it was: two whole runs, held to what whole runs of identical code differ by. Pure.

Two runs never took turns. The absolute step decides, beyond the larger of the threshold and the spread that was
measured between runs. The ratio to the reference, whose turns cancel what the machine does, takes a word back where
both moved alike; and it finds what that hides, where its own spread between runs is known: docs/design/008-the-gate.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from weighbridge.bench.analysis.summary import Summary
from weighbridge.bench.core.record import DEFAULT_BETWEEN_RUNS
from weighbridge.bench.measure import statistics
from weighbridge.bench.measure.statistics import Interval, Verdict

WORDS = {1: "faster", -1: "slower"}
WAY: dict[Verdict | None, int] = {"FASTER": 1, "SLOWER": -1}
DIFFERENCE = statistics.NORMAL * math.sqrt(2)
"""Of two draws from a normal distribution 95 % differ by at most so many of its standard deviations."""
Pair = tuple[Summary, Summary]
"""A cell before and after."""


class Judged(msgspec.Struct, frozen=True):
    """The word on a cell's speed, now against before, and why it is no clearer one."""

    verdict: Verdict
    limit: float
    why: str = ""
    against: str = ""
    """The backend whose ratio to this one decided; empty where the absolute step did."""
    ratio: Interval | None = None
    """Of ratios to that backend, now over before, above 1 is faster now."""


def between_runs(before: Summary, after: Summary) -> float | None:
    """Return how far whole runs of this cell's kind differ, where either side knows."""
    known = [each.between_runs for each in (before, after) if each.between_runs is not None]
    return max(known, default=None)


def limit(before: Summary, after: Summary, threshold: float) -> float:
    """Return what a difference must exceed: the threshold, and what identical code differs by."""
    spread = between_runs(before, after)
    return max(threshold, before.floor, after.floor, DEFAULT_BETWEEN_RUNS if spread is None else spread)


def speed(before: Summary, after: Summary) -> Interval:
    """Before over after: 2 means half the time now."""
    return statistics.unpaired_ratio(statistics.interval(before.quiet), statistics.interval(after.quiet))


def judge(
    before: Summary, after: Summary, threshold: float, excuse: Pair | None = None, witnesses: Sequence[Pair] = ()
) -> Judged:
    """The word on one cell, before and after.

    `excuse` is the reference where this cell is another; `witnesses` are the cells whose ratio to this one may tell.
    """
    bound = limit(before, after, threshold)
    if not (before.sure and after.sure):
        return Judged("UNSURE", bound, f"fewer than {statistics.FEWEST_PROCESSES} undisturbed processes a side")
    word = statistics.verdict(speed(before, after), bound, True)
    if word in WAY and excuse and shared(before, after, excuse, bound, WAY[word]):
        alike = f"the reference was {WORDS[WAY[word]]} by as much: the machine, or what both share"
        return Judged("UNSURE", bound, alike)
    if word in WAY:
        return Judged(word, bound)
    why = f"the interval reaches over the limit of {bound:.1%}" if word == "UNSURE" else ""
    return by_ratios(before, after, threshold, witnesses) or Judged(word, bound, why)


def by_ratios(before: Summary, after: Summary, threshold: float, witnesses: Sequence[Pair]) -> Judged | None:
    """FASTER or SLOWER by the ratios to all witnesses of which a spread was measured; None where these do not agree."""
    asked = [
        each for each in witnesses if each[0].processes and each[1].processes and ratio_spread(*each, before, after)
    ]
    found = [by_ratio(before, after, threshold, each) for each in asked]
    words = {each.verdict if each else None for each in found}
    return found[0] if len(words) == 1 else None


def by_ratio(before: Summary, after: Summary, threshold: float, witness: Pair) -> Judged | None:
    """FASTER or SLOWER by the ratio to a cell that took turns with this one, which is free of what the machine does.

    The ratio must have moved for sure, and further than the threshold and than it moves between whole runs. Which of
    the two changed it cannot tell: that is put down to the one whose own step moved further.
    """
    was, now = witness
    over, under = to_reference(before, was), to_reference(after, now)
    if over is None or under is None:
        return None
    spread = DIFFERENCE * ratio_spread(before, after, was, now)
    bound, moved = max(threshold, before.floor, after.floor, math.expm1(spread)), statistics.unpaired_ratio(under, over)
    way = (moved.low > 1) - (moved.high < 1)
    if way * math.log(moved.value) <= math.log1p(bound) or further(was, now, -way) > further(before, after, way):
        return None
    return Judged("FASTER" if way > 0 else "SLOWER", bound, against=was.cell.backend, ratio=moved)


def ratio_spread(*summaries: Summary) -> float:
    """Return how far ratios between cells differ from run to run, the largest that any knows; 0 where none does."""
    return max(each.ratio_spread or 0.0 for each in summaries)


def further(before: Summary, after: Summary, way: int) -> float:
    """Return how far a step moved towards faster (1) or slower (-1), in logarithms."""
    return way * math.log(speed(before, after).value)


def shared(before: Summary, after: Summary, reference: Pair, bound: float, way: int) -> bool:
    """Whether the reference moved beyond the limit in the same way, and the ratio to it did not."""
    was, now = reference
    if not (was.processes and now.processes):
        return False
    over, under = to_reference(before, was), to_reference(after, now)
    if over is None or under is None:
        return False
    return further(was, now, way) > math.log1p(bound) >= abs(math.log(under.value / over.value))


def to_reference(cell: Summary, reference: Summary) -> Interval | None:
    """Reference over cell, of turns that they took together; None where they took none, or too few undisturbed ones."""
    if cell.pairing != "interleaved" or reference.pairing != "interleaved" or cell.started != reference.started:
        return None
    ratios = statistics.paired_ratios(reference.processes, cell.processes)
    return statistics.interval(ratios) if statistics.enough(ratios) else None
